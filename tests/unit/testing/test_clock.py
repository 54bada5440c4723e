"""Time that passes when a test says so."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from fluxon.testing.calling import Calls
from fluxon.testing.clock import Clock, ClockedReactor


class ClockTests(TestCase):
    """A clock that begins at 1,000."""

    def setUp(self) -> None:
        self.clock = Clock(Calls(reactor, blocks=False), 1_000.0)
        self.reactor = ClockedReactor(reactor, self.clock)
        self.addCleanup(self.clock.stop)
        self.heard: list[object] = []

    def note(self, what: object) -> None:
        self.heard.append((what, self.clock.seconds()))

    async def test_stands_still(self) -> None:
        """However many turns the reactor takes, what is due later waits."""
        self.reactor.callLater(0.001, self.note, "late")
        for _ in range(20):
            await deferLater(reactor, 0.001)
        self.assertEqual((self.heard, self.clock.seconds()), ([], 1_000.0))

    async def test_what_is_due_at_once(self) -> None:
        """Happens by itself, later than the call that asked for it."""
        self.reactor.callLater(0, self.note, "now")
        self.assertEqual(self.heard, [])
        await self.clock.advance(0)
        self.assertEqual(self.heard, [("now", 1_000.0)])

    async def test_in_order_at_their_times(self) -> None:
        """Each timer sees the time that it asked for, and what it asks for itself is in time as well."""
        self.reactor.callLater(3, self.note, "three")
        self.reactor.callLater(1, lambda: self.reactor.callLater(1, self.note, "one and one"))
        self.reactor.callLater(5, self.note, "five")
        await self.clock.advance(4)
        self.assertEqual(self.heard, [("one and one", 1_002.0), ("three", 1_003.0)])
        self.assertEqual(self.clock.seconds(), 1_004.0)
        await self.clock.advance(1)
        self.assertEqual(self.heard[2:], [("five", 1_005.0)])

    async def test_cancelled_and_moved(self) -> None:
        """As with any reactor: a cancelled call is none, and a moved one comes when it was moved to."""
        self.reactor.callLater(1, self.note, "never").cancel()
        sooner, later = self.reactor.callLater(9, self.note, "sooner"), self.reactor.callLater(1, self.note, "later")
        later.delay(1)
        sooner.reset(0)
        await self.clock.advance(0)
        self.assertEqual(self.heard, [("sooner", 1_000.0)])
        await self.clock.advance(10)
        self.assertEqual(self.heard[1:], [("later", 1_002.0)])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    async def test_a_call_that_fails(self) -> None:
        """Is logged, and holds up nobody."""
        self.reactor.callLater(1, lambda: 1 / 0)
        self.reactor.callLater(1, self.note, "after")
        await self.clock.advance(1)
        self.assertEqual(self.heard, [("after", 1_001.0)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_a_long_time(self) -> None:
        """A year of beats takes a thousand steps, and the last second is not passed over."""
        beats = []

        def beat() -> None:
            beats.append(self.clock.seconds())
            self.reactor.callLater(25, beat)

        beat()
        year = 365 * 86_400
        self.reactor.callLater(year, self.note, "new year")
        await self.clock.advance(year)
        self.assertEqual(self.heard, [("new year", 1_000.0 + year)])
        self.assertLessEqual(len(beats), 1_002)
        self.assertGreater(len(beats), 900)

    async def test_the_end(self) -> None:
        """Nothing is done any more, neither at once nor later; and nothing of it is left with the real reactor."""
        before = reactor.getDelayedCalls()
        self.reactor.callLater(0, self.note, "now")
        self.reactor.callLater(1, self.note, "later")
        self.clock.stop()
        self.assertEqual(reactor.getDelayedCalls(), before)
        await self.clock.advance(2)
        self.assertEqual((self.heard, self.reactor.getDelayedCalls()), ([], []))

    def test_not_backwards(self) -> None:
        """A negative time is a mistake of the test's."""
        self.assertRaises(ValueError, self.clock.advance, -1)
