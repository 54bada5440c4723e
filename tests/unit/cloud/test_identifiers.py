"""Keys in the order of time."""

from __future__ import annotations

import threading

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fluxon.cloud.identifiers import Identifiers, first_of


class Draw(SynchronousTestCase):
    """``Identifiers.draw``."""

    def test_order(self) -> None:
        """Each is greater than the one before, also when the clock is set back; none needs more than 63 bits."""
        clock = Clock()
        clock.advance(1_800_000_000)
        identifiers = Identifiers(clock.seconds)
        drawn = [identifiers.draw() for _ in range(1_000)]
        clock.rightNow -= 3_600
        drawn += [identifiers.draw() for _ in range(1_000)]
        self.assertEqual(drawn, sorted(set(drawn)))
        self.assertLess(drawn[-1], 2**63)

    def test_time(self) -> None:
        """A moment is a range of keys."""
        clock = Clock()
        clock.advance(1_800_000_000)
        identifiers = Identifiers(clock.seconds)
        before = identifiers.draw()
        clock.advance(1)
        after = identifiers.draw()
        self.assertLess(before, first_of(clock.seconds()))
        self.assertGreaterEqual(after, first_of(clock.seconds()))

    def test_threads(self) -> None:
        """No two threads draw the same."""
        identifiers = Identifiers(lambda: 1_800_000_000.0)
        drawn: list[int] = []

        def draw() -> None:
            drawn.extend([identifiers.draw() for _ in range(2_000)])

        threads = [threading.Thread(target=draw) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(drawn)), 8_000)
