"""Threads that read for the reactor: one takes everything that waits, another only when that one is stuck.

Rules kept here:

- One thread reads at a time. Several would fight for the interpreter with each other and with the reactor, which costs
  more than they gain: one reads 40,000 to 50,000 rows by key in a second of CPU, four together 11,000 to 29,000.
- Answers that are ready together cross to the reactor in one ``callFromThread``.
- A slow query holds back nobody for long: who reads the same piece at two looks of the watch loses the turn to
  another thread, and rests when it is done.
- No wake-up is lost: whose turn it is, and whether there is one, is decided under one lock with the queue.
- No thread is started before the first read; the watch runs only while something waits behind a read.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from fluxon.blocking import Pending
from fluxon.errors import ResourceExhausted, Unavailable
from fluxon.workers import ReactorInbox

T = TypeVar("T")

#: Queries that may be slow at the same time before the quick ones wait for them.
MAX_THREADS = 8

#: Reads that may wait: at some 50,000 a second, a fifth of a second of them.
MAX_WAITING = 10_000

#: Seconds from one look of the watch to the next. A read is slow if it lasts from one to another; threads change
#: over every 5 ms when the reactor is busy, so much less would take a busy reactor for a slow query.
WATCH_SECONDS = 0.01

#: Answers in one crossing: later ones of a long queue should not keep the reactor from the first.
MAX_CROSSING = 128

_Piece = tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]


class ReadingThreads:
    """Runs pieces of work with ``read(work, *args)``, which gives each thread its connection."""

    def __init__(self, name: str, read: Callable[..., Any], inbox: ReactorInbox) -> None:
        self._name = name
        self._read = read
        self._inbox = inbox
        self._waiting: deque[_Piece] = deque()
        #: Guards everything below.
        self._lock = threading.Lock()
        #: Whose turn it is to take from the queue; a thread that finds another number here has lost it.
        self._turn = 0
        self._reading = False
        self._resting = 0
        self._started = 0
        #: Pieces done: what the watch compares. Two threads may count at once; a count too few does no harm.
        self._done = 0
        self._watched = False
        self._watching = False
        self._stopped = False
        #: Turns for resting threads; None ends one. The same for the watch.
        self._turns: SimpleQueue[int | None] = SimpleQueue()
        self._looks: SimpleQueue[bool] = SimpleQueue()

    @property
    def done(self) -> int:
        """Pieces that were read."""
        return self._done

    def submit(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        """``read(work, *args)`` in a thread. Never blocks; call it on the reactor's thread.

        Fails with ``ResourceExhausted`` when too much waits, with ``Unavailable`` after ``stop``, otherwise with what
        the work raised. Cancelling skips what has not begun.
        """
        deferred: Pending[T] = Pending()
        with self._lock:
            if self._stopped:
                return fail(Unavailable("the database is closed; start it again first"))
            if len(self._waiting) >= MAX_WAITING:
                return fail(ResourceExhausted("too many reads wait for the database; try again in a moment"))
            if self._reading:
                if not self._watched:
                    self._watch_on()
            elif not self._next_turn():
                return fail(ResourceExhausted("the system cannot start a thread now; try again in a moment"))
            self._waiting.append((deferred, work, args))
        return deferred

    @property
    def waiting(self) -> int:
        """Reads that have not begun."""
        return len(self._waiting)

    def stop(self) -> None:
        """Take no more work. What waits is still done; none of the threads is waited for."""
        with self._lock:
            self._stopped = True
            for _ in range(self._started):
                self._turns.put(None)
            self._looks.put(False)

    def _next_turn(self) -> bool:
        """Give the turn to a thread that rests, or to a new one; whether there is one. Under the lock."""
        if self._resting:
            self._resting -= 1
        elif self._started >= MAX_THREADS or not self._start(self._run, f"{self._name}-{self._started + 1}"):
            return False
        else:
            self._started += 1
        self._turn += 1
        self._reading = True
        self._turns.put(self._turn)
        return True

    def _start(self, run: Callable[[], None], name: str) -> bool:
        try:
            threading.Thread(target=run, name=name, daemon=True).start()
        except RuntimeError:  # the system has no thread left
            return False
        return True

    def _run(self) -> None:
        while (turn := self._turns.get()) is not None:
            self._read_all(turn)

    def _read_all(self, turn: int) -> None:
        """Read until nothing waits, or until the turn is another's."""
        crossing = 0
        while (piece := self._take(turn)) is not None:
            deferred, work, args = piece
            result: Any
            try:
                result = None if deferred.called else self._read(work, *args)
            except BaseException:  # a thread outlives whatever a function raises
                result = Failure()
            self._inbox.add(deferred, result)
            self._done += 1
            crossing += 1
            if crossing >= MAX_CROSSING:
                crossing = 0
                self._inbox.wake()
            del piece, deferred, work, args, result
        self._inbox.wake()

    def _take(self, turn: int) -> _Piece | None:
        with self._lock:
            if self._turn == turn:
                if self._waiting:
                    return self._waiting.popleft()
                self._reading = False
            self._resting += 1
            return None

    def _watch_on(self) -> None:
        """Have the watch look, as something waits behind a read. Under the lock."""
        if self._watching or self._start(self._watch, f"{self._name}-watch"):
            self._watching = self._watched = True
            self._looks.put(True)

    def _watch(self) -> None:
        while self._looks.get():
            done = -1
            while (done := self._look(done)) >= 0:
                with contextlib.suppress(Empty):
                    self._looks.get(timeout=WATCH_SECONDS)
                    return  # nothing but the stop is said while it watches

    def _look(self, before: int) -> int:
        """Pass the turn on if the reader is stuck. Answers what is done so far, or -1 if nobody reads."""
        with self._lock:
            if not self._reading:
                self._watched = False
                return -1
            if self._waiting and self._done == before and not self._stopped:
                self._next_turn()  # with every thread stuck there is none, and they stay
        # What a stuck reader did before it got stuck.
        self._inbox.wake()
        return self._done
