"""One timer for many things: each is called once, never early, hardly late; what was taken out leaves nothing."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fluxon.rpc.rounds import _AT_ONCE, Rounds


class RoundsTests(SynchronousTestCase):
    """Things that are due 32 seconds after they were added, and so at most one second late."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.rung: list[tuple[object, float]] = []
        self.rounds: Rounds[object] = Rounds(
            self.clock, 32, lambda each: self.rung.append((each, self.clock.seconds()))
        )

    def test_one(self) -> None:
        """Exactly when it is due, and then no more."""
        self.rounds.add("a")
        self.clock.advance(31.999)
        self.assertEqual(self.rung, [])
        self.clock.advance(0.001)
        self.assertEqual(self.rung, [("a", 32)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_together(self) -> None:
        """What came within a second is called with the last of it; what came later has its own time; with one timer."""
        for number in range(6):
            self.rounds.add(number)
            self.clock.advance(0.4)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for _ in range(400):
            self.clock.advance(0.1)
        rung = dict(self.rung)
        self.assertEqual(len(self.rung), 6)
        for number in range(6):
            self.assertGreaterEqual(rung[number] + 1e-6, 32 + number * 0.4)
            self.assertLessEqual(rung[number], 33.1 + number * 0.4)
        self.assertEqual([rung[0], rung[3]], [rung[2], rung[5]])
        self.assertNotEqual(rung[2], rung[3])

    def test_taken_out(self) -> None:
        """What was taken out is not called, whenever and however often; the last one takes the timer with it."""
        first, second = self.rounds.add("a"), self.rounds.add("b")
        self.rounds.remove("a", first)
        self.rounds.remove("a", first)
        self.clock.advance(32)
        self.assertEqual([each for each, _ in self.rung], ["b"])
        self.rounds.remove("b", second)
        third = self.rounds.add("c")
        self.rounds.remove("c", third)
        self.assertEqual((self.clock.getDelayedCalls(), len(self.rounds._batches)), ([], 0))

    def test_many(self) -> None:
        """Thousands that came at once are called over several turns, so that others are served in between."""

        class Turns(Clock):
            def callLater(self, when, *told, **keywords):  # type: ignore[no-untyped-def]
                return super().callLater(max(when, 1e-6), *told, **keywords)

        self.clock = Turns()
        self.rounds = Rounds(self.clock, 32, lambda each: self.rung.append((each, 0)))
        for number in range(2 * _AT_ONCE + 1):
            self.rounds.add(number)
        self.clock.advance(32)
        for count in (_AT_ONCE, 2 * _AT_ONCE, 2 * _AT_ONCE + 1):
            self.assertEqual(len(self.rung), count)
            self.clock.advance(1e-6)
        self.assertEqual(len({each for each, _ in self.rung}), 2 * _AT_ONCE + 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_added_while_called(self) -> None:
        """A thing that is added again by being called is due again in as long; one may take others out."""
        batches = {}

        def ring(each: object) -> None:
            self.rung.append((each, self.clock.seconds()))
            if each == "again":
                batches[each] = self.rounds.add(each)

        self.rounds = Rounds(self.clock, 32, ring)
        batches["again"] = self.rounds.add("again")
        self.clock.pump([32, 32, 32])
        self.assertEqual(self.rung, [("again", 32), ("again", 64), ("again", 96)])
        self.rounds.remove("again", batches["again"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_fails(self) -> None:
        """It is in the log, and the others are called."""
        self.rounds = Rounds(self.clock, 32, lambda each: self.rung.append((1 / int(str(each)), 0)))
        for number in range(3):
            self.rounds.add(number)
        self.clock.advance(32)
        self.assertEqual(sorted(self.rung), [(0.5, 0), (1.0, 0)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_clock_that_was_turned_back(self) -> None:
        """It does not call early, nor never."""
        self.clock.advance(1_000)
        self.rounds.add("a")
        self.clock.rightNow -= 500
        self.rounds.add("b")
        self.clock.advance(31)
        self.assertEqual(self.rung, [])
        self.clock.advance(600)
        self.assertEqual({each for each, _ in self.rung}, {"a", "b"})
