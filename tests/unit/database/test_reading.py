"""The threads that read for the reactor: each piece has its own outcome, and a slow one harms nobody else."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

from pytest import MonkeyPatch
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.python.threadable import isInIOThread, registerAsIOThread
from twisted.trial.unittest import TestCase

from fluxon.database.sqlite import reading as readings
from fluxon.database.sqlite.reading import ReadingThreads
from fluxon.errors import ResourceExhausted, Unavailable
from fluxon.workers import ReactorInbox


class CountedReactor:
    """The real reactor, counting its wake-ups."""

    def __init__(self) -> None:
        self.woken = 0

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        self.woken += 1
        reactor.callFromThread(function, *arguments)  # type: ignore[attr-defined]


def at_once(work: Any, *args: Any) -> Any:
    """Work that needs no connection."""
    return work(*args)


class ReadingTests(TestCase):
    """Real threads under the real reactor."""

    def setUp(self) -> None:
        registerAsIOThread()
        self.counted = CountedReactor()
        self.name = self.id()
        self.threads = ReadingThreads(self.name, at_once, ReactorInbox(self.counted))  # type: ignore[arg-type]
        self.addCleanup(self.threads.stop)
        self.release = threading.Event()
        self.addCleanup(self.release.set)

    def stuck(self) -> tuple[threading.Event, Deferred[Any]]:
        """A piece that lasts until the end of the test (or ``release``); the event says that it began."""
        begun = threading.Event()

        def work() -> str:
            begun.set()
            self.release.wait(30)
            return "released"

        return begun, self.threads.submit(work)

    def names(self) -> set[str]:
        """The threads of this room that run."""
        return {each.name for each in threading.enumerate() if each.name.startswith(self.name)}

    async def test_results_and_errors(self) -> None:
        """Each caller gets its own result, or what its own work raised, those that end programs included."""

        def leave(kind: type[BaseException]) -> None:
            raise kind("x")

        kinds = (ValueError, SystemExit, KeyboardInterrupt, MemoryError)
        failing = [self.threads.submit(leave, kind).addErrback(lambda failure: failure.value) for kind in kinds]
        self.assertEqual(await self.threads.submit(lambda a, b: (a, b, isInIOThread()), 1, 2), (1, 2, False))
        self.assertEqual([type(each) for each in await gatherResults(failing)], list(kinds))

    async def test_one_thread_for_many(self) -> None:
        """Nothing is started before the first read; then one thread answers a thousand in a few crossings."""
        self.assertEqual(self.names(), set())
        idents = await gatherResults([self.threads.submit(threading.get_ident) for _ in range(1000)])
        self.assertEqual(len(set(idents)), 1)
        self.assertEqual(self.names() - {f"{self.name}-watch"}, {f"{self.name}-1"})
        self.assertLess(self.counted.woken, 100)

    async def test_order(self) -> None:
        """What was asked first is read first."""
        seen: list[int] = []
        await gatherResults([self.threads.submit(seen.append, number) for number in range(500)])
        self.assertEqual(seen, list(range(500)))

    async def test_a_slow_read_holds_back_nobody(self) -> None:
        """Those behind it are answered while it goes on, also what was answered before it in the same crossing."""
        before = self.threads.submit(lambda: "before")
        _, slow = self.stuck()
        behind = [self.threads.submit(int, number) for number in range(64)]
        self.assertEqual(await before, "before")
        self.assertEqual(await gatherResults(behind), list(range(64)))
        self.assertFalse(slow.called)
        self.release.set()
        self.assertEqual(await slow, "released")

    async def test_several_slow_reads(self) -> None:
        """One less than there are threads may be slow; with all of them slow the next waits, and is answered after."""
        slow = [self.stuck()[1] for _ in range(readings.MAX_THREADS - 1)]
        self.assertEqual(await self.threads.submit(lambda: "quick"), "quick")
        begun, last = self.stuck()
        while not begun.is_set():
            await self.threads_turn()
        waiting = self.threads.submit(lambda: "waited")
        self.assertEqual(len(self.names()), readings.MAX_THREADS + 1)
        self.assertFalse(waiting.called)
        self.release.set()
        self.assertEqual(await waiting, "waited")
        self.assertEqual(set(await gatherResults([*slow, last])), {"released"})

    def threads_turn(self) -> Deferred[None]:
        """Let the reactor, and with it the threads, go on for a turn."""
        turned: Deferred[None] = Deferred()
        reactor.callLater(0.001, turned.callback, None)  # type: ignore[attr-defined]
        return turned

    async def test_cancelled_before_it_began(self) -> None:
        """What waits behind another is skipped; its neighbours are read."""
        ran: list[int] = []
        gate = threading.Event()
        self.threads.submit(gate.wait, 30)
        waiting = [self.threads.submit(ran.append, number) for number in range(3)]
        waiting[1].cancel()
        await self.assertFailure(waiting[1], CancelledError)
        gate.set()
        await gatherResults([waiting[0], waiting[2]])
        self.assertEqual(ran, [0, 2])

    async def test_cancelled_while_it_runs(self) -> None:
        """Its caller is free at once, its late result is dropped, and reading goes on."""
        begun, slow = self.stuck()
        begun.wait(30)
        slow.cancel()
        await self.assertFailure(slow, CancelledError)
        self.release.set()
        self.assertEqual(await self.threads.submit(lambda: "next"), "next")

    async def test_the_queue_is_bounded(self) -> None:
        """Refused at once when it is full; taken again when there is room."""
        self.patch(readings, "MAX_WAITING", 2)
        self.patch(readings, "MAX_THREADS", 1)
        begun, slow = self.stuck()
        begun.wait(30)
        waiting = [self.threads.submit(int, number) for number in range(2)]
        await self.assertFailure(self.threads.submit(int), ResourceExhausted)
        self.release.set()
        self.assertEqual(await gatherResults([slow, *waiting]), ["released", 0, 1])
        self.assertEqual(await self.threads.submit(int), 0)

    async def test_stop_while_busy(self) -> None:
        """What waits is still answered, what comes later is Unavailable, and every thread ends."""
        begun, slow = self.stuck()
        begun.wait(30)
        waiting = [self.threads.submit(int, number) for number in range(64)]
        self.threads.stop()
        await self.assertFailure(self.threads.submit(int), Unavailable)
        self.release.set()
        self.assertEqual(await gatherResults([slow, *waiting]), ["released", *range(64)])
        for each in [each for each in threading.enumerate() if each.name.startswith(self.name)]:
            each.join(30)
        self.assertEqual(self.names(), set())

    async def test_no_thread_can_be_had(self) -> None:
        """A read is refused, not kept for ever; when the system has threads again, the next is read."""

        def start(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with MonkeyPatch.context() as system:
            system.setattr(threading.Thread, "start", start)
            await self.assertFailure(self.threads.submit(int), ResourceExhausted)
            self.assertEqual(self.threads.waiting, 0)
        self.assertEqual(await self.threads.submit(int, 7), 7)
        begun, slow = self.stuck()
        begun.wait(30)
        with MonkeyPatch.context() as system:
            system.setattr(threading.Thread, "start", start)
            behind = self.threads.submit(lambda: "behind")  # nobody watches the slow one, so it waits for it
        self.release.set()
        self.assertEqual(await gatherResults([slow, behind]), ["released", "behind"])

    async def test_no_wake_up_is_lost(self) -> None:
        """Bursts of all sizes, slow pieces and cancellations among them: every call is answered, with its own."""
        chance = random.Random(5)
        self.patch(readings, "WATCH_SECONDS", 0.0005)  # turns change hands all the time
        until = time.monotonic() + 1.5
        answered = 0

        async def caller(number: int) -> None:
            nonlocal answered
            while time.monotonic() < until:
                pause = chance.choice((0, 0, 0, 0, 0.0002, 0.003))
                call = self.threads.submit(lambda pause=pause: (time.sleep(pause), number)[1])
                if chance.random() < 0.1:
                    call.cancel()
                    await self.assertFailure(call, CancelledError)
                else:
                    self.assertEqual(await call, number)
                answered += 1
                if chance.random() < 0.1:
                    await self.threads_turn()  # the queue runs dry now and then

        await gatherResults([Deferred.fromCoroutine(caller(number)) for number in range(16)])
        self.assertGreater(answered, 100)
        self.assertEqual(await self.threads.submit(int, 7), 7)
