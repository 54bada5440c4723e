"""Threads that go on with work piece by piece, whoever's turn it is."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Protocol


class Following(Protocol):
    """What a thread goes on with."""

    def follow(self) -> None:
        """Do the next piece, and put itself again if there are more. Raises nothing."""


class Followers:
    """``count`` threads, started when there is the first piece of work. Daemons: none is ever waited for.

    What is put after ``stop``, since it was under way then, is done all the same, and leaves no thread behind.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._mutex = threading.Lock()
        self._threads = 0
        self._stopped = False
        self._work: SimpleQueue[Following | None] = SimpleQueue()

    def put(self, work: Following) -> None:
        """Have a thread call ``follow``. Does not block. ``RuntimeError`` if the system has none left for it."""
        with self._mutex:
            if self._stopped:
                threading.Thread(target=work.follow, name=f"{self._name}-last", daemon=True).start()
                return
            if self._threads < self._count:
                self._start()
            self._work.put(work)

    def _start(self) -> None:
        name = f"{self._name}-{self._threads + 1}"
        try:
            threading.Thread(target=self._run, name=name, daemon=True).start()
        except RuntimeError:
            if not self._threads:  # else those that are here do it
                raise
        else:
            self._threads += 1

    def stop(self) -> None:
        """Let the threads end when they have done what was put."""
        with self._mutex:
            self._stopped = True
            for _ in range(self._threads):
                self._work.put(None)
            self._threads = 0

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work.follow()
            del work
