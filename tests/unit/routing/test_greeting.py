"""Hello: what a connection gets with it, and what it is refused."""

from __future__ import annotations

import gc
from typing import Any

from serving import ServingTestCase
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from fluxon.commands import PROTOCOL_VERSION, Hello
from fluxon.endpoint.accounts import NoAccounts
from fluxon.errors import Conflict, InvalidPayload, ResourceExhausted, Unauthenticated
from fluxon.limits import Limits
from fluxon.routing import Request
from fluxon.routing.greeting import Greeting
from fluxon.routing.keeping import Keeping
from fluxon.rpc import PeerProtocol, Responders, ServerFactory
from fluxon.security.tokens import TokenSigner
from fluxon.sessions import Sessions
from fluxon.wire import messages


async def sessionid(request: Request) -> str:
    return request.sessionid


class HelloTests(ServingTestCase):
    """The first word of a connection, and later ones."""

    async def test_nothing_before_it(self) -> None:
        """A view is not even looked up for a connection without a session."""
        server = await self.serve(sessionid)
        wire = await self.wire(server, greet=False)
        await self.fails(Unauthenticated, wire.ask("sessionid"))
        await wire.hello()
        self.assertTrue(await wire.call("sessionid"))

    async def test_another_version(self) -> None:
        """It is refused with what to update; the connection is not greeted by it."""
        server = await self.serve(sessionid)
        wire = await self.wire(server, greet=False)
        arguments = {"version": PROTOCOL_VERSION + 1, "token": None, "seen": 0, "features": []}
        error = await self.fails(InvalidPayload, wire.peer.ask(Hello, arguments, 10))
        self.assertIn("update", error.text)
        await self.fails(Unauthenticated, wire.ask("sessionid"))

    async def test_again(self) -> None:
        """With the same token nothing changes, with none it is another session; many at once end in one."""
        server = await self.serve(sessionid)
        wire = await self.wire(server)
        token, first = wire.token, await wire.call("sessionid")
        self.assertEqual((await wire.hello(token))["session"], first)
        self.assertEqual((await wire.hello(token))["fresh"], False)
        self.assertEqual(await wire.call("sessionid"), first)
        self.assertFalse((await wire.hello(None))["fresh"])
        self.assertNotEqual(await wire.call("sessionid"), first)
        answers = [wire.peer.ask(Hello, _arguments(token), 10) for _ in range(20)]
        self.assertEqual({(await each)["session"] for each in answers}, {first})
        self.assertEqual(await wire.call("sessionid"), first)
        self.assertEqual(len(server.sessions.connected()), 1)

    async def test_too_many_connections(self) -> None:
        """One session is shared by so many and no more; the one too many may be a stranger instead."""
        server = await self.serve(sessionid, limits={"connections_per_session": 2})
        first = await self.wire(server)
        second = await self.wire(server, first.token)
        third = await self.wire(server, greet=False)
        await self.fails(ResourceExhausted, third.hello(first.token))
        await self.fails(Unauthenticated, third.ask("sessionid"))
        await third.hello()
        await second.abort()
        while len(server.sessions.connected()[0].connections) + len(server.sessions.connected()) > 3:
            await _turn()
        fourth = await self.wire(server, first.token)
        self.assertEqual(await fourth.call("sessionid"), await first.call("sessionid"))

    async def test_connections_that_come_and_go(self) -> None:
        """They leave nothing behind but their anonymous sessions, which are bounded."""
        server = await self.serve(sessionid, limits={"anonymous_sessions": 5})
        for _ in range(20):
            await (await self.wire(server)).abort()
        while server.sessions.connected():
            await _turn()
        gc.collect()  # a connection and its protocol refer to each other
        self.assertEqual(server.sessions.live_count, 0)
        self.assertLessEqual(len(server.sessions._memory), 5)  # type: ignore[arg-type]


class Accounts(NoAccounts):
    """One user, whose row comes when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Any]] = []

    def load_user(self, user_id: int) -> Deferred[Any]:
        self.asked.append(Deferred())
        return self.asked[-1]


class House:
    """A server's sessions and connections, without sockets; it has no functions in its clients to call."""

    def __init__(self, *, hears_of_ends: bool = True, keeps: bool = False) -> None:
        self.clock, self.limits, self.accounts = Clock(), Limits(), Accounts()
        self.clock.advance(1_000)
        self.sessions = Sessions(
            TokenSigner({"k": b"k" * 32}),
            self.accounts,
            self.clock,
            self.limits,
            digest=lambda *_: b"",
            on_end=(lambda session: self.greeting.ended(session)) if hears_of_ends else None,
        )
        self.greeting = Greeting(self.sessions, self.limits, Keeping(self.clock, self.limits) if keeps else None)
        self.factory = ServerFactory(Responders({Hello: self.greeting.hello}), self.clock, self.limits)

    def connect(self, address: Any = None) -> PeerProtocol:
        protocol = self.factory.buildProtocol(None)
        protocol.makeConnection(StringTransport(peerAddress=address))
        return protocol

    def hello(self, protocol: PeerProtocol, token: str | None = None) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self.greeting.hello(protocol.peer, _arguments(token)))


def greeted(address: Any, *features: str) -> tuple[Greeting, PeerProtocol]:
    """A connection from ``address`` that has announced ``features``, without a socket."""
    house = House()
    protocol = house.connect(address)
    protocol.dataReceived(messages.write_ask(0, "hello", _arguments(None, *features), None, {}))
    assert protocol.peer.greeted
    return house.greeting, protocol


class SessionTests(SynchronousTestCase):
    """Which session a connection has when something comes between."""

    def test_lost_while_its_session_is_read(self) -> None:
        """Whoever is gone when their session is found joins it no more: nobody would ever leave it again."""
        house = House()
        stranger = self.successResultOf(house.sessions.resume(None)).session
        entering = house.sessions.login(stranger, 1)
        house.accounts.asked.pop().callback("row")
        session, token = self.successResultOf(entering)
        house.clock.advance(house.limits.session_freshness + 1)
        protocol = house.connect()
        greeting = house.hello(protocol, token)
        self.assertNoResult(greeting)
        protocol.connectionLost()
        house.accounts.asked.pop().callback("row")
        self.failureResultOf(greeting, Conflict)
        self.assertEqual((session.connections, protocol.peer.session, house.sessions.connected()), ((), None, []))

    def test_the_end_of_one(self) -> None:
        """Its connections go on as strangers, each with a session of its own, and nothing else of it is touched."""
        house = House()
        first, second, other = (house.connect() for _ in range(3))
        token = self.successResultOf(house.hello(first))["token"]
        self.successResultOf(house.hello(second, token))
        self.successResultOf(house.hello(other))
        session, others = first.peer.session, other.peer.session
        session.attach("no connection of this port")
        self.successResultOf(house.sessions.revoke(session))
        found = [each.peer.session for each in (first, second, other)]
        self.assertEqual(len({session, *found}), 4)
        self.assertIs(found[2], others)
        self.assertFalse(any(each.ended for each in found))
        self.assertEqual(session.connections, ("no connection of this port",))

    def test_an_end_that_nobody_heard_of(self) -> None:
        """Before its connection acts for it again it is a stranger's, though whoever hears of ends failed to."""
        house = House(hears_of_ends=False)
        protocol = house.connect()
        self.successResultOf(house.hello(protocol))
        session = protocol.peer.session
        self.successResultOf(house.sessions.revoke(session))
        self.assertIs(protocol.peer.session, session)
        self.successResultOf(Deferred.fromCoroutine(house.greeting.confirm(protocol.peer)))
        self.assertIsNot(protocol.peer.session, session)
        self.assertFalse(protocol.peer.session.ended)
        self.assertEqual(session.connections, ())

    def test_losses_of_a_session_that_was_left_at_once(self) -> None:
        """What is said once more of a session is said on a connection that still has it, and on no other."""
        house = House(keeps=True)
        protocol = house.connect()
        token = self.successResultOf(house.hello(protocol))["token"]
        session = protocol.peer.session
        session.losses = 1
        for leave in (True, False):
            self.assertFalse(self.successResultOf(house.hello(protocol, token))["recovered"])
            if leave:
                self.successResultOf(house.hello(protocol))
            house.clock.advance(0)
            self.assertEqual(len(protocol.conversation.asked), not leave)
            self.assertEqual(session.losses_told, 0)
        (asked,) = protocol.conversation.asked
        protocol.dataReceived(messages.write_answer(asked, b"\xa0"))
        self.assertTrue(self.successResultOf(house.hello(protocol, token))["recovered"])


class ChangeTests(SynchronousTestCase):
    """Logins and logouts of one connection, one at a time."""

    def test_the_connection_ends_while_some_wait(self) -> None:
        """Those that wait for their turn are done within the end of the one before; nothing is left or logged."""
        greeting, protocol = greeted(UNIXAddress("/run/x"))
        outcomes = [greeting.logout(protocol.peer) for _ in range(3)]
        self.assertNoResult(outcomes[1])
        protocol.connectionLost()
        for each in outcomes:
            self.successResultOf(each)
        self.assertEqual(greeting._turns, {})
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])


class CompressionTests(SynchronousTestCase):
    """Who gets compressed frames."""

    def compressing(self, address: Any, *features: str) -> bool:
        """Whether a client at ``address`` that announces ``features`` is sent compressed frames."""
        return greeted(address, *features)[1].conversation.compress_from is not None

    def test_other_machines(self) -> None:
        """A client elsewhere that can unpack them; not one that cannot, nor one that can only do something else."""
        for address in (IPv4Address("TCP", "192.0.2.7", 1), IPv6Address("TCP", "2001:db8::1", 1)):
            self.assertTrue(self.compressing(address, "lz4"))
            self.assertFalse(self.compressing(address))
            self.assertFalse(self.compressing(address, "zstd"))

    def test_this_machine(self) -> None:
        """On the machine itself compressing costs more than it saves."""
        for address in (
            IPv4Address("TCP", "127.0.0.1", 1),
            IPv4Address("TCP", "127.5.0.1", 1),
            IPv6Address("TCP", "::1", 1),
            IPv6Address("TCP", "::ffff:127.0.0.1", 1),
            UNIXAddress("/run/x"),
        ):
            self.assertFalse(self.compressing(address, "lz4"))


def _arguments(token: str | None, *features: str) -> dict[str, Any]:
    return {"version": PROTOCOL_VERSION, "token": token, "seen": 0, "features": list(features)}


async def _turn() -> None:
    await deferLater(reactor, 0.002)
