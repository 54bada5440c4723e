"""Worker threads under the real reactor: every submission has one outcome, whatever the function does."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList, gatherResults
from twisted.internet.task import deferLater
from twisted.python.threadable import isInIOThread, registerAsIOThread
from twisted.trial.unittest import TestCase

from fluxon.errors import ResourceExhausted, Unavailable
from fluxon.workers import WorkerPool

colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


class CountedReactor:
    """The real reactor, counting its wake-ups."""

    def __init__(self) -> None:
        self.woken = 0

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        self.woken += 1
        reactor.callFromThread(function, *arguments)  # type: ignore[attr-defined]


class WorkerPoolTests(TestCase):
    """Pools of one to eight threads."""

    def setUp(self) -> None:
        """As ``reactor.run`` does, which may not have been called yet when the first test begins."""
        registerAsIOThread()

    def pool(self, size: int = 2, queue_limit: int | None = None) -> WorkerPool:
        pool = WorkerPool("test", size, reactor, queue_limit)  # type: ignore[arg-type]
        self.addCleanup(pool.stop)
        return pool

    def blocked(self, pool: WorkerPool, count: int = 1) -> tuple[threading.Event, Deferred[Any]]:
        """Keeps ``count`` threads busy until the event is set."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        return gate, gatherResults([pool.submit(gate.wait, 30) for _ in range(count)])

    async def test_results(self) -> None:
        """The function runs in a thread, its result arrives on the reactor's."""
        pool = self.pool()
        there = pool.submit(isInIOThread)
        here = there.addCallback(lambda answer: (answer, isInIOThread()))
        self.assertEqual(await here, (False, True))
        self.assertEqual(await pool.submit(lambda a, *, b: (a, b), 1, b=2), (1, 2))
        self.assertEqual(await pool.submit(lambda: None), None)

    async def test_exceptions(self) -> None:
        """Any exception is the Deferred's, those that end programs too, and the thread goes on."""
        pool = self.pool(size=1)

        def leave(kind: type[BaseException]) -> None:
            raise kind("x")

        for kind in (ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, MemoryError):
            caught = await pool.submit(leave, kind).addErrback(lambda failure: failure.value)
            self.assertIs(type(caught), kind)
        self.assertEqual(await pool.submit(threading.active_count), threading.active_count())
        self.assertEqual(len({await pool.submit(threading.get_ident) for _ in range(3)}), 1)

    async def test_opens_nothing_before_use(self) -> None:
        """No thread until there is work; no more of them than work; never more than the size."""
        before = set(threading.enumerate())
        pool = self.pool(size=8)
        self.assertEqual(set(threading.enumerate()), before)
        for _ in range(5):
            await pool.submit(lambda: None)
        started = set(threading.enumerate()) - before
        self.assertEqual(len(started), 1)
        gate, done = self.blocked(pool, 20)
        started = set(threading.enumerate()) - before
        self.assertEqual(len(started), 8)
        self.assertTrue(all(each.daemon for each in started))
        self.assertTrue(all(each.name.startswith("fluxon-test-") for each in started))
        gate.set()
        await done

    async def test_the_queue_is_bounded(self) -> None:
        """All threads busy and the queue full: refused at once; taken again when there is room."""
        pool = self.pool(size=2, queue_limit=3)
        gate, done = self.blocked(pool, 5)
        self.assertEqual((pool.busy, pool.waiting), (5, 3))
        await self.assertFailure(pool.submit(lambda: None), ResourceExhausted)
        gate.set()
        await done
        self.assertEqual((pool.busy, pool.waiting), (0, 0))
        self.assertEqual(await pool.submit(lambda: 1), 1)

    async def test_idle_threads_are_not_a_full_queue(self) -> None:
        """With no queue at all, as many as there are threads are taken, and not one more."""
        pool = self.pool(size=2, queue_limit=0)
        for _ in range(3):
            gate, done = self.blocked(pool, 2)
            await self.assertFailure(pool.submit(lambda: None), ResourceExhausted)
            gate.set()
            await done

    async def test_cancelled_before_it_began(self) -> None:
        """A function that waits is skipped; the others are not disturbed."""
        pool = self.pool(size=1)
        gate, done = self.blocked(pool)
        ran: list[int] = []
        waiting = [pool.submit(ran.append, number) for number in range(3)]
        waiting[1].cancel()
        await self.assertFailure(waiting[1], CancelledError)
        gate.set()
        await done
        await gatherResults([waiting[0], waiting[2]])
        self.assertEqual(ran, [0, 2])
        self.assertEqual(pool.busy, 0)

    async def test_cancelled_while_it_runs(self) -> None:
        """The caller is free at once; the thread is taken until the function returns, and its result is dropped."""
        pool = self.pool(size=1)
        begun, gate = threading.Event(), threading.Event()
        self.addCleanup(gate.set)

        def work() -> None:
            begun.set()
            gate.wait(30)
            raise ValueError("nobody hears this")

        running = pool.submit(work)
        begun.wait(30)
        running.cancel()
        await self.assertFailure(running, CancelledError)
        self.assertEqual(pool.busy, 1)
        gate.set()
        self.assertEqual(await pool.submit(lambda: "next"), "next")
        self.assertEqual(self.flushLoggedErrors(ValueError), [])

    async def test_context(self) -> None:
        """A function sees the contextvars of its caller, and changes nobody's."""
        pool = self.pool(size=1)

        def paint() -> str:
            before = colour.get()
            colour.set("painted")
            return before

        token = colour.set("red")
        first = pool.submit(paint)
        colour.set("blue")
        second = pool.submit(paint)
        self.assertEqual(await gatherResults([first, second]), ["red", "blue"])
        self.assertEqual(colour.get(), "blue")
        colour.reset(token)
        self.assertEqual(await pool.submit(paint), "none")

    async def test_ten_thousand(self) -> None:
        """Every one of 10,000 submissions gets its own result, in far fewer wake-ups of the reactor."""
        counted = CountedReactor()
        pool = WorkerPool("test", 4, counted)  # type: ignore[arg-type]
        self.addCleanup(pool.stop)
        results = await gatherResults([pool.submit(int, number) for number in range(10_000)])
        self.assertEqual(results, list(range(10_000)))
        self.assertEqual((pool.busy, pool.waiting), (0, 0))
        self.assertLess(counted.woken, 5_000)

    async def test_work_from_callbacks(self) -> None:
        """A callback that submits again does not keep the reactor from others: a timer fires in between."""
        pool = self.pool(size=1)
        turns = 0
        stop = False

        def again(_: Any) -> Deferred[Any] | None:
            nonlocal turns
            turns += 1
            return None if stop else pool.submit(lambda: None).addCallback(again)

        chain = again(None)
        await deferLater(reactor, 0.05, lambda: None)
        stop = True
        await chain
        self.assertGreater(turns, 10)

    async def test_stopping(self) -> None:
        """What was taken is done, what comes later is ``Unavailable``, and the threads end."""
        pool = self.pool(size=2)
        before = set(threading.enumerate())
        gate, done = self.blocked(pool, 4)
        threads = set(threading.enumerate()) - before
        pool.stop()
        await self.assertFailure(pool.submit(lambda: None), Unavailable)
        gate.set()
        await done
        for each in threads:
            each.join(10)
            self.assertFalse(each.is_alive())

    async def test_a_system_without_threads(self) -> None:
        """When no thread can be started the work goes to those that are there, or is refused; none is lost."""
        pool = self.pool(size=3)
        await pool.submit(lambda: None)

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        self.patch(threading.Thread, "start", refuse)
        done = await DeferredList([pool.submit(int, number) for number in range(20)])
        self.assertEqual([value for _, value in done], list(range(20)))
        await self.assertFailure(self.pool().submit(lambda: None), ResourceExhausted)
