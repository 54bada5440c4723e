"""Syncing several files at a time.

Rules of this module: each file has an ``fsync`` of its own, which is the only promise there is; they wait for the disk
side by side, so that its journal and its cache are flushed once for many. The threads are daemons, started when there
are first two files to sync.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue

#: Syncs that wait for the disk at a time. A flush takes all that wait; with more, threads cost more than they gain.
THREADS = 8


class _Round:
    """The files of one call: whoever is free takes the next."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._left: SimpleQueue[int] = SimpleQueue()
        for number in range(len(descriptors)):
            self._left.put(number)
        self._descriptors = descriptors
        self._mutex = threading.Lock()
        self._open = len(descriptors)
        self._done = threading.Lock()
        self._done.acquire()
        self.errors: list[OSError | None] = [OSError("the fsync did not return")] * len(descriptors)

    def take_part(self) -> None:
        """Sync what nobody has begun with."""
        while True:
            try:
                number = self._left.get_nowait()
            except Empty:
                return
            try:
                os.fsync(self._descriptors[number])
                self.errors[number] = None
            except OSError as error:
                self.errors[number] = error
            finally:
                self._ended()

    def _ended(self) -> None:
        with self._mutex:
            self._open -= 1
            if not self._open:
                self._done.release()

    def wait(self) -> None:
        """Until all are done."""
        self._done.acquire()


class Syncs:
    """Threads that sync for others."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._threads = 0
        self._rounds: SimpleQueue[_Round | None] = SimpleQueue()

    def sync_all(self, descriptors: Sequence[int]) -> list[OSError | None]:
        """What each file's ``fsync`` raised, or None. Blocks."""
        mine = _Round(descriptors)
        self._call(min(len(descriptors), THREADS) - 1, mine)
        mine.take_part()
        if descriptors:
            mine.wait()
        return mine.errors

    def _call(self, count: int, mine: _Round) -> None:
        if count < 1:
            return
        with self._mutex:
            while self._threads < count:
                try:
                    threading.Thread(target=self._run, name="fluxon-sync", daemon=True).start()
                except RuntimeError:  # the system has no thread left: those that are here do it, this one at least
                    break
                self._threads += 1
        for _ in range(count):
            self._rounds.put(mine)

    def stop(self) -> None:
        """Let the threads end when they have done what was put."""
        with self._mutex:
            for _ in range(self._threads):
                self._rounds.put(None)
            self._threads = 0

    def _run(self) -> None:
        while (its := self._rounds.get()) is not None:
            its.take_part()
            del its
