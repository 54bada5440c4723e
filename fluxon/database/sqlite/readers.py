"""Reading connections of an SQLite database: one for each thread that reads.

Rules kept here:

- A thread reads through its own connection, without waiting for anybody (WAL: readers never wait for the writer).
- A connection is closed by ``close_all`` or with its thread, and never while it is in use.
- Closing ends a query that runs; work that hangs in code of the program is left to its thread.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from fluxon.database.sqlite.connection import SQLiteConnection
from fluxon.errors import Unavailable

T = TypeVar("T")

#: An interrupt ends only what runs at that moment: who was just about to begin is interrupted after so many seconds.
_AGAIN = 0.02

#: Seconds that a close waits for work that no interrupt ends.
CLOSE_SECONDS = 10.0


class _Reader:
    """A connection and the lock that its one thread holds while it reads."""

    def __init__(self, connection: SQLiteConnection) -> None:
        self.connection = connection
        # Reentrant: what reads may ask its models, too.
        self.lock = threading.RLock()
        self.closed = False

    def close(self, until: float) -> None:
        """Close the connection; a query that runs is ended rather than waited for. Again does nothing.

        What no interrupt ends is left alone from the moment ``until`` on (of ``time.monotonic``).
        """
        self.closed = True
        while not self.lock.acquire(timeout=_AGAIN):
            if time.monotonic() > until:
                return
            with contextlib.suppress(sqlite3.ProgrammingError):  # its own thread ended and closed it just now
                self.connection.raw.interrupt()
        try:
            self.connection.close()
        finally:
            self.lock.release()

    def __del__(self) -> None:
        self.close(0.0)


class Readers:
    """The reading connections of one opened database."""

    def __init__(self, open_connection: Callable[[], SQLiteConnection]) -> None:
        self._open = open_connection
        self._own = threading.local()
        self._all: weakref.WeakSet[_Reader] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False

    def read(self, work: Callable[..., T], *args: Any) -> T:
        """``work(connection, *args)`` with this thread's connection."""
        try:
            reader: _Reader = self._own.reader
        except AttributeError:
            reader = self._new()
        with reader.lock:
            if reader.closed:
                raise Unavailable("the database is closed; start it again first")
            return work(reader.connection, *args)

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._all)

    def close_all(self) -> None:
        """Close every connection; one that is reading is interrupted. Blocks."""
        with self._lock:
            self._closed = True
            readers = list(self._all)
        until = time.monotonic() + CLOSE_SECONDS
        for reader in readers:
            reader.close(until)

    def _new(self) -> _Reader:
        reader = _Reader(self._open())
        with self._lock:
            if self._closed:
                raise Unavailable("the database is closed; start it again first")
            self._all.add(reader)
        self._own.reader = reader
        return reader
