"""Reverse requests that are kept: through lost connections, in order, once; and the bounds of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serving import Person, ServingTestCase
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from fluxon.connect import Client, connect
from fluxon.endpoint import AsyncServer
from fluxon.errors import InvalidPayload, NotFound, OutcomeUnknown, ResourceExhausted, from_wire
from fluxon.routing import Request


async def login(request: Request) -> str:
    await request.login(request.payload)
    return request.sessionid


async def logout(request: Request) -> None:
    await request.logout()


async def echo(request: Request) -> Any:
    return request.payload


async def until(condition: Callable[[], Any]) -> None:
    """Let the reactor turn until ``condition()``."""
    while not condition():
        await deferLater(reactor, 0.001)


class Gate:
    """A way to the server that is closed at first: whoever connects waits."""

    def __init__(self, endpoint: Any) -> None:
        self.endpoint = endpoint
        self.open: Deferred[None] = Deferred()

    def connect(self, factory: Any) -> Deferred[Any]:
        """As an endpoint does."""
        connecting: Deferred[None] = Deferred()
        self.open.addCallback(lambda _: connecting.callback(None))
        return connecting.addCallback(lambda _: self.endpoint.connect(factory))


class KeepingTestCase(ServingTestCase):
    """A server with a user, and clients that come back when they are cut off."""

    limits: dict[str, Any] = {}

    async def begin(self, **keywords: Any) -> tuple[AsyncServer, Client]:
        server = await self.serve(login, logout, echo, users=True, limits=self.limits)
        await Person.Insert(username="ann", password="x")
        return server, await self.client(server, **keywords)

    async def client(self, server: AsyncServer, user: int | None = 1, **keywords: Any) -> Client:
        """A client of ``user``, whose function "note" keeps what it is told in ``client.notes``."""
        client = await connect(reactor, self.place_of(server), random=lambda: 0.0, **keywords)
        self.addCleanup(client.close)
        client.notes = []  # type: ignore[attr-defined]
        client.reverse_request_mapping({"note": client.notes.append})  # type: ignore[attr-defined]
        if user is not None:
            await client.call("login", user)
        return client

    def peers(self, server: AsyncServer) -> Any:
        return server._running().listener.factory.peers

    async def cut(self, server: AsyncServer, client: Client, stay: bool = False) -> None:
        """End the client's connection without a word; with ``stay`` it does not get through before ``come_back``."""
        connector = client._connector
        connection = connector.current
        assert connection is not None
        before = len(self.peers(server))
        if stay:
            connector._endpoint = Gate(connector._endpoint)  # type: ignore[assignment]
        connection.peer.protocol.transport.abortConnection()
        if stay:
            await until(lambda: connector.current is None and len(self.peers(server)) < before)
        else:
            await until(lambda: connector.current not in (None, connection))

    def come_back(self, client: Client) -> None:
        """Let it through."""
        gate: Any = client._connector._endpoint
        client._connector._endpoint = gate.endpoint
        gate.open.callback(None)


class KeptTests(KeepingTestCase):
    """With ``keep``."""

    async def test_connected(self) -> None:
        """It is carried out and acknowledged as without; the value is what the function returned."""
        server, client = await self.begin()
        client.reverse_request_mapping({"double": lambda number: number * 2})
        delivery = await server.reverse_request(1, "double", 4, keep=60)
        (result,) = delivery.results
        self.assertEqual((result.state, result.value), ("handled", 8))
        (result,) = await server.reverse_request(1, "unheard", keep=60)
        self.assertEqual(result.state, "failed")
        self.assertEqual(server._running().foundation.keeping.kept, 0)

    async def test_away(self) -> None:
        """They wait, are true as "queued", and come in order; without ``keep`` the client is offline."""
        server, client = await self.begin()
        await self.cut(server, client, stay=True)
        for number in range(100):
            delivery = await server.reverse_request(1, "note", number, keep=60)
            self.assertEqual([each.state for each in delivery], ["queued"])
            self.assertTrue(delivery)
        delivery = await server.reverse_request(1, "note", "lost")
        self.assertEqual([each.state for each in delivery], ["offline"])
        self.assertFalse(delivery)
        self.come_back(client)
        await until(lambda: len(client.notes) == 100)  # type: ignore[attr-defined]
        self.assertEqual(client.notes, list(range(100)))  # type: ignore[attr-defined]
        self.assertTrue(client.recovered)
        await until(lambda: not server._running().foundation.keeping.kept)

    async def test_the_answer_is_lost(self) -> None:
        """A function that ran and whose answer never arrived is not run again."""
        server, client = await self.begin()
        ran: list[int] = []
        waiting: list[Deferred[None]] = []

        def slow(number: int) -> Deferred[None]:
            ran.append(number)
            waiting.append(Deferred())
            return waiting[-1]

        client.reverse_request_mapping({"slow": slow})
        delivery = server.reverse_request(1, "slow", 1, keep=60, timeout=60)
        await until(lambda: ran)
        await self.cut(server, client)
        self.assertEqual([each.state for each in await delivery], ["queued"])
        # It is sent again while it runs, and answered when that has ended.
        second = server.reverse_request(1, "note", 2, keep=60, timeout=60)
        await second
        self.assertEqual(ran, [1])
        waiting[0].callback(None)
        await until(lambda: not server._running().foundation.keeping.kept)
        self.assertEqual((ran, client.notes), ([1], [2]))  # type: ignore[attr-defined]

    async def test_several_devices(self) -> None:
        """Each session has its own outbox: what one has taken still waits for the other."""
        server, phone = await self.begin()
        laptop = await self.client(server)
        await self.cut(server, phone, stay=True)
        delivery = await server.reverse_request(1, "note", "x", keep=60)
        self.assertEqual(sorted(each.state for each in delivery), ["handled", "queued"])
        self.assertEqual(laptop.notes, ["x"])  # type: ignore[attr-defined]
        self.come_back(phone)
        await until(lambda: phone.notes)  # type: ignore[attr-defined]
        self.assertEqual((phone.notes, laptop.notes), (["x"], ["x"]))  # type: ignore[attr-defined]

    async def test_connections_that_share_a_session(self) -> None:
        """Without ``keep`` each is a client; with it the session is one, and goes on with the other connection."""
        server, first = await self.begin()
        second = await self.client(server, None, session=first)
        self.assertEqual(len(await server.reverse_request(1, "note", "all")), 2)
        self.assertEqual((first.notes, second.notes), (["all"], ["all"]))  # type: ignore[attr-defined]
        self.assertEqual(len(await server.reverse_request(1, "note", "one", keep=60)), 1)
        self.assertEqual((first.notes, second.notes), (["all"], ["all", "one"]))  # type: ignore[attr-defined]
        await self.cut(server, second, stay=True)
        await server.reverse_request(1, "note", "two", keep=60)
        self.assertEqual(first.notes, ["all", "two"])  # type: ignore[attr-defined]
        self.come_back(second)
        await until(lambda: second._connector.current)
        await server.reverse_request(1, "note", "three", keep=60)
        self.assertEqual(second.notes, ["all", "one", "three"])  # type: ignore[attr-defined]

    async def test_one_connection_closes(self) -> None:
        """What crosses with its goodbye is not begun there, and carried out by the other connection of the session."""
        server, first = await self.begin()
        second = await self.client(server, None, session=first)
        closing = second._connector.current
        assert closing is not None
        closing.peer.stopping = True  # as while a close waits for what was to be sent
        delivery = server.reverse_request(1, "note", "crossed", keep=60, timeout=50)
        await second.call("echo")  # it is answered behind that
        await second.close()
        self.assertEqual([each.state for each in await delivery], ["handled"])
        self.assertEqual((first.notes, second.notes), (["crossed"], []))  # type: ignore[attr-defined]

    async def test_what_a_function_raises_is_its_own(self) -> None:
        """Also where it heard of another server that that one is stopping: it ran, and is not run again."""
        server, client = await self.begin()
        ran: list[int] = []

        def ask_elsewhere(number: int) -> None:
            ran.append(number)
            raise from_wire("Unavailable", "the other side is stopping", {"stopping": True, "where": "elsewhere"})

        client.reverse_request_mapping({"ask_elsewhere": ask_elsewhere})
        for keep in (60, None):
            (result,) = await server.reverse_request(1, "ask_elsewhere", 1, keep=keep)
            self.assertEqual((result.state, result.error.details), ("failed", {"where": "elsewhere"}))
        self.assertEqual(ran, [1, 1])
        await server.reverse_request(1, "note", "next", keep=60)
        self.assertEqual(client.notes, ["next"])  # type: ignore[attr-defined]

    async def test_a_login_takes_it_along(self) -> None:
        """What waits, or is under way, when the same user logs in again comes all the same, once and in order."""
        server, client = await self.begin()
        waiting: Deferred[None] = Deferred()
        began: list[int] = []

        def wait(number: int) -> Deferred[None]:
            began.append(number)
            return waiting

        client.reverse_request_mapping({"wait": wait})
        kept = [server.reverse_request(1, "wait", number, keep=60, timeout=60) for number in range(40)]
        await until(lambda: began)
        session = await client.call("login", 1)
        kept += [server.reverse_request(1, "note", number, keep=60) for number in range(50)]
        waiting.callback(None)
        self.assertEqual({each.state for one in kept for each in await one}, {"handled"})
        self.assertEqual((await kept[-1]).results[0].session, session)
        self.assertEqual((began, client.notes), (list(range(40)), list(range(50))))  # type: ignore[attr-defined]

    async def test_another_user_gets_none_of_it(self) -> None:
        """A login as somebody else ends what was kept."""
        server, client = await self.begin()
        await Person.Insert(username="bob", password="x")
        waiting: Deferred[None] = Deferred()
        client.reverse_request_mapping({"wait": lambda: waiting})
        kept = [server.reverse_request(1, "wait", keep=60, timeout=60) for _ in range(40)]
        kept += [server.reverse_request(1, "note", "for ann", keep=60, timeout=60) for _ in range(10)]
        await client.call("login", 2)
        # What was on its way may have run; the rest certainly did not.
        self.assertEqual({each.state for one in kept[:1] for each in await one}, {"timeout"})
        self.assertEqual({each.state for one in kept[-1:] for each in await one}, {"offline"})
        self.assertEqual(server._running().foundation.keeping.kept, 0)
        self.assertEqual(client.notes, [])  # type: ignore[attr-defined]
        self.assertTrue(await server.reverse_request(2, "note", "for bob", keep=60))
        self.assertEqual(client.notes[-1], "for bob")  # type: ignore[attr-defined]


class EndTests(KeepingTestCase):
    """What ends an outbox."""

    async def test_a_login_that_nobody_followed(self) -> None:
        """The connection is lost while the user logs in again: the login is undone, and so is what was kept."""
        server, client = await self.begin()
        waiting: Deferred[None] = Deferred()
        client.reverse_request_mapping({"wait": lambda: waiting})
        keeping = server._running().foundation.keeping
        (peer,) = self.peers(server)
        sessions = server.sessions
        login_of = sessions.login

        def lost_meanwhile(*arguments: Any) -> Any:
            peer.protocol.transport.abortConnection()
            gone: Deferred[None] = Deferred()
            reactor.callLater(0.01, gone.callback, None)  # type: ignore[attr-defined]
            return gone.addCallback(lambda _: login_of(*arguments))

        kept = server.reverse_request(1, "wait", keep=60, timeout=60)
        self.patch(sessions, "login", lost_meanwhile)
        again = client.call("login", 1)
        self.assertEqual([each.state for each in await kept], ["queued"])
        await self.fails(OutcomeUnknown, again)
        await until(lambda: not keeping.outboxes)
        self.assertEqual(keeping.kept, 0)
        waiting.callback(None)

    async def test_close(self) -> None:
        """A client that is closed says so: it is not expected back, and nothing is kept."""
        server, client = await self.begin()
        await client.close()
        await until(lambda: not self.peers(server))
        delivery = await server.reverse_request(1, "note", 1, keep=60)
        self.assertEqual((len(delivery), bool(delivery)), (0, False))

    async def test_logout_and_revocation(self) -> None:
        """A session that is over takes its outbox with it."""
        server, client = await self.begin()
        await self.cut(server, client, stay=True)
        self.assertTrue(await server.reverse_request(1, "note", 1, keep=60))
        await server.sessions.revoke_user(1)
        self.assertEqual(server._running().foundation.keeping.kept, 0)
        self.assertEqual(len(await server.reverse_request(1, "note", 2, keep=60)), 0)
        self.come_back(client)
        await until(lambda: client._connector.current)
        self.assertFalse(client.recovered)
        self.assertEqual(client.notes, [])  # type: ignore[attr-defined]

    async def test_time(self) -> None:
        """What was kept long enough is not sent any more, and the client is told that it missed something."""
        told: list[bool] = []
        server, client = await self.begin(on_reconnect=told.append)
        await self.cut(server, client, stay=True)
        await server.reverse_request(1, "note", 1, keep=0.01)
        await server.reverse_request(1, "note", 2, keep=60)
        await until(lambda: server._running().foundation.keeping.kept < 1_000)
        self.come_back(client)
        await until(lambda: client.notes)  # type: ignore[attr-defined]
        self.assertEqual((client.notes, told, client.recovered), ([2], [False], False))  # type: ignore[attr-defined]
        await client.call("echo")  # behind the acknowledgement
        await self.cut(server, client)
        await until(lambda: client._connector.current)
        self.assertEqual(told, [False, True])


class BoundTests(KeepingTestCase):
    """How much is kept."""

    limits = {"outbox_requests": 3, "outbox_bytes": 4_000, "outbox_total": 5_500, "outbox_time": 100}

    async def test_too_many(self) -> None:
        """What was promised is kept, what is too much is refused with the reason, and the client is told."""
        server, client = await self.begin()
        await self.cut(server, client, stay=True)
        states = [(await server.reverse_request(1, "note", number, keep=60)).results[0] for number in range(5)]
        self.assertEqual([each.state for each in states], ["queued"] * 3 + ["failed"] * 2)
        self.assertIsInstance(states[3].error, ResourceExhausted)
        self.come_back(client)
        await until(lambda: len(client.notes) == 3)  # type: ignore[attr-defined]
        self.assertEqual(client.notes, [0, 1, 2])  # type: ignore[attr-defined]
        self.assertFalse(client.recovered)

    async def test_too_large(self) -> None:
        """Bytes of one client, and of all."""
        server, client = await self.begin()
        other = await self.client(server)
        await self.cut(server, client, stay=True)
        states = [each.state for each in await server.reverse_request(1, "note", "x" * 2_000, keep=60)]
        self.assertEqual(sorted(states), ["handled", "queued"])
        states = [each.state for each in await server.reverse_request(1, "note", "x" * 1_000, keep=60)]
        self.assertEqual(sorted(states), ["failed", "handled"])
        await self.cut(server, other, stay=True)
        states = [each.state for each in await server.reverse_request(1, "note", "x" * 2_500, keep=60)]
        self.assertEqual(states, ["failed", "failed"])

    async def test_arguments(self) -> None:
        """A time that is none, or too long, and a payload that never fits, raise."""
        server, _ = await self.begin()
        for keep in (0, -1, 101, "60", True, float("nan")):
            await self.fails(InvalidPayload, server.reverse_request(1, "note", keep=keep))  # type: ignore[arg-type]
        await self.fails(ResourceExhausted, server.reverse_request(1, "note", "x" * 4_000, keep=60))

    async def test_who_is_not_expected(self) -> None:
        """A user with no client that was here lately."""
        server, _ = await self.begin()
        self.assertEqual(len(await server.reverse_request(77, "note", keep=60)), 0)


class RecoveredTests(KeepingTestCase):
    """What a client is told when it comes back."""

    async def test_a_new_session(self) -> None:
        """The first connection goes on with nothing; its loss and return do, and are told."""
        told: list[bool | str] = []
        server = await self.serve(login, echo, users=True)
        client = await self.client(server, None, on_reconnect=told.append, on_disconnect=lambda: told.append("lost"))
        self.assertFalse(client.recovered)
        self.assertEqual(told, [])
        await self.cut(server, client)
        await until(lambda: len(told) == 2)
        self.assertEqual((told, client.recovered), (["lost", True], True))
        await client.close()
        self.assertEqual(told, ["lost", True])

    async def test_the_server_was_restarted(self) -> None:
        """Nobody knows what was kept: it is said once, until it was heard."""
        told: list[bool] = []
        setup = self.setup_of(login, echo, users=True)
        server = await self.start(setup)
        await Person.Insert(username="ann", password="x")
        client = await self.client(server, on_reconnect=told.append)
        port = server.listening_port.getHost().port
        await server.stopService()
        server = AsyncServer(port=port, setup=setup)
        server.startService()
        self.addCleanup(server.stopService)
        await server.when_ready()
        await until(lambda: told)
        await client.call("echo")
        await self.cut(server, client)
        await until(lambda: len(told) == 2)
        self.assertEqual(told, [False, True])
        self.assertEqual(client.session.breaks, 2)
        await self.fails(NotFound, client.call("login", 99))
