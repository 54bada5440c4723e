"""Delays between attempts to connect."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.backoff import FIRST_DELAY, MAX_DELAY, Backoff


class BackoffTests(SynchronousTestCase):
    def test_grows_to_its_bound(self) -> None:
        """Each delay is twice the one before, and none is longer than the bound."""
        backoff = Backoff(lambda: 1.0)
        delays = [backoff.next() for _ in range(12)]
        self.assertEqual(delays[:4], [FIRST_DELAY, 0.2, 0.4, 0.8])
        self.assertEqual(delays[-1], MAX_DELAY)

    def test_jitter_spreads_over_half(self) -> None:
        """Clients that lost one server at the same time come back at different times, none at once."""
        earliest, latest = Backoff(lambda: 0.0), Backoff(lambda: 0.999)
        for _ in range(10):
            low, high = earliest.next(), latest.next()
            self.assertAlmostEqual(low / high, 0.5, places=2)
            self.assertGreater(low, 0)

    def test_short_lived_connection_does_not_reset(self) -> None:
        """A server that takes connections and drops them is not knocked at ten times a second; one that was up for a
        while is soon tried again."""
        backoff = Backoff(lambda: 1.0)
        for _ in range(5):
            backoff.next()
        backoff.connected_for(0.5)
        self.assertGreater(backoff.next(), 1)
        backoff.connected_for(2)
        self.assertEqual(backoff.next(), FIRST_DELAY)
