"""What a reverse request gives back: truth, equality, and how long it waits."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import DeadlineExceeded, NotFound, OutcomeUnknown, Unavailable, stopping
from fluxon.routing.delivery import Delivery, Gathering, Result, settled
from fluxon.routing.sending import ManyDelivery
from fluxon.wire import decode, encode


def results(*states: str) -> list[Result]:
    return [Result(state, 1, str(number)) for number, state in enumerate(states)]


class DeliveryTests(SynchronousTestCase):
    """The object."""

    def test_truth(self) -> None:
        """True when it ran somewhere, or waits for somebody; nothing else is."""
        for states, truth in (
            ((), False),
            (("failed", "timeout", "offline"), False),
            (("failed", "handled"), True),
            (("queued",), True),
        ):
            delivery = Delivery(results(*states))
            self.assertIs(bool(delivery), truth)
            self.assertTrue(delivery == truth)
            self.assertFalse(delivery != truth)
            self.assertEqual(hash(delivery), hash(truth))
            self.assertEqual(len(delivery), len(states))

    def test_of_many(self) -> None:
        """One whose results are made when they are looked at says the same before and after that."""
        session: Any = Clock()
        session.user_id, session.public_id = 7, "s7"
        error = Unavailable()
        known = [("sent", session, None), ("failed", session, error)]
        for states, truth in ((known, True), (known[1:], False), ([], False)):
            delivery = ManyDelivery(states, results("offline", "timeout"))
            for _ in range(2):
                self.assertIs(bool(delivery), truth)
                self.assertEqual(len(delivery), len(states) + 2)
                self.assertEqual([delivery.count(each) for each in ("sent", "offline")], [len(states) // 2, 1])
                made = [Result(state, 7, "s7", error=why) for state, _, why in states]
                self.assertEqual(delivery, Delivery([*made, *results("offline", "timeout")]))
        self.assertTrue(ManyDelivery([], results("queued")))

    def test_crosses_as_a_boolean(self) -> None:
        """By itself and inside of what a view returns."""
        delivery = Delivery(results("handled"))
        self.assertIs(decode(encode(delivery)), True)
        self.assertEqual(decode(encode({"taken": delivery, "all": [Delivery([])]})), {"taken": True, "all": [False]})

    def test_says_what_it_is(self) -> None:
        """In a log line or at a prompt."""
        self.assertEqual(repr(Delivery([])), "<Delivery: nobody is there>")
        self.assertEqual(repr(Delivery(results("queued", "failed"))), "<Delivery: 0 queued, 1 failed>")


class SettledTests(SynchronousTestCase):
    """What an answer, or the lack of one, is called."""

    def state(self, answer: Any, lost: bool = False) -> str:
        peer: Any = Clock()
        peer.lost = lost
        result = settled(Failure(answer) if isinstance(answer, Exception) else answer, peer, 7, "s7")
        self.assertEqual((result.user_id, result.session), (7, "s7"))
        self.assertIs(result.error, answer if isinstance(answer, Exception) else None)
        return result.state

    def test_each(self) -> None:
        """Whoever is gone, or about to go, is away and has not failed; what its function says is its function's."""
        self.assertEqual(self.state("value"), "handled")
        self.assertEqual(self.state(Unavailable(), lost=True), "offline")
        self.assertEqual(self.state(stopping()), "offline")
        self.assertEqual(self.state(Unavailable()), "failed")
        self.assertEqual(self.state(NotFound(), lost=True), "failed")
        self.assertEqual(self.state(OutcomeUnknown(), lost=True), "timeout")
        self.assertEqual(self.state(DeadlineExceeded()), "timeout")

    def test_a_mistake_here(self) -> None:
        """What is no error of a client's is nobody's result: it goes on, to whoever logs it."""
        self.assertRaises(ZeroDivisionError, self.state, ZeroDivisionError())


class GatheringTests(SynchronousTestCase):
    """How results come together."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[Result]] = [Deferred() for _ in range(3)]

    def gather(self, rest: float | None) -> Deferred[list[Result]]:
        return Gathering(
            self.clock, list(zip(results("timeout", "timeout", "timeout"), self.asked, strict=True)), rest
        ).done

    def states(self, done: Deferred[list[Result]]) -> list[str]:
        return [each.state for each in self.successResultOf(done)]

    def test_all(self) -> None:
        """In the order of the clients, whichever answers first."""
        done = self.gather(None)
        for index in (2, 0, 1):
            self.assertNoResult(done)
            self.clock.advance(100)
            self.asked[index].callback(results("handled", "failed", "queued")[index])
        self.assertEqual(self.states(done), ["handled", "failed", "queued"])

    def test_rest(self) -> None:
        """It begins with the first that was handled, not with one that failed; what comes later changes nothing."""
        done = self.gather(1.0)
        self.asked[0].callback(results("failed")[0])
        self.clock.advance(100)
        self.assertNoResult(done)
        self.asked[1].callback(results("failed", "handled")[1])
        self.clock.advance(0.9)
        self.assertNoResult(done)
        self.clock.advance(0.2)
        self.assertEqual(self.states(done), ["failed", "handled", "timeout"])
        self.asked[2].callback(results("handled")[0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody(self) -> None:
        """Nothing to wait for."""
        self.assertEqual(self.successResultOf(Gathering(self.clock, [], 1.0).done), [])

    def test_a_failure(self) -> None:
        """What is no result at all fails the whole at once; those that come later change nothing."""
        done = self.gather(1.0)
        self.asked[0].callback(results("handled")[0])
        self.asked[1].errback(ZeroDivisionError())
        self.failureResultOf(done, ZeroDivisionError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.asked[2].callback(results("handled")[0])

    def test_giving_up(self) -> None:
        """Whoever cancels cancels what is not there yet, and no timer is left."""
        cancelled: list[Any] = []
        self.asked[2] = Deferred(cancelled.append)
        done = self.gather(1.0)
        self.asked[0].callback(results("handled")[0])
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(cancelled, [self.asked[2]])
        self.assertEqual(self.clock.getDelayedCalls(), [])
