"""Plain views in threads, with room for everybody.

Rules of this module:

- One session holds at most a quarter of the pool; what it asks beyond that waits for its own, not for others' places.
- A view that runs cannot be stopped: its place is free when it returns, and not before, whoever gave up on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from fluxon.errors import ResourceExhausted
from fluxon.workers import WorkerPool

#: The part of the pool that one session may hold.
_SHARE = 4


class ViewResult(Deferred[Any]):
    """A view's result to come. Cancelling works until the view has begun."""

    begun = False

    def cancel(self) -> None:
        if not self.begun:
            super().cancel()


class _Share:
    """What one session has in the pool."""

    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[tuple[ViewResult, Callable[[], Any]]] = deque()


class ViewThreads:
    """The pool of plain views. Used on the reactor thread."""

    def __init__(self, size: int, queue_limit: int, reactor: IReactorFromThreads) -> None:
        self._pool = WorkerPool("view", size, reactor)
        self._share = max(1, size // _SHARE)
        self._queue_limit = queue_limit
        self._waiting = 0
        self._shares: dict[Hashable, _Share] = {}

    def run(self, session: Hashable, function: Callable[[Any], Any], request: Any) -> ViewResult:
        """Run ``function(request)`` in a thread, in ``session``'s share of the pool.

        Fails with ``ResourceExhausted`` when too many views wait.
        """
        result = ViewResult()
        if self._waiting >= self._queue_limit:
            result.errback(ResourceExhausted(f"{self._queue_limit} requests wait for a thread already"))
            return result

        def call() -> Any:
            result.begun = True
            return None if result.called else function(request)

        share = self._shares.get(session)
        if share is None:
            share = self._shares[session] = _Share()
        if share.running < self._share:
            self._start(session, share, result, call)
        else:
            self._waiting += 1
            share.waiting.append((result, call))
        return result

    def stop(self) -> None:
        """Take no more views."""
        self._pool.stop()

    def _start(self, session: Hashable, share: _Share, result: ViewResult, call: Callable[[], Any]) -> None:
        share.running += 1
        self._pool.submit(_boxed, call).addBoth(self._ended, session, share, result)

    def _ended(self, outcome: Any, session: Hashable, share: _Share, result: ViewResult) -> None:
        share.running -= 1
        while share.waiting and share.running < self._share:
            following, call = share.waiting.popleft()
            self._waiting -= 1
            if not following.called:
                self._start(session, share, following, call)
        if not share.running and not share.waiting:
            del self._shares[session]
        if not result.called:
            if isinstance(outcome, Failure):
                result.errback(outcome)
            else:
                _deliver(outcome[0], result)


def _boxed(call: Callable[[], Any]) -> tuple[Any]:
    # A plain view may return a Deferred or a coroutine, which must not fire anything in its thread.
    return (call(),)


def _deliver(value: Any, result: ViewResult) -> None:
    if isinstance(value, Deferred):
        value.addBoth(result.callback)
    else:
        result.callback(value)
