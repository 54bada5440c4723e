"""The one rule about threads, with the real reactor: a promise is never mistaken for its result, a wait always ends."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList, fail, gatherResults, inlineCallbacks, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.python.threadable import registerAsIOThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.blocking import Pending, either, on_reactor_thread, pending, wait_for
from fluxon.errors import DeadlineExceeded, NotFound, Unavailable


class PendingTests(SynchronousTestCase):
    """What a forgotten ``await`` runs into, and what works as with any Deferred."""

    def test_refuses_to_be_the_result(self) -> None:
        """``if``, ``not``, ``len``, an index, a loop, ``in``, comparisons and numbers: each says what was forgotten."""
        uses: list[Callable[[Any], Any]] = [
            bool,
            operator.not_,
            len,
            list,
            tuple,
            iter,
            sorted,
            any,
            all,
            set,
            dict,
            int,
            float,
            range,
            lambda it: it[0],
            lambda it: it["id"],
            lambda it: 1 in it,
            lambda it: it in [1],
            lambda it: [*it],
            lambda it: it == 1,
            lambda it: it == it,
            lambda it: it != None,  # noqa: E711
            lambda it: 1 == it,  # noqa: SIM300
            lambda it: it < 1,
            lambda it: 1 < it,  # noqa: SIM300
            lambda it: it >= 1,
            lambda it: it <= 1,
            lambda it: it or 1,
            lambda it: it and 1,
            lambda it: [0][it],
            lambda it: it + 1,
            lambda it: 2 / it,
            lambda it: f"{it}",
            str,
        ]
        for number, use in enumerate(uses):
            with self.subTest(number):
                error = self.assertRaises(TypeError, use, pending(succeed([1])))
                self.assertIn("forgot to await", str(error))

    def test_what_it_does_not_have(self) -> None:
        """A row's column is looked for on the promise of the row; what a Deferred has is there."""
        promise = pending(succeed(1))
        error = self.assertRaises(AttributeError, lambda: promise.username)
        self.assertIn("no 'username' here", str(error))
        self.assertIn("forgot to await", str(error))
        self.assertFalse(hasattr(promise, "email"))
        self.assertTrue(promise.called)

    def test_can_be_kept(self) -> None:
        """It has an identity: programs keep promises in sets and dicts."""
        first, second = pending(succeed(1)), pending(succeed(2))
        self.assertEqual(len({first, second}), 2)
        self.assertIs({first: "x"}[first], "x")
        self.assertIn("Pending", repr(first))
        self.assertIs(pending(first), first)

    def test_await(self) -> None:
        """Fired already or not yet, a result or a failure."""

        async def use(promise: Pending[int]) -> int:
            return await promise + 1

        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(use(pending(succeed(1))))), 2)
        later: Deferred[int] = Deferred()
        waiting = Deferred.fromCoroutine(use(pending(later)))
        self.assertNoResult(waiting)
        later.callback(41)
        self.assertEqual(self.successResultOf(waiting), 42)
        self.failureResultOf(Deferred.fromCoroutine(use(pending(fail(NotFound())))), NotFound)

    def test_callbacks_and_chains(self) -> None:
        """Callbacks, chaining under another Deferred, and errbacks."""
        self.assertEqual(self.successResultOf(pending(succeed(1)).addCallback(lambda value: value + 1)), 2)
        self.assertEqual(self.successResultOf(succeed(0).addCallback(lambda _: pending(succeed(7)))), 7)
        self.assertEqual(
            self.successResultOf(pending(fail(NotFound())).addErrback(lambda failure: failure.check(NotFound))),
            NotFound,
        )
        outer: Deferred[int] = Deferred()
        pending(succeed(3)).chainDeferred(outer)
        self.assertEqual(self.successResultOf(outer), 3)

    def test_gathered(self) -> None:
        """``gatherResults`` and ``DeferredList`` take them."""
        self.assertEqual(self.successResultOf(gatherResults([pending(succeed(each)) for each in (1, 2)])), [1, 2])
        both = self.successResultOf(DeferredList([pending(succeed(1)), pending(fail(NotFound()))], consumeErrors=True))
        self.assertEqual([ok for ok, _ in both], [True, False])

    def test_inline_callbacks(self) -> None:
        """``yield`` gives the result, or raises the failure."""

        @inlineCallbacks
        def use() -> Generator[Deferred[Any], Any, list[Any]]:
            first = yield pending(succeed(1))
            try:
                yield pending(fail(NotFound()))
            except NotFound:
                return [first, "caught"]
            return []

        self.assertEqual(self.successResultOf(use()), [1, "caught"])

    def test_cancel(self) -> None:
        """Cancelling the promise cancels what is behind it, and a result that comes all the same is dropped."""
        stopped: list[Any] = []
        behind: Deferred[int] = Deferred(stopped.append)
        promise = pending(behind)
        promise.cancel()
        self.failureResultOf(promise, CancelledError)
        self.assertEqual(stopped, [behind])
        stubborn: Deferred[int] = Deferred(lambda it: it.callback(5))
        promise = pending(stubborn)
        promise.cancel()
        self.assertEqual(self.successResultOf(promise), 5)

    def test_cancelled_and_not_over_yet(self) -> None:
        """What is cancelled may have files to close: the promise fails when it has."""
        closed: Deferred[None] = Deferred()

        async def work() -> None:
            try:
                await Deferred()
            finally:
                await closed

        promise = pending(Deferred.fromCoroutine(work()))
        promise.cancel()
        self.assertNoResult(promise)
        closed.callback(None)
        self.failureResultOf(promise, CancelledError)

    def test_a_failure_is_not_lost(self) -> None:
        """Wrapped and never looked at, a failure is still logged as unhandled, once."""
        pending(fail(NotFound()))
        self.assertEqual(len(self.flushLoggedErrors(NotFound)), 1)


class WhereTests(TestCase):
    """Which thread is which."""

    def setUp(self) -> None:
        """As ``reactor.run`` does, which may not have been called yet when the first test begins."""
        registerAsIOThread()

    async def test_either(self) -> None:
        """One call: a promise on the reactor's thread, the result on any other."""

        def call() -> Any:
            return either(lambda: succeed("promised"), lambda: "direct")

        self.assertTrue(on_reactor_thread())
        here = call()
        self.assertIsInstance(here, Pending)
        self.assertEqual(await here, "promised")
        self.assertEqual(await deferToThread(call), "direct")
        self.assertFalse(await deferToThread(on_reactor_thread))


class StoppedReactor:
    """A reactor that is not running: what is asked of it is kept and never done."""

    running = False

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def callFromThread(self, *call: Any) -> None:
        self.calls.append(call)


class WaitingTests(TestCase):
    """``wait_for`` from threads, against the reactor that runs this test."""

    def setUp(self) -> None:
        """As ``reactor.run`` does, which may not have been called yet when the first test begins."""
        registerAsIOThread()

    def wait(self, start: Callable[[], Deferred[Any]], timeout: float | None = None) -> Deferred[Any]:
        return deferToThread(wait_for, reactor, start, timeout)

    async def test_a_result(self) -> None:
        """``start`` runs on the reactor's thread; what its Deferred fires with comes back."""
        where: list[bool] = []

        def start() -> Deferred[str]:
            where.append(on_reactor_thread())
            return deferLater(reactor, 0.01, lambda: "done")

        self.assertEqual(await self.wait(start), "done")
        self.assertEqual(await self.wait(lambda: succeed(None)), None)
        self.assertEqual(where, [True])

    async def test_a_failure(self) -> None:
        """The error itself is raised, from a failed Deferred as from ``start``."""
        error = NotFound("no such room")

        def broken() -> Deferred[None]:
            raise error

        for start in (broken, lambda: fail(error)):
            try:
                await self.wait(start)
            except NotFound as raised:
                self.assertIs(raised, error)
            else:
                self.fail("nothing was raised")

    async def test_a_timeout_cancels(self) -> None:
        """What is not there in time is given up: the caller learns it, and so does the work."""
        cancelled: list[Any] = []
        never: Deferred[None] = Deferred(cancelled.append)
        with self.assertRaises(DeadlineExceeded):
            await self.wait(lambda: never, timeout=0.05)
        await deferLater(reactor, 0, lambda: None)
        self.assertEqual(cancelled, [never])

    async def test_a_timeout_over_several_slices(self) -> None:
        """A wait longer than one slice of the lock ends at its time, not a slice early."""
        self.assertEqual(await self.wait(lambda: deferLater(reactor, 0.7, lambda: 1), timeout=5), 1)
        with self.assertRaises(DeadlineExceeded):
            await self.wait(lambda: Deferred(), timeout=0.6)

    async def test_late_results_are_dropped(self) -> None:
        """Work that cannot be cancelled and ends later disturbs nobody."""
        late: Deferred[None] = Deferred()
        with self.assertRaises(DeadlineExceeded):
            await self.wait(lambda: late, timeout=0.02)
        await deferLater(reactor, 0, lambda: None)
        late.errback(Failure(RuntimeError("late")))
        self.assertEqual(self.flushLoggedErrors(RuntimeError), [])

    async def test_a_reactor_that_does_not_run(self) -> None:
        """``Unavailable`` within a second, and not a wait for ever."""
        stopped = StoppedReactor()
        with self.assertRaises(Unavailable):
            await deferToThread(wait_for, stopped, lambda: succeed(1))  # type: ignore[arg-type]
        with self.assertRaises(DeadlineExceeded):
            await deferToThread(wait_for, stopped, lambda: succeed(1), 0.05)  # type: ignore[arg-type]

    def test_not_on_the_reactor(self) -> None:
        """There it would wait for itself: refused at once, and it says what to do."""
        error = self.assertRaises(RuntimeError, wait_for, reactor, lambda: succeed(1))
        self.assertIn("await", str(error))

    async def test_many_threads(self) -> None:
        """Fifty at once, each gets its own."""
        answers: dict[int, int] = {}
        finished: Deferred[None] = Deferred()

        def ask(number: int) -> None:
            answers[number] = wait_for(reactor, lambda: deferLater(reactor, 0.01, lambda: number * 2), 10)  # type: ignore[arg-type]
            if len(answers) == 50:
                reactor.callFromThread(finished.callback, None)  # type: ignore[attr-defined]

        threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(50)]
        for thread in threads:
            thread.start()
        await finished
        self.assertEqual(answers, {number: number * 2 for number in range(50)})
