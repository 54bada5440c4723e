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

from fluxon.cloud.followers import Followers

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

    def follow(self) -> None:
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
        self._threads = Followers("fluxon-sync", THREADS - 1)

    def sync_all(self, descriptors: Sequence[int]) -> list[OSError | None]:
        """What each file's ``fsync`` raised, or None. Blocks."""
        mine = _Round(descriptors)
        for _ in range(min(len(descriptors), THREADS) - 1):
            try:
                self._threads.put(mine)
            except RuntimeError:  # the system has no thread left: this one does it
                break
        mine.follow()
        if descriptors:
            mine.wait()
        return mine.errors

    def stop(self) -> None:
        """Let the threads end when they have done what was put."""
        self._threads.stop()
