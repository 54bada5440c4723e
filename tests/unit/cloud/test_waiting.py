"""What uploads hold in memory: in order, unchanged, and charged for what it keeps alive."""

from __future__ import annotations

import os
import random

from twisted.trial.unittest import SynchronousTestCase

from fluxon.cloud.waiting import SMALL, Batch, Budget, Waiting

KIB = 1024


class WaitingTests(SynchronousTestCase):
    """One upload's."""

    def setUp(self) -> None:
        self.budget = Budget(1_000 * KIB)
        self.waiting = Waiting(self.budget)

    def take(self, most: int) -> tuple[Batch, bytes]:
        """A batch, and its bytes."""
        batch = self.waiting.take(most)
        data = b"".join(batch.pieces)
        self.assertIn(len(data), (0, batch.size))
        batch.pieces.clear()
        self.waiting.done(batch)
        return batch, data

    def test_order(self) -> None:
        """However it is cut, what is taken is what was held; what is in the file already is told by its size."""
        chance = random.Random(7)
        for _ in range(50):
            held = bytearray()
            there = 0
            for _ in range(30):
                size = chance.choice((1, 9, SMALL - 1, SMALL, 20 * KIB))
                if chance.random() < 0.2:
                    self.waiting.note_written(size)
                    held += bytes(size)
                    there += size
                else:
                    data = os.urandom(size)
                    self.assertTrue(self.waiting.hold(memoryview(data)))
                    held += data
            taken = bytearray()
            while len(taken) < len(held):
                batch, data = self.take(chance.choice((1, 1_000, 32 * KIB)))
                taken += data if data else bytes(batch.size)
                there -= 0 if data else batch.size
            self.assertEqual((taken, there), (held, 0))
            self.assertEqual(self.budget.left, 1_000 * KIB)

    def test_charges(self) -> None:
        """A buffer is charged once for all its pieces; a small piece is copied, and keeps nothing else alive."""
        buffer = memoryview(bytes(100 * KIB))
        for start in (0, 50 * KIB):
            self.assertTrue(self.waiting.hold(buffer[start : start + 50 * KIB]))
        self.assertEqual(self.budget.left, 900 * KIB)
        self.assertTrue(self.waiting.hold(memoryview(bytes(500 * KIB))[: 10 * KIB]))
        self.assertEqual(self.budget.left, 890 * KIB)
        for _ in range(1_000):
            self.assertTrue(self.waiting.hold(b"x"))
        self.assertEqual(self.budget.left, 890 * KIB - 1_000)
        self.assertLess(len(self.waiting._queue), 10)
        self.waiting.clear()
        self.assertEqual(self.budget.left, 1_000 * KIB)

    def test_no_more(self) -> None:
        """What the budget does not allow is not held, and what was stays."""
        self.assertTrue(self.waiting.hold(b"a" * 900 * KIB))
        self.assertFalse(self.waiting.hold(b"b" * 200 * KIB))
        self.assertFalse(self.waiting.hold(bytearray(200 * KIB)))
        self.assertEqual(self.take(2_000 * KIB)[1], b"a" * 900 * KIB)
        self.assertTrue(self.waiting.hold(b"b" * 200 * KIB))
