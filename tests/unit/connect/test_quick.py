"""Waiting for an answer: awake for a moment where that pays, asleep otherwise, and nothing lost."""

from __future__ import annotations

import socket
from time import perf_counter

from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.connect import quick
from fluxon.connect.quick import _REST, QuickReads


class _Clock:
    """Counts how often it was asked, which only a thread that stays awake does."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        return perf_counter()


class QuickReadsTests(TestCase):
    def setUp(self) -> None:
        self.far, near = socket.socketpair()
        self.addCleanup(self.far.close)
        self.addCleanup(near.close)
        self.clock = _Clock()
        self.reads = QuickReads(near, self.clock)
        self.addCleanup(self.reads.close)
        if self.reads._poll is None:
            self.skipTest("this system has no poll()")

    def waits_awake(self, *, alone: bool = True) -> bool:
        """Whether a wait, which finds nothing to read, stayed awake first."""
        before = self.clock.asked
        self.assertFalse(self.reads.wait(alone=alone))
        return self.clock.asked > before

    def answer(self, data: bytes) -> bytes:
        self.far.sendall(data)
        self.assertTrue(self.reads.wait(alone=True))
        return self.reads.arrived.popleft()

    def test_takes_what_comes(self) -> None:
        """What the other side sends is read, in order, whole."""
        self.assertEqual(self.answer(b"one"), b"one")
        self.assertEqual(self.answer(b"two" * 1_000), b"two" * 1_000)

    def test_the_end(self) -> None:
        """The end of the connection is nothing to wait for: it is read as no bytes."""
        self.far.close()
        self.assertTrue(self.reads.wait(alone=True))
        self.assertEqual(self.reads.arrived.popleft(), b"")

    def test_rests_after_vain_watches(self) -> None:
        """Who stayed awake in vain sleeps at once for a while, and for twice as long the next time."""
        self.assertTrue(self.waits_awake())
        self.assertEqual([self.waits_awake() for _ in range(_REST)], [False] * _REST)
        self.assertTrue(self.waits_awake())
        self.assertEqual([self.waits_awake() for _ in range(2 * _REST)], [False] * 2 * _REST)

    def test_an_answer_in_time_ends_the_doubling(self) -> None:
        """A server that answers at once is watched for again."""
        self.waits_awake()
        for _ in range(_REST):
            self.answer(b"x")
        self.answer(b"x")
        self.assertTrue(self.waits_awake())
        self.assertEqual([self.waits_awake() for _ in range(_REST)], [False] * _REST)
        self.assertTrue(self.waits_awake())

    def test_sleeps_among_others(self) -> None:
        """While other threads wait, nobody keeps a core from them."""
        self.assertFalse(self.waits_awake(alone=False))


class OtherSystemTests(SynchronousTestCase):
    """What this system has and others do not is not needed."""

    def test_without_flag_and_poll(self) -> None:
        """A wait ends within its time, and what comes is read: where calls cannot say that they must not wait."""
        self.patch(quick, "AT_ONCE", 0)
        self.patch(quick, "select", object())
        far, near = socket.socketpair()
        self.addCleanup(far.close)
        self.addCleanup(near.close)
        reads = QuickReads(near)
        self.addCleanup(reads.close)
        self.assertRaises(BlockingIOError, near.recv, 1)
        began = perf_counter()
        self.assertFalse(reads.wait(alone=True))
        self.assertLess(perf_counter() - began, 100 * quick.QUICK)
        far.sendall(b"one")
        self.assertTrue(reads.wait(alone=True))
        self.assertEqual(reads.arrived.popleft(), b"one")
