"""A pool of threads with room for everybody.

Rules of this module:

- One session holds at most a quarter of the pool, and of the places to wait for it; what it asks beyond that waits for
  its own, and then is refused, while others are served.
- What runs cannot be stopped: its place is free when it returns, and not before, whoever gave up on it. What waits
  can: its place to wait is free at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from fluxon.errors import ResourceExhausted, stopping
from fluxon.workers import WorkerPool

#: The part of the pool, and of the places to wait, that one session may hold.
_SHARE = 4


class FairResult(Deferred[Any]):
    """A result to come. Cancelling works until the function has begun, and on what it returned to be awaited."""

    begun = False
    #: What the function returned instead of a value.
    awaited: Deferred[Any] | None = None

    def cancel(self) -> None:
        if self.awaited is not None:
            self.awaited.cancel()
        elif not self.begun:
            super().cancel()


class _Share:
    """What one session has in the pool."""

    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[tuple[FairResult, Callable[[], Any]]] = deque()


class FairThreads:
    """``pool``, shared fairly between sessions; ``queue_limit`` may wait for it. Used on the reactor thread."""

    def __init__(self, pool: WorkerPool, queue_limit: int) -> None:
        self._pool = pool
        self._share = max(1, pool.size // _SHARE)
        self._queue_limit = queue_limit
        self._queue_share = max(1, queue_limit // _SHARE)
        self._waiting = 0
        self._shares: dict[Hashable, _Share] = {}
        self._stopped = False

    @property
    def waiting(self) -> int:
        """How much waits for a thread, of all sessions."""
        return self._waiting + self._pool.waiting

    def run(self, session: Hashable, function: Callable[[Any], Any], request: Any) -> FairResult:
        """Run ``function(request)`` in a thread, in ``session``'s share of the pool.

        ``ResourceExhausted`` when it would have to wait and too many do; with ``Unavailable`` after ``stop``.
        """
        share = self._shares.get(session) or _Share()
        result = FairResult(lambda result: self._given_up(share, result))

        def call() -> Any:
            result.begun = True
            return None if result.called else function(request)

        has_place = share.running < self._share
        if self._stopped:
            result.errback(stopping())
        elif self.waiting >= self._queue_limit and not (has_place and self._pool.busy < self._pool.size):
            result.errback(_exhausted(self.waiting))
        elif has_place:
            self._shares[session] = share
            self._start(session, share, result, call)
        elif len(share.waiting) >= self._queue_share:
            result.errback(_exhausted(len(share.waiting)))
        else:
            self._waiting += 1
            share.waiting.append((result, call))
        return result

    def stop(self) -> None:
        """Take no more; what waits is not begun. The pool stops as well."""
        self._stopped = True
        self._pool.stop()
        for share in self._shares.values():
            while share.waiting:
                result, _ = share.waiting.popleft()
                self._waiting -= 1
                result.errback(stopping())

    def _start(self, session: Hashable, share: _Share, result: FairResult, call: Callable[[], Any]) -> None:
        share.running += 1
        self._pool.submit(_boxed, call).addBoth(self._ended, session, share, result)

    def _given_up(self, share: _Share, result: Deferred[Any]) -> None:
        for entry in share.waiting:
            if entry[0] is result:
                share.waiting.remove(entry)
                self._waiting -= 1
                return

    def _ended(self, outcome: Any, session: Hashable, share: _Share, result: FairResult) -> None:
        share.running -= 1
        # Failing to start one comes back here, with the share as it is then: nothing is kept over a call.
        while share.waiting and share.running < self._share:
            following, call = share.waiting.popleft()
            self._waiting -= 1
            self._start(session, share, following, call)
        if not share.running and not share.waiting and self._shares.get(session) is share:
            del self._shares[session]
        if not result.called:
            if isinstance(outcome, Failure):
                result.errback(outcome)
            else:
                _deliver(outcome[0], result)


def _exhausted(waiting: int) -> ResourceExhausted:
    return ResourceExhausted(f"{waiting} requests wait for a thread already; wait for their answers")


def _boxed(call: Callable[[], Any]) -> tuple[Any]:
    # A function may return a Deferred or a coroutine, which must not fire anything in its thread.
    return (call(),)


def _deliver(value: Any, result: FairResult) -> None:
    if isinstance(value, Deferred):
        result.awaited = value
        value.addBoth(result.callback)
    else:
        result.callback(value)
