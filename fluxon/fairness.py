"""A pool of threads with room for everybody.

Rules of this module:

- One session has a part of the pool and of the places to wait for it (``Limits.share_of_session``, a quarter), and so
  have all sessions of one address together (``share_of_address``, half): sessions are free to make. What one asks
  beyond its part waits for its own, and then is refused, while others are served.
- What waits for the part of an address begins in turn, session by session.
- What runs cannot be stopped: its place is free when it returns, and not before, whoever gave up on it. What waits
  can: its place to wait is free at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from fluxon.addresses import is_local, network_of
from fluxon.bounds import for_client
from fluxon.errors import ResourceExhausted, stopping
from fluxon.workers import WorkerPool


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


class _Part:
    """What everybody of one address has in the pool; of a session whose address is not bounded, its own alone."""

    __slots__ = ("address", "queue", "running", "threads", "turn", "waiting")

    def __init__(self, address: str | None, threads: int, queue: int) -> None:
        self.address = address
        #: How much may run, and wait.
        self.threads = threads
        self.queue = queue
        self.running = 0
        self.waiting = 0
        #: The sessions that wait, the next one first.
        self.turn: deque[_Share] = deque()


class _Share:
    """What one session has in the pool. ``part`` is that of the address which it came from first."""

    __slots__ = ("part", "running", "session", "waiting")

    def __init__(self, session: Hashable, part: _Part) -> None:
        self.session = session
        self.part = part
        self.running = 0
        self.waiting: deque[tuple[FairResult, Callable[[], Any]]] = deque()


class FairThreads:
    """``pool``, shared fairly; ``queue_limit`` may wait for it. Used on the reactor thread.

    A session has the ``of_session``-th part of both, and so have all of one address the ``of_address``-th: the limits
    ``share_of_session`` and ``share_of_address``.
    """

    def __init__(self, pool: WorkerPool, queue_limit: int, of_session: int, of_address: int) -> None:
        self._pool = pool
        self._queue_limit = queue_limit
        self._threads_of_session = max(1, pool.size // of_session)
        self._queue_of_session = max(1, queue_limit // of_session)
        self._of_address = of_address
        self._waiting = 0
        self._shares: dict[Hashable, _Share] = {}
        self._parts: dict[str | None, _Part] = {}
        self._stopped = False

    @property
    def waiting(self) -> int:
        """How much waits for a thread, of all sessions."""
        return self._waiting + self._pool.waiting

    @property
    def busy(self) -> int:
        """How many threads work."""
        return min(self._pool.busy, self._pool.size)

    def run(
        self, session: Hashable, function: Callable[[Any], Any], request: Any, address: str | None = None
    ) -> FairResult:
        """Run ``function(request)`` in a thread, in the share of ``session`` and of its client's ``address``.

        ``ResourceExhausted`` when it would have to wait and too many do; with ``Unavailable`` after ``stop``.
        """
        share = self._shares.get(session) or _Share(session, self._part_of(address))
        part = share.part
        result = FairResult(lambda result: self._given_up(share, result))

        def call() -> Any:
            result.begun = True
            return None if result.called else function(request)

        has_place = share.running < self._threads_of_session and part.running < part.threads
        if self._stopped:
            result.errback(stopping())
        elif self.waiting >= self._queue_limit and not (has_place and self._pool.busy < self._pool.size):
            result.errback(_exhausted(self.waiting))
        elif has_place:
            self._keep(share)
            self._start(share, result, call)
        elif len(share.waiting) >= self._queue_of_session or part.waiting >= part.queue:
            result.errback(_exhausted(max(len(share.waiting), part.waiting)))
        else:
            self._keep(share)
            if not share.waiting:
                part.turn.append(share)
            share.waiting.append((result, call))
            part.waiting += 1
            self._waiting += 1
        return result

    def place(self, address: str | None, of_session: int) -> _Part | None:
        """A place for something else that waits for these threads, until ``give_back``; None if too much waits.

        ``of_session`` places are its session's already. ``address`` is its client's.
        """
        part = self._part_of(address)
        if self.waiting >= self._queue_limit or of_session >= self._queue_of_session or part.waiting >= part.queue:
            return None
        part.waiting += 1
        self._waiting += 1
        if part.address is not None:
            self._parts[part.address] = part
        return part

    def give_back(self, place: _Part) -> None:
        """What had the place waits no longer."""
        place.waiting -= 1
        self._waiting -= 1
        self._forget(place)

    def stop(self) -> None:
        """Take no more; what waits is not begun. The pool stops as well."""
        self._stopped = True
        self._pool.stop()
        for share in tuple(self._shares.values()):
            while share.waiting:
                self._next(share)[0].errback(stopping())

    def _part_of(self, address: str | None) -> _Part:
        divisor = for_client(self._of_address, is_local(address))
        if address is None or divisor is None:
            return _Part(None, self._pool.size, self._queue_limit)
        network = network_of(address)
        found = self._parts.get(network)
        return found or _Part(network, max(1, self._pool.size // divisor), max(1, self._queue_limit // divisor))

    def _keep(self, share: _Share) -> None:
        self._shares[share.session] = share
        if share.part.address is not None:
            self._parts[share.part.address] = share.part

    def _start(self, share: _Share, result: FairResult, call: Callable[[], Any]) -> None:
        share.running += 1
        share.part.running += 1
        self._pool.submit(_boxed, call).addBoth(self._ended, share, result)

    def _next(self, share: _Share) -> tuple[FairResult, Callable[[], Any]]:
        """Take out what waits longest of a session."""
        entry = share.waiting.popleft()
        self._left(share)
        return entry

    def _left(self, share: _Share) -> None:
        """One of ``share`` waits no longer."""
        share.part.waiting -= 1
        self._waiting -= 1
        if not share.waiting:
            share.part.turn.remove(share)

    def _given_up(self, share: _Share, result: Deferred[Any]) -> None:
        for entry in share.waiting:
            if entry[0] is result:
                share.waiting.remove(entry)
                self._left(share)
                return

    def _ended(self, outcome: Any, share: _Share, result: FairResult) -> None:
        part = share.part
        share.running -= 1
        part.running -= 1
        # Failing to start one comes back here, with the shares as they are then: nothing is kept over a call.
        while part.running < part.threads and (following := self._whose_turn(part)) is not None:
            self._start(following, *self._next(following))
        if not share.running and not share.waiting and self._shares.get(share.session) is share:
            del self._shares[share.session]
        self._forget(part)
        if not result.called:
            if isinstance(outcome, Failure):
                result.errback(outcome)
            else:
                _deliver(outcome[0], result)

    def _forget(self, part: _Part) -> None:
        if not part.running and not part.waiting and self._parts.get(part.address) is part:
            del self._parts[part.address]

    def _whose_turn(self, part: _Part) -> _Share | None:
        """The session of ``part`` that has waited longest for its turn, of those that have room."""
        for _ in range(len(part.turn)):
            share = part.turn[0]
            part.turn.rotate(-1)
            if share.running < self._threads_of_session:
                return share
        return None


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
