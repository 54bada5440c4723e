"""Work that is done one piece at a time, in order, in threads of its own; a piece that waits yields its turn.

Rules of this module:

- One turn: whoever holds it runs; all others wait. New work begins in the order in which it was submitted.
- ``yielded`` gives the turn away for as long as a piece waits for something, so that what it waits for may need a turn
  too. Pieces that want their turn back go before new work: so the number of threads stays small, and nobody starves.
- Threads are daemons: a function that hangs does not keep a program from ending.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from twisted.logger import Logger

from fluxon.errors import ResourceExhausted, stopping

_log = Logger(namespace="fluxon.connect")

Work = Callable[[], object]

#: Pieces that may wait for their turn: a server that asks for more is told so.
MAX_WAITING = 1_000

#: The same for those that the server keeps: it has few of them on their way at once, and they have to come in order.
MAX_KEPT_WAITING = 2 * MAX_WAITING

#: A thread without work ends after so many seconds.
_IDLE = 60.0


class Turns:
    """One turn, and those who wait for it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._taken = False
        self._stopped = False
        self._new: deque[tuple[Work, Work]] = deque()
        self._back: deque[threading.Lock] = deque()
        self._ready: SimpleQueue[Work | None] = SimpleQueue()
        self._idle = 0

    def submit(self, work: Work, *, kept: bool = False, dropped: Work = lambda: None) -> None:
        """Have ``work`` done when its turn comes, or ``dropped`` when it never does.

        Raises ``ResourceExhausted`` when too much waits already, and ``Unavailable`` when nothing is begun any more.
        """
        most = MAX_KEPT_WAITING if kept else MAX_WAITING
        with self._lock:
            if self._stopped:
                raise stopping()
            if len(self._new) >= most:
                raise ResourceExhausted(f"more than {most} calls wait for this client's functions")
            self._new.append((work, dropped))
            if not self._taken:
                try:
                    self._pass_on()
                except RuntimeError as error:  # the system gives no more threads
                    self._taken = False
                    self._ready.get_nowait()
                    raise ResourceExhausted("this client has no thread left for its functions") from error

    def stop(self) -> None:
        """Begin nothing more. What runs goes on; its thread ends with it, and those without work at once."""
        with self._lock:
            self._stopped = True
            waiting, self._new = self._new, deque()
            for _ in range(self._idle):
                self._ready.put(None)
            self._idle = 0
        for _, dropped in waiting:
            dropped()

    @contextmanager
    def yielded(self) -> Iterator[None]:
        """In a piece of work: others may run while the body waits."""
        with self._lock:
            self._pass_on()
        try:
            yield
        finally:
            self._take_back()

    def _take_back(self) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._back.append(mine)
        mine.acquire()  # released by whoever passes the turn on, to nobody else

    def _pass_on(self) -> None:
        """Under ``_lock``, by the one who holds the turn or when nobody does."""
        self._taken = True
        if self._back:
            self._back.popleft().release()
        elif self._new:
            self._ready.put(self._new.popleft()[0])
            if self._idle:
                self._idle -= 1
            else:
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
        else:
            self._taken = False

    def _run(self) -> None:
        """A thread: do what is ready, while there is work."""
        current.turns = self
        work: Work | None = self._ready.get()
        while work is not None:
            try:
                work()
            except BaseException:
                _log.failure("a piece of work for this client's functions failed")
            del work
            with self._lock:
                if self._stopped:
                    self._pass_on()
                    return
                self._idle += 1
                self._pass_on()
            work = self._next()

    def _next(self) -> Work | None:
        try:
            return self._ready.get(timeout=_IDLE)
        except Empty:
            pass
        with self._lock:
            try:
                return self._ready.get_nowait()  # made ready just now, counting on this thread
            except Empty:
                self._idle -= 1
                return None


class _Current(threading.local):
    turns: Turns | None = None


#: Whose turn the current thread holds, if it runs somebody's function.
current = _Current()
