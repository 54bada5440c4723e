"""Hello: what a connection gets with it, and what it is refused."""

from __future__ import annotations

import gc
from typing import Any

from serving import ServingTestCase
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from fluxon.commands import PROTOCOL_VERSION, Hello
from fluxon.endpoint.accounts import NoAccounts
from fluxon.errors import InvalidPayload, ResourceExhausted, Unauthenticated
from fluxon.limits import Limits
from fluxon.routing import Request
from fluxon.routing.greeting import Greeting
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


def greeted(address: Any, *features: str) -> tuple[Greeting, PeerProtocol]:
    """A connection from ``address`` that has announced ``features``, without a socket."""
    clock, limits = Clock(), Limits()
    sessions = Sessions(TokenSigner({"k": b"k" * 32}), NoAccounts(), clock, limits, digest=lambda *_: b"")
    greeting = Greeting(sessions, limits)
    protocol = ServerFactory(Responders({Hello: greeting.hello}), clock, limits).buildProtocol(None)
    protocol.makeConnection(StringTransport(peerAddress=address))
    protocol.dataReceived(messages.write_ask(0, "hello", _arguments(None, *features), None, {}))
    assert protocol.peer.greeted
    return greeting, protocol


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
