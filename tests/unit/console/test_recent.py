"""The last lines of the log, and who follows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from fluxon.console.recent import KEPT, RecentLines


class Turns(MemoryReactorClock):
    """A reactor that turns when the test says so."""

    def callFromThread(self, function: Callable[..., object], *args: object) -> None:
        self.callLater(0, function, *args)


class RecentLinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Turns()
        self.recent = RecentLines(self.reactor)
        self.log = Logger(namespace="test", observer=self.recent)

    def texts(self, count: int = KEPT) -> list[str]:
        """The last lines, without their times."""
        return [line.partition("] ")[2] or line for line in self.recent.last(count)]

    def test_the_last(self) -> None:
        """As many as are asked for; an event of several lines is several, and one without text is none."""
        self.log.info("one")
        self.log.info("")
        self.log.info("two\nthree")
        self.assertEqual(self.texts(), ["one", "two", "\tthree"])
        self.assertEqual(self.texts(1), ["\tthree"])
        self.assertEqual(self.texts(0), [])

    def test_no_more_than_are_kept(self) -> None:
        """The oldest go, and a line without end is cut."""
        for number in range(KEPT + 5):
            self.log.info("line {number}", number=number)
        self.assertEqual((len(self.texts()), self.texts()[0]), (KEPT, "line 5"))
        self.log.info("x" * 1_000_000)
        self.assertLess(len(self.texts(1)[0]), 10_000)

    def test_followers(self) -> None:
        """Hear of each line in order, in the reactor's next turn, until they have enough."""
        heard: list[str] = []
        self.log.info("before")
        stop = self.recent.follow(lambda line: heard.append(line[-3:]))
        self.log.info("one")
        self.log.info("two")
        self.assertEqual(heard, [])
        self.reactor.advance(0)
        self.assertEqual(heard, ["one", "two"])
        stop()
        self.log.info("three")
        self.reactor.advance(0)
        self.assertEqual(heard, ["one", "two"])

    def test_more_than_can_be_shown(self) -> None:
        """Before the reactor turns: the rest is left out, and its number said once."""
        heard: list[Any] = []
        self.recent.follow(heard.append)
        for _ in range(2):
            for number in range(KEPT + 7):
                self.log.info("{number}", number=number)
            self.reactor.advance(0)
            self.assertEqual(len(heard), KEPT + 1)
            self.assertEqual(heard.pop(), "[7 lines were left out: more was logged than could be shown]")
            heard.clear()
        self.log.info("last")
        self.reactor.advance(0)
        self.assertEqual(len(heard), 1)
