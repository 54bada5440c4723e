"""Delivery to and from the blocking client, in threads of its own."""

from __future__ import annotations

import threading
from time import monotonic
from typing import Any

from serving import Person
from test_keeping import KeepingTestCase, until
from test_repeats import Views
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from fluxon.connect import ConnectionInterface
from fluxon.connect.connector import Connector
from fluxon.endpoint import AsyncServer
from fluxon.errors import Conflict, InvalidPayload, OutcomeUnknown, ResourceExhausted, Unavailable
from fluxon.routing import Request


async def login(request: Request) -> None:
    await request.login(request.payload)


class BlockingDeliveryTests(KeepingTestCase):
    """``ConnectionInterface``."""

    async def begin_blocking(self, **keywords: Any) -> tuple[AsyncServer, ConnectionInterface]:
        self.views = Views()
        server = await self.serve(login, *self.views.all(), users=True, sockets=True)
        self.addCleanup(lambda: [each.callback(None) for each in self.views.waiting if not each.called])
        await Person.Insert(username="ann", password="x")
        port = server.listening_port.getHost().port
        connection = ConnectionInterface("127.0.0.1", port, random=lambda: 0.0, **keywords)
        self.addCleanup(deferToThread, connection.close)
        await deferToThread(connection.send_request, "login", 1)
        return server, connection

    async def cut_off(self, server: AsyncServer) -> None:
        """End the connection of the one client, and wait until it is back."""
        (peer,) = self.peers(server)
        peer.protocol.transport.abortConnection()
        await until(lambda: self.peers(server) and peer not in self.peers(server))

    async def test_kept(self) -> None:
        """What is under way when the connection is lost runs once, in order with what follows."""
        server, connection = await self.begin_blocking()
        ran: list[int] = []
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def note(number: int) -> None:
            ran.append(number)
            if number == 0:
                go_on.wait(20)

        connection.reverse_request_mapping({"note": note})
        first = server.reverse_request(1, "note", 0, keep=60, timeout=60)
        await until(lambda: ran)
        rest = [server.reverse_request(1, "note", number, keep=60, timeout=60) for number in range(1, 60)]
        await self.cut_off(server)
        self.assertEqual([each.state for each in await first], ["queued"])
        go_on.set()
        await until(lambda: not server._running().foundation.keeping.kept)
        self.assertEqual(ran, list(range(60)))
        self.assertTrue(all([await each for each in rest]))

    async def test_one_of_two_closes(self) -> None:
        """What it had not begun the other client of the session carries out; what it had begun runs once."""
        server, first = await self.begin_blocking()
        second = ConnectionInterface("127.0.0.1", server.listening_port.getHost().port, session=first)
        self.addCleanup(deferToThread, second.close)
        await deferToThread(second.send_request, "count")
        ran: list[tuple[str, int]] = []
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def note(number: int) -> None:
            ran.append(("second", number))
            go_on.wait(20)

        first.reverse_request_mapping({"note": lambda number: ran.append(("first", number))})
        second.reverse_request_mapping({"note": note})
        kept = [server.reverse_request(1, "note", number, keep=60, timeout=50) for number in range(3)]
        await until(lambda: ran)
        await deferToThread(second.close)
        await until(lambda: len(self.peers(server)) == 1)
        go_on.set()
        for each in kept:
            await each
        await until(lambda: not server._running().foundation.keeping.kept)
        self.assertEqual(ran, [("second", 0), ("first", 1), ("first", 2)])

    async def test_on_reconnect(self) -> None:
        """It is told before what was kept is carried out, and not for the first connection; the loss before that."""
        events: list[Any] = []
        server, connection = await self.begin_blocking(
            on_reconnect=events.append, on_disconnect=lambda: events.append("lost")
        )
        connection.reverse_request_mapping({"note": events.append})
        self.assertEqual((events, connection.recovered), ([], False))
        (peer,) = self.peers(server)
        peer.protocol.transport.abortConnection()
        await server.reverse_request(1, "note", "kept", keep=60, timeout=0.01)
        await until(lambda: len(events) == 3)
        self.assertEqual((events, connection.recovered), (["lost", True, "kept"], True))
        await deferToThread(connection.close)
        self.assertEqual(len(events), 3)

    async def test_connected_before_it_is_made(self) -> None:
        """A connection that is there at once, while its object is still being made, is as good as any."""
        start = Connector.start

        def start_and_wait(connector: Connector) -> None:
            start(connector)
            connector.wait_for_link(monotonic() + 5)

        server = await self.serve(login, users=True, sockets=True)
        await Person.Insert(username="ann", password="x")
        self.patch(Connector, "start", start_and_wait)
        port, told = server.listening_port.getHost().port, []
        connection = await deferToThread(ConnectionInterface, "127.0.0.1", port, on_reconnect=told.append)
        self.addCleanup(deferToThread, connection.close)
        await deferToThread(connection.send_request, "login", 1)
        self.assertEqual(told, [])

    async def test_asked_again(self) -> None:
        """An idempotent request comes through, any other does not; keys are checked, and mean one request."""
        server, connection = await self.begin_blocking()
        once: Deferred[Any] = deferToThread(connection.send_request, "wait", 1, idempotent=True)
        plain: Deferred[Any] = deferToThread(connection.send_request, "wait", 2)
        await until(lambda: len(self.views.waiting) == 2)
        await self.cut_off(server)
        await self.fails(OutcomeUnknown, plain)
        for each in self.views.waiting:
            each.callback("once")
        self.assertEqual(await once, "once")
        self.assertEqual(sorted(self.views.ran), [1, 2])
        await deferToThread(connection.send_request, "count", 3, key="k")
        await self.fails(Conflict, deferToThread(connection.send_request, "count", 4, key="k"))
        await self.fails(InvalidPayload, deferToThread(connection.send_request, "count", 4, key=""))

    async def test_too_often(self) -> None:
        """Whoever has a key waits and asks again; who has none hears at once when to; a close ends the waiting."""
        _, connection = await self.begin_blocking()
        error = await self.fails(ResourceExhausted, deferToThread(connection.send_request, "later", 0.01))
        self.assertEqual((error.retry_after, len(self.views.ran)), (0.01, 1))
        await self.fails(
            ResourceExhausted, deferToThread(connection.send_request, "later", 0.01, timeout=1, idempotent=True)
        )
        self.assertGreater(len(self.views.ran), 2)
        self.views.ran.clear()
        waiting = deferToThread(connection.send_request, "later", 1_000, timeout=5_000, idempotent=True)
        await until(lambda: self.views.ran)
        await deferToThread(connection.close)
        await self.fails(Unavailable, waiting)

    async def test_close(self) -> None:
        """Nobody is expected back."""
        server, connection = await self.begin_blocking()
        await deferToThread(connection.close)
        await until(lambda: not self.peers(server))
        self.assertEqual(server._running().foundation.keeping.away, 0)
        self.assertFalse(await server.reverse_request(1, "note", keep=60))
