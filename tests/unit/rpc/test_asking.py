"""Asking the other side: one outcome for every ask, whatever becomes of it and of the connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import (
    Cancelled,
    DeadlineExceeded,
    FluxonError,
    InvalidPayload,
    NotFound,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
    Unserialisable,
)
from fluxon.rpc.factory import URGENT
from fluxon.wire.messages import write_answer


class AskingCase(SynchronousTestCase):
    make_line: Any
    client_factory: Any
    commands: Any

    def setUp(self) -> None:
        self.line = self.make_line(in_flight=3 + URGENT, waiting_asks=2)
        self.peer = self.line.peer
        self.do, self.strict, _ = self.commands

    def ask(self, value: Any = None, timeout: float | None = None, **more: Any) -> Deferred[Any]:
        deferred: Deferred[Any] = self.peer.ask(self.do, {"job": "x", "value": value}, timeout, **more)
        return deferred

    def answer(self, index: int, value: Any) -> None:
        """The other side answers the ask that it received as its ``index``-th."""
        self.line.pull()
        self.line.remote.answer(self.line.asked[index].tag, value)
        self.line.push()

    def failure(self, deferred: Deferred[Any], kind: type[Exception]) -> Any:
        return self.failureResultOf(deferred, kind).value


class OutcomeTests(AskingCase):
    def test_answer(self) -> None:
        """The value, to whom it belongs, in whatever order."""
        first, second = self.ask(1), self.ask(2)
        self.answer(1, "two")
        self.assertNoResult(first)
        self.assertEqual(self.successResultOf(second), "two")
        self.answer(0, "one")
        self.assertEqual(self.successResultOf(first), "one")

    def test_one_write_a_turn(self) -> None:
        """Asks of one turn of the reactor leave in one write."""
        for number in range(3):
            self.ask(number)
        self.assertEqual(self.line.transport.writes, [])
        self.line.pull()
        self.assertEqual(len(self.line.transport.writes), 1)

    def test_error(self) -> None:
        """The error that the other side answered, as its own kind; an unknown code as a FluxonError that names it."""
        for error, kind in ((NotFound("no"), NotFound), (_Own("mine"), FluxonError)):
            asked = self.ask()
            self.line.pull()
            self.line.remote.fail(self.line.asked[-1].tag, error)
            self.line.push()
            self.assertIn(error.text, self.failure(asked, kind).text)

    def test_wrong_answer(self) -> None:
        """An answer that the command does not declare is an error that says so; the connection lives."""
        for value in (None, {"sum": "5"}, {"sum": 5, "more": 1}, []):
            asked = self.peer.ask(self.strict, {"job": "x", "value": 1})
            self.answer(-1, value)
            self.assertIn("strict", self.failure(asked, FluxonError).text)
        asked = self.peer.ask(self.strict, {"job": "x", "value": 1})
        self.answer(-1, {"sum": 5})
        self.assertEqual(self.successResultOf(asked), {"sum": 5})

    def test_callback_that_raises(self) -> None:
        """What an application's callback raises stays with that Deferred."""
        raising = self.ask().addCallback(lambda _: 1 // 0)
        other = self.ask()
        self.line.pull()
        for ask in self.line.asked:
            self.line.remote.answer(ask.tag, 1)
        self.line.push()
        self.failure(raising, ZeroDivisionError)
        self.assertEqual(self.successResultOf(other), 1)

    def test_wrong_ask(self) -> None:
        """What cannot be asked fails at once, is not sent, and leaves nothing behind."""
        self.failure(self.peer.ask(self.do, {"job": 5, "value": 1}), InvalidPayload)
        self.failure(self.ask(object()), Unserialisable)
        for timeout in (0, -1, float("nan"), "5", True):
            self.failure(self.ask(1, timeout), InvalidPayload)
        self.peer.conversation.send_limit = 1_000
        self.failure(self.ask("x" * 1_000), ResourceExhausted)
        self.assertEqual(self.line.pull(), [])
        self.assertEqual(self.peer.conversation.asked, {})

    def test_waiting_for_a_place(self) -> None:
        """Asks beyond the other side's cap wait in order; too many of them are refused; an urgent one goes first."""
        asked = [self.ask(number) for number in range(6)]
        self.failure(asked[5], ResourceExhausted)
        urgent = self.ask("urgent", urgent=True)
        self.line.pull()
        self.assertEqual([ask.arguments["value"] for ask in self.line.asked], [0, 1, 2, "urgent"])
        for index in range(4):
            self.answer(index, index)
        self.line.pull()
        self.assertEqual([ask.arguments["value"] for ask in self.line.asked], [0, 1, 2, "urgent", 3, 4])
        self.assertEqual([self.successResultOf(each) for each in [*asked[:3], urgent]], [0, 1, 2, 3])


class DeadlineTests(AskingCase):
    def test_passed(self) -> None:
        """DeadlineExceeded in time, a Cancel to the other side, and the late answer is no offence."""
        asked = self.ask(1, 5)
        self.line.clock.advance(4.9)
        self.assertNoResult(asked)
        self.line.clock.advance(0.2)
        self.failure(asked, DeadlineExceeded)
        self.line.pull()
        self.assertEqual(self.line.cancelled, [self.line.asked[0].tag])
        self.line.raw(write_answer(self.line.asked[0].tag, b"\x01"))
        self.assertIsNone(self.line.ended)

    def test_before_it_was_sent(self) -> None:
        """One that never got a place says that nothing was done, and is never sent."""
        running = [self.ask(number) for number in range(3)]
        waiting = self.ask("waiting", 1)
        self.line.clock.advance(1)
        self.assertIn("nothing was done", self.failure(waiting, DeadlineExceeded).text)
        for index in range(3):
            self.answer(index, 1)
        self.assertEqual(len(self.line.asked), 3)
        self.assertEqual([self.successResultOf(each) for each in running], [1, 1, 1])

    def test_one_cancels_another(self) -> None:
        """A callback of one deadline that gives up on the other ask of that deadline: one outcome each."""
        first, second = self.ask(1, 1), self.ask(2, 1)
        first.addErrback(lambda failure: second.cancel() or failure)
        self.line.clock.advance(1)
        self.failure(first, DeadlineExceeded)
        self.failure(second, Cancelled)

    def test_timer_is_gone(self) -> None:
        """The timer of an ask that was answered ends by itself and asks for no other."""
        asked = self.ask(1, 5)
        self.answer(0, 1)
        self.successResultOf(asked)
        self.line.clock.advance(5)
        self.assertIsNone(self.line.protocol._wake_call)


class CancelTests(AskingCase):
    def test_sent(self) -> None:
        """The other side is told, and its answer is no offence."""
        asked = self.ask()
        self.line.pull()
        asked.cancel()
        self.failure(asked, Cancelled)
        self.line.pull()
        self.assertEqual(self.line.cancelled, [self.line.asked[0].tag])
        self.answer(0, "late")
        self.assertIsNone(self.line.ended)

    def test_waiting(self) -> None:
        """One that waits for a place is never sent."""
        for number in range(3):
            self.ask(number)
        waiting = self.ask("waiting")
        waiting.cancel()
        self.assertIn("before it was sent", self.failure(waiting, Cancelled).text)
        self.answer(0, 1)
        self.assertEqual(len(self.line.asked), 3)


class LostTests(AskingCase):
    def test_lost(self) -> None:
        """What was sent may have been done; what was not, was not; and nothing can be asked any more."""
        sent = [self.ask(number, 50) for number in range(3)]
        waiting = self.ask("waiting", 50)
        self.line.pull()
        self.line.transport.lose(ConnectionError())
        for each in sent:
            self.failure(each, OutcomeUnknown)
        self.failure(waiting, Unavailable)
        self.failure(self.ask(), Unavailable)
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_asked_while_it_ends(self) -> None:
        """Between an abort and the connection's end an ask is refused, as it will never be sent."""
        self.line.protocol.abort("the test says so")
        self.failure(self.ask(), Unavailable)
        self.line.clock.advance(0)
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_asked_by_what_was_lost(self) -> None:
        """A callback of a lost ask may ask again: it is told, and nothing is left over."""
        again: list[Any] = []
        asked = self.ask().addErrback(lambda _: again.append(self.ask()))
        self.line.transport.lose(ConnectionError())
        self.successResultOf(asked)
        self.failure(again[0], Unavailable)

    def test_cancelled_by_what_was_lost(self) -> None:
        """A callback of one that is lost may give up the others: each has one outcome all the same."""
        first, second, third = (self.ask(number) for number in range(3))
        first.addErrback(lambda failure: second.cancel() or failure)
        self.line.pull()
        self.line.transport.lose(ConnectionError())
        for each, kind in ((first, OutcomeUnknown), (second, Cancelled), (third, OutcomeUnknown)):
            self.failure(each, kind)
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_cancelled_afterwards(self) -> None:
        """Cancelling what was lost does nothing."""
        asked = self.ask()
        self.line.transport.lose(ConnectionError())
        asked.cancel()
        self.failure(asked, OutcomeUnknown)


class OffenceTests(AskingCase):
    def test_unsolicited(self) -> None:
        """Nine answers to nothing are ignored, the tenth aborts."""
        for number in range(9):
            self.line.raw(write_answer(1_000 + number, b"\x01"))
        self.assertIsNone(self.line.ended)
        self.line.raw(write_answer(2_000, b"\x01"))
        self.assertEqual(self.line.ended, "ConnectionAborted")

    def test_answer_before_it_was_sent(self) -> None:
        """A guessed answer to an ask that still waits here is unsolicited: the ask stays."""
        for number in range(3):
            self.ask(number)
        waiting = self.ask("waiting")
        self.line.raw(write_answer(3, b"\x01"))
        self.assertNoResult(waiting)


class BothWaysTests(AskingCase):
    """Two peers on one connection, asking each other at once."""

    def test_nested(self) -> None:
        """An ask is answered by asking back, three deep, while others pass in both directions."""
        client = self.make_line(factory=self.client_factory)
        ends = [self.line, client]
        read = [0, 0]

        def pump() -> None:
            moved = True
            while moved:
                moved = False
                for side in (0, 1):
                    for end in ends:
                        end.clock.advance(0)
                    data = ends[side].transport.sent[read[side] :]
                    read[side] += len(data)
                    if data:
                        moved = True
                        ends[1 - side].protocol.dataReceived(data)

        def counter(end: Any) -> Any:
            async def count(left: int) -> Any:
                if not left:
                    return ["end"]
                return [left, *await end.peer.ask(self.do, {"job": "count", "value": left - 1}, 5)]

            return count

        for end in ends:
            end.peer.conversation.send_limit = 2**20
            end.jobs["count"] = counter(end)
        down = self.line.peer.ask(self.do, {"job": "count", "value": 3}, 5)
        up = client.peer.ask(self.do, {"job": "count", "value": 4}, 5)
        echo = client.peer.ask(self.do, {"job": "echo", "value": "hello"}, 5)
        pump()
        self.assertEqual(self.successResultOf(down), [3, 2, 1, "end"])
        self.assertEqual(self.successResultOf(up), [4, 3, 2, 1, "end"])
        self.assertEqual(self.successResultOf(echo), "hello")


class _Own(FluxonError):
    code = "SomethingElse"
