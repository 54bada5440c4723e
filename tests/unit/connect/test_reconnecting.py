"""The connection of a Twisted program that is kept up: who waits for it, who is told what, and when it is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripted_server import MemoryTestCase
from twisted.internet import error as net
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from fluxon.connect import Client
from fluxon.connect.reconnecting import ATTEMPT
from fluxon.errors import ProtocolError, ResourceExhausted, Unavailable


class WaitingTests(MemoryTestCase):
    """Requests that wait for the connection."""

    def wait_for_two(self, client: Client) -> tuple[list[Any], list[Any]]:
        """Two who wait; the first, once it has heard, cancels the other. What each heard."""
        first: list[Any] = []
        second: list[Any] = []
        one, other = client.when_connected(), client.when_connected()
        other.addBoth(second.append)
        one.addBoth(lambda outcome: (first.append(outcome), other.cancel()))
        return first, second

    def test_one_who_hears_cancels_another(self) -> None:
        """The connection that both waited for is made, and serves: nothing is told to the one that was cancelled."""
        client = self.client()
        first, second = self.wait_for_two(client)
        visit = self.server.now(self.server.visit())
        self.server.settle()
        self.assertEqual(first, [client])
        self.assertIsInstance(second[0].value, CancelledError)
        answer = client.call("echo")
        visit.answer(self.server.now(visit.asks.get()), 1)
        self.server.settle()
        self.assertEqual(self.successResultOf(answer), 1)

    def test_one_who_fails_cancels_another(self) -> None:
        """An attempt that failed is not the last one for that."""
        endpoint = Later()
        client = self.client(endpoint)
        first, second = self.wait_for_two(client)
        endpoint.attempts[0].errback(net.ConnectionRefusedError())
        self.assertIsInstance(first[0].value, Unavailable)
        self.assertIsInstance(second[0].value, CancelledError)
        waiting = client.when_connected()
        endpoint.attempts[1].errback(net.DNSLookupError())
        self.assertIn("is not known", str(self.failureResultOf(waiting, Unavailable).value))

    def test_closed_while_two_wait(self) -> None:
        """Closing tells the first, which cancels the other, and ends."""
        client = self.client(Later())
        first, second = self.wait_for_two(client)
        stopped = client.close()
        self.server.settle()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertIn("closed by the program", str(first[0].value))
        self.assertIsInstance(second[0].value, CancelledError)

    def test_given_up(self) -> None:
        """Who is cancelled before there is a connection is forgotten; the others get it."""
        client = self.client()
        waiting, other = client.when_connected(), client.when_connected()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.server.now(self.server.visit())
        self.assertIs(self.successResultOf(other), client)

    def test_after_a_refusal_that_says_when(self) -> None:
        """A request that may be repeated comes again after that time, and no sooner."""
        client = self.client()
        visit = self.server.now(self.server.visit())
        answer = client.call("work", idempotent=True)
        refusal = ResourceExhausted("later", details={"retry_after": 3})
        visit.fail(self.server.now(visit.asks.get()), refusal)
        again = visit.asks.get()
        self.server.settle(2.9)
        self.assertNoResult(again)
        self.server.settle(0.2)
        visit.answer(self.successResultOf(again), "done")
        self.server.settle()
        self.assertEqual(self.successResultOf(answer), "done")


class EndingTests(MemoryTestCase):
    """Closing it, and servers that leave."""

    def test_stopped_twice(self) -> None:
        """As a service that was never started: nothing is left at once."""
        client = self.client()
        self.server.now(self.server.visit())
        stopped = client.stopService()
        self.server.settle()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(self.successResultOf(client.stopService()))
        self.assertIsNone(self.successResultOf(Client(self.clock, self.server.endpoint).stopService()))

    def test_leaving_twice(self) -> None:
        """A server that says twice that it stops is answered twice; what is asked waits for the next one."""
        client = self.client()
        visit = self.server.now(self.server.visit())
        for _ in range(2):
            visit.ask("leaving", {})
        self.server.settle()
        self.assertEqual([each.value for each in visit.heard], [{}, {}])
        answer = client.call("echo")
        self.server.settle()
        self.assertEqual(visit.asks.pending, [])
        visit.cut()
        self.server.settle(1)
        visit = self.server.now(self.server.visit())
        visit.answer(self.server.now(visit.asks.get()), "here")
        self.server.settle()
        self.assertEqual(self.successResultOf(answer), "here")


class SilenceTests(MemoryTestCase):
    """How long a server may say nothing is its own word."""

    def test_the_server_says_how_long(self) -> None:
        """Pings that are answered keep the connection; without an answer it is soon lost."""
        self.client()
        visit = self.server.now(self.server.visit(heartbeat=4.0))
        before = visit.received
        self.server.settle(3.9)
        self.assertEqual(visit.received, before)
        for _ in range(10):
            self.server.settle(4.2)
        self.assertGreater(visit.received, before)
        self.assertFalse(visit.lost)
        visit.say = lambda more=b"": None  # type: ignore[method-assign]
        for _ in range(3):
            self.server.settle(4.2)
        self.assertTrue(visit.lost)

    def test_another_server_says_otherwise(self) -> None:
        """The next one's word counts, and none at all for one that wants no pings."""
        client = self.client()
        self.server.now(self.server.visit(heartbeat=4.0)).cut()
        self.server.settle(1)
        visit = self.server.now(self.server.visit(heartbeat=0))
        before = visit.received
        for _ in range(100):
            self.server.settle(30)
        self.assertEqual((visit.received, visit.lost), (before, False))
        self.assertIs(self.successResultOf(client.when_connected()), client)


@implementer(IStreamClientEndpoint)
class Later:
    """Connects, or does not, when it is told."""

    def __init__(self) -> None:
        self.attempts: list[Deferred[Any]] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        self.attempts.append(Deferred())
        return self.attempts[-1]


@implementer(IStreamClientEndpoint)
class Failing:
    """Fails as Twisted's endpoints do."""

    def __init__(self, error: Callable[[], BaseException]) -> None:
        self._error = error

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        return fail(self._error())


class NotConnectedTests(MemoryTestCase):
    """Why there is no connection, in words that say what to do."""

    def refused(self, where: Any, after: float = 0) -> str:
        waiting = self.client(where).when_connected(100)
        self.server.settle(after)
        return str(self.failureResultOf(waiting, Unavailable).value)

    def test_takes_too_long(self) -> None:
        """An attempt is given up, and says so."""
        self.assertIn("does not answer", self.refused(Later(), ATTEMPT))

    def test_errors_of_twisted(self) -> None:
        """Each in the words that the blocking client has for the same."""
        cases: list[tuple[Callable[[], BaseException], str]] = [
            (net.DNSLookupError, "is not known"),
            (net.ConnectionRefusedError, "nobody listens"),
            (net.TimeoutError, "does not answer"),
            (lambda: net.NoRouteError(113, "No route to host"), "no way to"),
            (lambda: net.ConnectError(113, "No route to host"), "no way to"),
            (lambda: net.ConnectError(None, "the proxy is out"), "the proxy is out"),
            (lambda: PermissionError(13, "Permission denied"), "Permission denied"),
            (lambda: UnicodeError("label too long"), "is not known"),
        ]
        for error, words in cases:
            self.assertIn(words, self.refused(Failing(error)))

    def test_answers_hello_wrongly(self) -> None:
        """It is no Fluxon server, and its connection is ended."""
        waiting = self.client().when_connected()
        visit = self.server.now(self.server.come.get())
        visit.answer(self.server.now(visit.asks.get()), {"version": "?"})
        self.server.settle()
        self.failureResultOf(waiting, ProtocolError)
        self.assertTrue(visit.lost)
