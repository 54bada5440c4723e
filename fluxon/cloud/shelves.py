"""Where new objects go: one of 256 folders at a time, so that writers at work together share the price of its fsync.

Rules of this module:

- An entry of a folder is durable once an ``fsync`` of the folder that began after it was made has ended. One such call
  serves everybody whose entry was there when it began.
- If it fails, it has failed for all of them, and nobody calls it again for the same entries.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fluxon.cloud.disk import close
from fluxon.cloud.folder import SHELVES

#: Objects that go to one folder before the next one is drawn: many enough that writers at the same time meet there,
#: few enough that all folders grow alike.
BATCH = 256


class _Round:
    """One fsync of a folder, to come, under way or done."""

    __slots__ = ("done", "error")

    def __init__(self) -> None:
        self.done = False
        self.error: OSError | None = OSError("the fsync did not return")  # unless it does


class Shelf:
    """One folder of objects, open as long as somebody puts something there."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.descriptor = descriptor
        self.room = BATCH
        self.users = 0
        self._changed = threading.Condition()
        self._running = False
        self._next = _Round()

    def sync(self) -> None:
        """Return when every entry made before this call is durable. Raises ``OSError``."""
        with self._changed:
            mine = self._next
            while self._running and not mine.done:
                self._changed.wait()
            leads = not mine.done
            if leads:
                self._running = True
                self._next = _Round()
        if leads:
            try:
                os.fsync(self.descriptor)
                mine.error = None
            except OSError as error:
                mine.error = error
            finally:
                with self._changed:
                    mine.done = True
                    self._running = False
                    self._changed.notify_all()
        if mine.error is not None:
            raise OSError(mine.error.errno, mine.error.strerror) from mine.error


class Shelves:
    """The folders of a cloud's objects, of which one is being filled."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._current: Shelf | None = None

    @contextmanager
    def current(self, objects: int) -> Iterator[Shelf]:
        """The folder to put a new object in; ``objects`` is the descriptor of what it lies in. Raises ``OSError``."""
        with self._mutex:
            shelf = self._current
            if shelf is None:
                name = secrets.choice(SHELVES)
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                shelf = self._current = Shelf(name, os.open(name, flags, dir_fd=objects))
                shelf.users += 1  # until it is full
            shelf.users += 1
            shelf.room -= 1
            if shelf.room == 0:
                self._current = None
                shelf.users -= 1
        try:
            yield shelf
        finally:
            self._leave(shelf)

    def close(self) -> None:
        """Take no folder for the next object that was taken for the last one."""
        with self._mutex:
            shelf, self._current = self._current, None
        if shelf is not None:
            self._leave(shelf)

    def _leave(self, shelf: Shelf) -> None:
        with self._mutex:
            shelf.users -= 1
            ended = shelf.users == 0
        if ended:
            close(shelf.descriptor)
