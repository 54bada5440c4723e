"""A fairly shared pool by itself: shares, waiting, giving up, stopping."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from fluxon.errors import ResourceExhausted, Unavailable
from fluxon.fairness import FairThreads
from fluxon.limits import Limits
from fluxon.workers import WorkerPool


def threads_for(size: int, queue: int) -> FairThreads:
    """A pool as a server has it by default."""
    limits = Limits()
    return FairThreads(WorkerPool("test", size, reactor), queue, limits.share_of_session, limits.share_of_address)


class FairThreadsTests(TestCase):
    """Each test releases its hung views by itself."""

    timeout = 30

    def setUp(self) -> None:
        self.released = threading.Event()
        self.addCleanup(self.released.set)
        self.began: list[Any] = []

    def hang(self, request: Any) -> Any:
        self.began.append(request)
        self.released.wait(20)
        return request

    async def until_begun(self, count: int) -> None:
        while len(self.began) < count:
            await deferLater(reactor, 0.002)

    def test_results_and_errors(self) -> Any:
        """What the function returns or raises is what the Deferred fires with."""
        threads = threads_for(4, 10)
        self.addCleanup(threads.stop)
        failing = self.assertFailure(threads.run("a", lambda request: {}[request], 1), KeyError)
        return (
            threads.run("a", lambda request: request * 2, 4)
            .addCallback(self.assertEqual, 8)
            .addCallback(lambda _: failing)
        )

    async def test_order_within_a_session(self) -> None:
        """What a session asks beyond its share runs in the order it was asked."""
        threads = threads_for(4, 100)
        self.addCleanup(threads.stop)
        results = [threads.run("a", self.hang, number) for number in range(5)]
        await self.until_begun(1)
        self.assertEqual(threads.waiting, 4)
        self.released.set()
        self.assertEqual([await each for each in results], [0, 1, 2, 3, 4])
        self.assertEqual(self.began, [0, 1, 2, 3, 4])
        self.assertEqual((threads.waiting, threads._shares), (0, {}))

    async def test_free_threads_are_used_though_others_wait(self) -> None:
        """A full queue is no reason to refuse whoever needs no queue."""
        threads = threads_for(8, 2)
        self.addCleanup(threads.stop)
        hung = [threads.run(name, self.hang, name) for name in "aaabbb"]
        await self.until_begun(4)
        self.assertEqual(threads.waiting, 2)
        self.assertEqual(await threads.run("c", lambda request: "c", None), "c")
        self.released.set()
        self.assertEqual([await each for each in hung], list("aaabbb"))

    async def test_the_queue_is_bounded(self) -> None:
        """With every thread taken and the queue full, more is refused at once, whoever asks."""
        threads = threads_for(2, 3)
        self.addCleanup(threads.stop)
        hung = [threads.run(name, self.hang, name) for name in "abcde"]
        await self.until_begun(2)
        await self.assertFailure(threads.run("f", self.hang, "f"), ResourceExhausted)
        await self.assertFailure(threads.run("a", self.hang, "a"), ResourceExhausted)
        self.released.set()
        self.assertEqual([await each for each in hung], list("abcde"))

    async def test_sessions_of_an_address(self) -> None:
        """However many, they leave half of the threads and of the queue to others, and take turns for their own."""
        threads = threads_for(8, 16)
        self.addCleanup(threads.stop)
        hung = [threads.run(name, self.hang, name, "192.0.2.1") for name in "aaabbbccc"]
        await self.until_begun(4)
        self.assertEqual((sorted(self.began), threads.busy, threads.waiting), (["a", "a", "b", "b"], 4, 5))
        for _ in range(3):
            hung.append(threads.run("d", self.hang, "d", "192.0.2.1"))
        await self.assertFailure(threads.run("e", self.hang, "e", "192.0.2.1"), ResourceExhausted)
        for name, address in (("x", "192.0.2.2"), ("y", None)):
            self.assertEqual(await threads.run(name, lambda request: request, 1, address), 1)
        self.released.set()
        await DeferredList(hung)
        # Whoever waits longest for a turn is first, whichever session has just ended.
        self.assertEqual(sorted(self.began[4:8]), ["a", "b", "c", "d"])
        self.assertEqual((threads.waiting, threads._shares, threads._parts), (0, {}, {}))

    async def test_giving_up_while_waiting(self) -> None:
        """It never runs, and its place is free at once."""
        threads = threads_for(4, 8)
        self.addCleanup(threads.stop)
        first, second = threads.run("a", self.hang, 1), threads.run("a", self.hang, 2)
        await self.until_begun(1)
        second.cancel()
        await self.assertFailure(second, CancelledError)
        self.assertEqual(threads.waiting, 0)
        self.released.set()
        self.assertEqual(await first, 1)
        self.assertEqual(self.began, [1])

    async def test_giving_up_on_one_in_the_middle(self) -> None:
        """Of several that wait the one that was meant goes; the others run, in their order."""
        threads = threads_for(4, 8)
        self.addCleanup(threads.stop)
        first, second, third = (threads.run("a", self.hang, number) for number in (1, 2, 3))
        await self.until_begun(1)
        third.cancel()
        await self.assertFailure(third, CancelledError)
        fourth = threads.run("a", self.hang, 4)
        self.assertEqual(threads.waiting, 2)
        self.released.set()
        self.assertEqual([await each for each in (first, second, fourth)], [1, 2, 4])
        self.assertEqual((self.began, threads.waiting), ([1, 2, 4], 0))

    async def test_giving_up_on_one_that_runs(self) -> None:
        """It cannot be stopped: it is over when it is over."""
        threads = threads_for(4, 8)
        self.addCleanup(threads.stop)
        running = threads.run("a", self.hang, 1)
        await self.until_begun(1)
        running.cancel()
        self.assertFalse(running.called)
        self.released.set()
        self.assertEqual(await running, 1)

    async def test_giving_up_on_what_it_returned(self) -> None:
        """A Deferred that a view returned is cancelled with it."""
        threads = threads_for(4, 8)
        self.addCleanup(threads.stop)
        inner: Deferred[None] = Deferred()
        result = threads.run("a", lambda request: inner, 1)
        while threads._shares:
            await deferLater(reactor, 0.002)
        result.cancel()
        await self.assertFailure(result, CancelledError)
        self.assertTrue(inner.called)

    async def test_stopping(self) -> None:
        """What waits is told, what runs ends, nothing begins any more; no error is left behind."""
        threads = threads_for(4, 2_000)
        hung = [threads.run("a", self.hang, number) for number in range(400)]
        await self.until_begun(1)
        threads.stop()
        for each in hung[1:]:
            await self.assertFailure(each, Unavailable)
        await self.assertFailure(threads.run("b", self.hang, 9), Unavailable)
        self.released.set()
        self.assertEqual(await hung[0], 0)
        self.assertEqual((threads.waiting, threads._shares), (0, {}))
        self.assertEqual(self.flushLoggedErrors(), [])
