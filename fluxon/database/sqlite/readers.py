"""Reading connections of an SQLite database: one for each thread that reads.

Rules kept here:

- A thread reads through its own connection, without waiting for anybody (WAL: readers never wait for the writer).
- A connection is closed by ``close_all`` or with its thread, and never while it is in use.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from fluxon.database.sqlite.connection import SQLiteConnection
from fluxon.errors import Unavailable

T = TypeVar("T")


class _Reader:
    """A connection and the lock that its one thread holds while it reads."""

    def __init__(self, connection: SQLiteConnection) -> None:
        self.connection = connection
        # Reentrant: what reads may ask its models, too.
        self.lock = threading.RLock()
        self.closed = False

    def close(self) -> None:
        """Close the connection; a query that runs is ended rather than waited for. Again does nothing."""
        with contextlib.suppress(sqlite3.ProgrammingError):  # its own thread ended and closed it just now
            self.connection.raw.interrupt()
        with self.lock:
            if not self.closed:
                self.closed = True
                self.connection.close()

    def __del__(self) -> None:
        self.close()


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

    def close_all(self) -> None:
        """Close every connection; one that is reading is interrupted. Blocks."""
        with self._lock:
            self._closed = True
            readers = list(self._all)
        for reader in readers:
            reader.close()

    def _new(self) -> _Reader:
        reader = _Reader(self._open())
        with self._lock:
            if self._closed:
                raise Unavailable("the database is closed; start it again first")
            self._all.add(reader)
        self._own.reader = reader
        return reader
