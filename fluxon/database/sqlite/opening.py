"""One opening of an SQLite database: its writer, its readers, and the pools that serve the reactor.

Rules kept here:

- Nothing starts before it is needed: the writer with the first work, a pool with the first call from a reactor.
- The writer opens the file before anybody reads it: it makes the file, and the engine's tables in it.
- Hashing has threads of its own: neither reads nor writes wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from fluxon.database.sqlite.late_sync import LateSync
from fluxon.database.sqlite.readers import Readers
from fluxon.database.sqlite.reading import ReadingThreads
from fluxon.database.sqlite.writer import STOP_SECONDS, Writer
from fluxon.workers import ReactorInbox, WorkerPool

if TYPE_CHECKING:
    from fluxon.database.sqlite.database import SQLiteDatabase

T = TypeVar("T")

#: A hash takes a tenth of a second and tens of MiB: two at once, and a few seconds of them waiting.
HASHING_THREADS = 2
MAX_WAITING_HASHES = 100


class Opening:
    """One opening of a database: from its first call (or ``start``) to ``stop``."""

    def __init__(self, database: SQLiteDatabase) -> None:
        #: The threads that read for a reactor, once one asked for them.
        self.reading: ReadingThreads | None = None
        self._hashing: WorkerPool | None = None
        self._inbox: ReactorInbox | None = None
        name = os.path.basename(database.path)
        in_memory = database.path == ":memory:"
        self._late_sync = None if in_memory else LateSync(database.path, f"fluxon-database-sync-{name}")
        owe_sync = nothing if self._late_sync is None else self._late_sync.owe
        self.writer = Writer(database.open_writer, f"fluxon-database-writer-{name}", self._wake_reactor, owe_sync)
        self.readers = None if in_memory else Readers(database.open_reading)
        self.ready = False

    def wait_until_ready(self) -> None:
        """The writer opens the file first: it makes what is missing. Blocks."""
        self.writer.write(nothing)
        self.ready = True

    def read(self, work: Callable[..., T], *args: Any) -> T:
        """``work(connection, *args)`` with the calling thread's own connection. Blocks."""
        if not self.ready:
            self.wait_until_ready()
        assert self.readers is not None
        return self.readers.read(work, *args)

    def begin_reading(self, reactor: Any) -> ReadingThreads:
        """Make the threads that read for ``reactor``; once."""
        self.reading = ReadingThreads("fluxon-database", self.read, self.inbox(reactor))
        return self.reading

    def hashing_pool(self, reactor: Any) -> WorkerPool:
        """The threads that hash passwords for ``reactor``."""
        if self._hashing is None:
            self._hashing = WorkerPool("hashing", HASHING_THREADS, reactor, MAX_WAITING_HASHES)
        return self._hashing

    def inbox(self, reactor: Any) -> ReactorInbox:
        """The way of the writer's answers to ``reactor``."""
        if self._inbox is None:
            self._inbox = ReactorInbox(reactor)
        return self._inbox

    def figures(self) -> dict[str, Any]:
        """For ``Database.figures``."""
        hashing = self._hashing
        return {
            "writes that wait": self.writer.waiting,
            "reads that wait": 0 if self.reading is None else self.reading.waiting,
            "reading connections": 0 if self.readers is None else self.readers.count,
            "hashes under way": 0 if hashing is None else hashing.busy,
        }

    def totals(self) -> dict[str, float]:
        """For ``Database.totals``. Reads are those for the reactor; a thread that reads for itself counts nothing."""
        return {**self.writer.totals(), "reads": 0 if self.reading is None else self.reading.done}

    def _wake_reactor(self) -> None:
        """What was answered together crosses together."""
        if self._inbox is not None:
            self._inbox.wake()

    def close(self) -> None:
        """Finish what waits, then close every connection. Blocks."""
        thread = self.writer.stop()
        for threads in (self.reading, self._hashing):
            if threads is not None:
                threads.stop()
        if thread is not None:
            thread.join(STOP_SECONDS)
        if self._late_sync is not None:
            self._late_sync.stop()
        if self.readers is not None:
            self.readers.close_all()


def nothing(connection: Any = None) -> None:
    """Work that only has the database opened."""
