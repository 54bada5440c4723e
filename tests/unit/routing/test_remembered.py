"""What is remembered of requests with a key, by a clock of the test's own."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.limits import Limits
from fluxon.routing.repeats import Answers, Keyed, Pool


class PoolTests(SynchronousTestCase):
    """All sessions of one kind."""

    def setUp(self) -> None:
        self.pool = Pool(Limits(repeat_time=100))
        self.peer: Any = object()

    def end(self, answers: Answers, key: str, now: float) -> Keyed:
        """The request with ``key`` has ended ``now``."""
        keyed = answers.keyed[key] = Keyed(answers, key, b"", self.peer)
        keyed.done, keyed.answer = True, b"1234"
        self.pool.add(keyed, answers, now)
        return keyed

    def test_time(self) -> None:
        """Whatever ends takes with it what ended too long ago, of every session, though nobody asks for that again."""
        first, second = Answers(self.pool), Answers(self.pool)
        old = self.end(first, "a", 1_000)
        kept = self.end(first, "b", 1_050)
        last = self.end(second, "a", 1_100)
        self.assertEqual((list(first.keyed), list(second.keyed)), (["b"], ["a"]))
        self.assertIsNone(old.answers)
        self.assertEqual((first.size, second.size), (kept.size, last.size))
        self.assertEqual(self.pool.size, kept.size + last.size)
        self.end(second, "b", 1_300)
        self.assertEqual((list(first.keyed), list(second.keyed), first.size), ([], ["b"], 0))
