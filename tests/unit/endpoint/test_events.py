"""What a project's functions hear of connections: when, in which order, of whom; and what they cannot do to anybody."""

from __future__ import annotations

import threading
from typing import Any

from serving import Person, ServingTestCase, Wire
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater

from fluxon.caller import caller_address
from fluxon.endpoint import AsyncServer
from fluxon.errors import ConfigurationError, InvalidPayload
from fluxon.routing import Event, Request, Setup
from fluxon.routing import events as module
from fluxon.security import Secrets


async def login(request: Request) -> None:
    await request.login(request.payload)


async def logout(request: Request) -> None:
    await request.logout()


async def echo(request: Request) -> Any:
    return request.payload


class EventsTestCase(ServingTestCase):
    """A server whose events are noted."""

    def setUp(self) -> None:
        self.heard: list[Any] = []

    async def note(self, event: Event) -> None:
        self.heard.append((event.kind, event.user.username if event.user else None, event.reason))

    async def people(self, **keywords: Any) -> AsyncServer:
        told = {f"on_{kind}": self.note for kind in module.KINDS}
        server = await self.serve(login, logout, echo, users=True, **{**told, **keywords})
        for name in ("ann", "bob"):
            await Person.Insert(username=name, password="x")
        return server

    async def hear(self, count: int) -> list[Any]:
        """What was heard since the last look: ``count`` things."""
        while len(self.heard) < count:
            await deferLater(reactor, 0)
        heard, self.heard = self.heard, []
        return heard


class TellingTests(EventsTestCase):
    """What is told."""

    async def test_one_connection(self) -> None:
        """From its hello to its end, with every change of who it is, in order."""
        server = await self.people()
        ann = await self.wire(server)
        await ann.call("login", 1)
        await ann.call("login", 1)
        await ann.call("login", 2)
        await ann.call("logout")
        await ann.call("login", 1)
        await ann.abort()
        self.assertEqual(
            await self.hear(7),
            [
                ("connect", None, None),
                ("login", "ann", None),
                ("logout", "ann", "logged in"),
                ("login", "bob", None),
                ("logout", "bob", "logged out"),
                ("login", "ann", None),
                ("disconnect", "ann", None),
            ],
        )

    async def test_resumed_and_revoked(self) -> None:
        """A client that comes back is there as who it was; one that is thrown out is told of with the reason."""
        server = await self.people()
        ann = await self.wire(server)
        await ann.call("login", 1)
        await ann.abort()
        await self.hear(3)
        back = await self.wire(server, ann.token)
        await server.sessions.revoke_user(1)
        self.assertEqual(await self.hear(2), [("connect", "ann", None), ("logout", "ann", "revoked")])
        await back.abort()
        self.assertEqual(await self.hear(1), [("disconnect", None, None)])

    async def test_who_never_said_hello(self) -> None:
        """A connection without a session is nobody's business."""
        server = await self.people()
        stranger = await self.wire(server, greet=False)
        await stranger.abort()
        await self.wire(server)
        self.assertEqual(await self.hear(1), [("connect", None, None)])

    async def test_what_an_event_has(self) -> None:
        """Who and where, and the way back to the client: calling it, and joining groups, from the first event on."""
        seen: list[Event] = []

        async def welcome(event: Event) -> None:
            seen.append(event)
            await event.server.groups.join("all", event)
            await event.connection.send("told", caller_address())

        server = await self.people(on_connect=welcome)
        wire = await self.wire(server, greet=False)
        wire.functions["told"] = lambda payload: wire.events.append(("told", payload))
        await wire.hello()
        while server._running().events.waiting or not seen:
            await deferLater(reactor, 0)
        self.assertIn(("told", "127.0.0.1"), wire.events)
        (event,) = seen
        (session,) = await server.online.sessions()
        self.assertEqual((event.sessionid, event.user, event.reason), (session.id, None, None))
        assert event.peername is not None
        self.assertEqual(event.peername[0], "127.0.0.1")
        self.assertGreaterEqual(event.timestamp, session.since)
        self.assertIn("connect of ('127.0.0.1'", repr(event))
        self.assertEqual(await server.groups.of(session), ["all"])

    async def test_stopping(self) -> None:
        """The last connections' end is told while the database is there; a function that hangs is not waited for."""

        async def look(event: Event) -> None:
            self.heard.append(await Person.Count())

        server = await self.people(on_disconnect=look)
        await self.wire(server)
        await server.stopService()
        self.assertEqual(self.heard[-1], 2)

        async def hang(event: Event) -> None:
            await Deferred()

        slow = await self.serve(echo, folder="slow", on_disconnect=hang, limits={"drain": 0.05})
        await self.wire(slow)
        await slow.stopService()
        self.assertEqual(len(self.flushLoggedErrors()), 1)


class RunningTests(EventsTestCase):
    """How the functions are run."""

    async def test_every_kind_of_function(self) -> None:
        """Plain ones in a thread, the others on the reactor; all of them may use what blocks."""
        main = threading.current_thread()

        def plain(event: Event) -> None:
            assert threading.current_thread() is not main
            self.heard.append(("plain", event.server.online.is_online(1), Person.Count()))

        @inlineCallbacks
        def generator(event: Event) -> Any:
            count = yield Person.Count()
            self.heard.append(("generator", count))

        def promising(event: Event) -> Deferred[None]:
            return deferLater(reactor, 0, self.heard.append, "promising")

        server = await self.people(on_connect=plain, on_login=generator, on_logout=promising)
        wire = await self.wire(server)
        await wire.call("login", 1)
        await wire.call("logout")
        self.assertEqual(await self.hear(3), [("plain", False, 2), ("generator", 2), "promising"])

    async def test_one_at_a_time(self) -> None:
        """A connection's events wait for each other, of whatever kind; other connections' do not, nor do requests."""
        gates: list[Deferred[None]] = []

        async def slow(event: Event) -> None:
            gate: Deferred[None] = Deferred()
            gates.append(gate)
            await gate
            await self.note(event)

        server = await self.people(on_connect=slow)
        first = await self.wire(server)
        await first.call("login", 1)
        second = await self.wire(server)
        self.assertEqual(await second.call("echo", 1), 1)
        await first.abort()
        while len(gates) < 2:
            await deferLater(reactor, 0)
        self.assertEqual(self.heard, [])
        gates[1].callback(None)
        gates[0].callback(None)
        self.assertEqual(
            await self.hear(4),
            [("connect", None, None), ("connect", None, None), ("login", "ann", None), ("disconnect", "ann", None)],
        )
        await second.abort()
        await self.hear(1)

    async def test_threads(self) -> None:
        """No more plain ones run at once than there are threads for them; the others wait, and are told, too."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        begun: list[str] = []

        def slow(event: Event) -> None:
            begun.append(event.kind)
            gate.wait(20)
            self.heard.append(event.kind)

        server = await self.people(on_connect=slow, limits={"event_threads": 1})
        for _ in range(3):
            await self.wire(server)
        self.assertEqual(await (await self.wire(server)).call("echo", 1), 1)
        while not begun:
            await deferLater(reactor, 0)
        self.assertEqual((begun, server._running().events.waiting), (["connect"], 4))
        gate.set()
        self.assertEqual(await self.hear(4), ["connect"] * 4)

    async def test_one_that_fails(self) -> None:
        """It is in the log with an incident id; the client, and the events after it, notice nothing."""

        async def broken(event: Event) -> None:
            raise RuntimeError("a fault")

        def broken_plain(event: Event) -> None:
            raise SystemExit("no way out")

        server = await self.people(on_connect=broken, on_login=broken_plain)
        wire = await self.wire(server)
        await wire.call("login", 1)
        await wire.call("logout")
        self.assertEqual(await self.hear(1), [("logout", "ann", "logged out")])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)

    async def test_one_that_hangs(self) -> None:
        """It is given up after the time that a view has, and the next event is told."""

        async def hang(event: Event) -> None:
            await Deferred()

        server = await self.people(on_connect=hang, limits={"view_timeout": 0.05})
        wire = await self.wire(server)
        await wire.call("login", 1)
        self.assertEqual(await self.hear(1), [("login", "ann", None)])
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    async def test_too_many(self) -> None:
        """Who logs in and out while the first event hangs costs a bounded number of events; the end is told anyway."""
        gate: Deferred[None] = Deferred()

        async def slow(event: Event) -> None:
            await gate

        self.patch(module, "_WAITING", 3)
        server = await self.people(on_connect=slow)
        wire = await self.wire(server)
        for _ in range(4):
            await wire.call("login", 1)
            await wire.call("logout")
        await wire.abort()
        while server.online and await server.online.sessions():
            await deferLater(reactor, 0)
        gate.callback(None)
        kinds = [each[0] for each in await self.hear(4)]
        self.assertEqual(kinds, ["login", "logout", "login", "disconnect"])
        self.assertEqual(server._running().events.waiting, 0)

    async def test_many_at_once(self) -> None:
        """When many connections end in one moment, a bounded number of functions run at a time, and all are told."""
        running, most = 0, 0

        async def slow(event: Event) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await deferLater(reactor, 0)
            running -= 1
            await self.note(event)

        self.patch(module, "_AT_ONCE", 4)
        server = await self.people(on_disconnect=slow)
        wires: list[Wire] = [await self.wire(server) for _ in range(20)]
        await self.hear(20)
        for wire in wires:
            wire.peer.protocol.transport.abortConnection()
        self.assertEqual(await self.hear(20), [("disconnect", None, None)] * 20)
        self.assertEqual(most, 4)

    async def test_many_that_wait_for_nothing(self) -> None:
        """However many end in one moment, and however quick the functions are, all are told."""
        server = await self.people()
        wires = [await self.wire(server) for _ in range(300)]
        await self.hear(300)
        for wire in wires:
            wire.peer.protocol.transport.abortConnection()
        self.assertEqual(await self.hear(300), [("disconnect", None, None)] * 300)
        self.assertEqual(server._running().events.waiting, 0)


class SetupTests(ServingTestCase):
    """What can hear of events."""

    def test_what_is_no_function_for_it(self) -> None:
        """It is an error that names the keyword, when the setup is made."""
        for wrong in (3, "name", Person, lambda: None, lambda one, two: None):
            error = self.assertRaises(ConfigurationError, Setup, mapping={}, secrets=Secrets("keys"), on_login=wrong)
            self.assertIn("on_login", error.text)


class OnlineTests(EventsTestCase):
    """Who is there."""

    async def test_who_is_online(self) -> None:
        """Users and sessions with a client connected, from the moment that it is until it is gone."""
        server = await self.people()
        online = server.online
        self.assertEqual((await online.is_online(1), await online.users(), await online.sessions()), (False, [], []))
        phone, laptop, stranger = [await self.wire(server) for _ in range(3)]
        await phone.call("login", 1)
        await laptop.call("login", 1)
        await (await self.wire(server)).call("login", 2)
        self.assertEqual([await online.is_online(each) for each in (1, 2, 3)], [True, True, False])
        users: Any = await online.users()
        self.assertEqual([(each.id, each.username) for each in users], [(1, "ann"), (2, "bob")])
        self.assertIs(await online.is_online(users[0]), True)
        for nobody in ("ann", None, True, 1.0):
            await self.fails(InvalidPayload, online.is_online(nobody))
        sessions: Any = await online.sessions()
        self.assertEqual(
            sorted(each.user.username if each.user else "" for each in sessions), ["", "ann", "ann", "bob"]
        )
        self.assertEqual([each.connections for each in await online.sessions(1)], [1, 1])
        second = await self.wire(server, laptop.token)
        self.assertEqual(sorted(each.connections for each in await online.sessions(1)), [1, 2])
        self.heard.clear()
        for wire in (phone, laptop, second, stranger):
            await wire.abort()
        await self.hear(4)
        self.assertEqual([each.username for each in await online.users()], ["bob"])
        self.assertIs(await online.is_online(1), False)

    async def test_forgetting_to_await(self) -> None:
        """On the reactor a promise is not an answer: who takes it for one is told."""
        server = await self.people()
        with self.assertRaises(TypeError):
            bool(server.online.is_online(1))
        with self.assertRaises(TypeError):
            list(server.online.users())
