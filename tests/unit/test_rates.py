"""Token buckets by themselves."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.rates import Allowance, Bucket


def asked(allowance: Allowance, times: int, now: float) -> int:
    """How many of so many requests are allowed."""
    allowed = 0
    for _ in range(times):
        allowance.left -= 1
        allowed += allowance.left >= 0 or allowance.refill(now) is None
    return allowed


class BucketTests(SynchronousTestCase):
    def test_fills(self) -> None:
        """Full at first, ``rate`` a second from then on, and never more than it may save."""
        bucket = Bucket(10, 2.0, 100.0, "session")
        self.assertEqual((bucket.holds(100.0), bucket.used(100.0), bucket.wait(100.0)), (20, 0, 0))
        bucket.take(20)
        self.assertEqual(bucket.wait(100.0), 0.1)
        self.assertEqual((bucket.holds(100.5), bucket.used(100.5)), (5, 15))
        self.assertEqual(bucket.holds(1_000.0), 20)

    def test_clock_turned_back(self) -> None:
        """It gives nothing, takes nothing, and goes on from there."""
        bucket = Bucket(10, 2.0, 100.0, "session")
        bucket.take(20)
        self.assertEqual(bucket.holds(50.0), 0)
        self.assertEqual(bucket.holds(50.5), 5)

    def test_slow_rates(self) -> None:
        """One that saves up less than a request can still make one at a time."""
        bucket = Bucket(1, 0.1, 0.0, "session")
        self.assertEqual(bucket.holds(10.0), 1)


class AllowanceTests(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(
        st.integers(1, 500), st.floats(0.1, 5), st.lists(st.tuples(st.floats(0, 3), st.integers(0, 400)), max_size=20)
    )
    def test_bound(self, rate: int, burst: float, steps: list[tuple[float, int]]) -> None:
        """However it is used: what was saved up, the rate times the time, and one lot, never more."""
        allowance = Allowance([Bucket(rate, burst, 0.0, "session")])
        now, allowed = 0.0, 0
        for wait, times in steps:
            now += wait
            allowed += asked(allowance, times, now)
        self.assertLessEqual(allowed, max(1.0, rate * burst) + rate * now + 32)

    def test_nothing_is_lost(self) -> None:
        """Who asks all the time gets all of it."""
        allowance = Allowance([Bucket(100, 1.0, 0.0, "session")])
        allowed = sum(asked(allowance, 10, step / 100) for step in range(1_001))
        self.assertIn(allowed, range(1_099, 1_102))

    def test_two_buckets(self) -> None:
        """The scarcer one decides, and is named."""
        session, address = Bucket(10, 1.0, 0.0, "session"), Bucket(100, 1.0, 0.0, "address")
        allowance = Allowance([session, address])
        self.assertEqual(asked(allowance, 50, 0.0), 10)
        self.assertIs(allowance.refill(0.0), session)
        others = [Allowance([Bucket(10, 1.0, 0.0, "session"), address]) for _ in range(20)]
        self.assertEqual(sum(asked(each, 10, 0.0) for each in others), 90)
        self.assertIs(others[-1].refill(0.0), address)

    def test_lots_are_no_more_than_was_used(self) -> None:
        """A thousand quiet connections do not hold what one at their address needs."""
        address = Bucket(5_000, 2.0, 0.0, "address")
        for _ in range(1_000):
            asked(Allowance([address]), 3, 0.0)
        self.assertEqual(address.used(0.0), 3_000)
