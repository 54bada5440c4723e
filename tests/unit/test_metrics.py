"""Counts and how long things took, against the plain truth."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.metrics import Latencies, Requests

_times = st.lists(st.floats(0, 86_000), min_size=1, max_size=200)


class LatenciesTests(SynchronousTestCase):
    def latencies(self, seconds: list[float]) -> Latencies:
        made = Latencies()
        for each in seconds:
            made.add(each)
        return made

    @given(_times, st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
    def test_quantiles(self, seconds: list[float], share: float) -> None:
        """Every share is told within an eighth of what sorting them says, below five microseconds within those."""
        found = self.latencies(seconds).quantile(share)
        assert found is not None
        true = sorted(seconds)[max(0, math.ceil(share * len(seconds)) - 1)]
        self.assertLessEqual(abs(found - true), max(true / 8, 0.000_005) * 1.001)

    @given(_times)
    def test_sums(self, seconds: list[float]) -> None:
        """Nothing is counted twice or lost."""
        made = self.latencies(seconds)
        self.assertEqual(made.count, len(seconds))
        self.assertAlmostEqual(made.seconds, sum(seconds), places=3)

    @given(_times)
    def test_bounds(self, seconds: list[float]) -> None:
        """How many did not exceed a bound: never too many, and all of those that are a quarter below it."""
        bounds = (0.001, 0.1, 1.0, 60.0, 200_000.0)
        told = list(self.latencies(seconds).up_to(bounds))
        self.assertEqual([bound for bound, _ in told], list(bounds))
        for bound, count in told:
            self.assertLessEqual(count, sum(each <= bound for each in seconds))
            self.assertGreaterEqual(count, sum(each < bound / 1.26 for each in seconds))
        self.assertEqual(told[-1][1], len(seconds))

    def test_none(self) -> None:
        """Of nothing there is no share."""
        self.assertIsNone(Latencies().quantile(0.5))

    def test_a_clock_turned_back(self) -> None:
        """Less than no time counts as none; more than a day as a day."""
        made = self.latencies([-5.0, 1e9])
        self.assertEqual(made.count, 2)
        self.assertLess(made.quantile(0.5) or 1, 0.000_01)


class RequestsTests(SynchronousTestCase):
    def test_failures(self) -> None:
        """Failures are counted by code, and among all."""
        made = Requests()
        made.latencies.add(0.1)
        made.failed_with("NotFound", 0.2)
        made.failed_with("NotFound", 0.2)
        made.failed_with("Internal", 0.2)
        self.assertEqual((made.count, made.failures, made.failed), (4, 3, {"NotFound": 2, "Internal": 1}))
