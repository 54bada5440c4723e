"""Reading connections of threads: one each, and what a close does to those that are in use."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.apis import SQLiteDatabase
from fluxon.database.sqlite import readers
from fluxon.database.sqlite.readers import Readers
from fluxon.errors import DeadlineExceeded, Unavailable

ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


class ReadersTests(SynchronousTestCase):
    """A real file, and threads that read it."""

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        database = SQLiteDatabase(folder / "r.sqlite3")
        database.open_writing().close()
        self.readers = Readers(database.open_reading)
        self.addCleanup(self.readers.close_all)
        self.begun = threading.Event()

    def in_a_thread(self, work: Any) -> tuple[threading.Thread, list[Any]]:
        """A thread that has begun to read, and what became of it."""
        found: list[Any] = []

        def run() -> None:
            try:
                found.append(self.readers.read(work))
            except Exception as error:
                found.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        self.begun.wait(30)
        return thread, found

    def test_a_thread_has_one(self) -> None:
        """It is the same each time, and another thread has another."""
        here = [self.readers.read(lambda connection: connection) for _ in range(2)]
        thread, found = self.in_a_thread(lambda connection: connection)
        thread.join(30)
        self.assertIs(here[0], here[1])
        self.assertIsNot(here[0], found[0])

    def test_a_query_that_runs_is_ended(self) -> None:
        """A close interrupts it, so that it need not wait."""

        def work(connection: Any) -> None:
            self.begun.set()
            connection.script(ENDLESS)

        thread, found = self.in_a_thread(work)
        self.readers.close_all()
        thread.join(30)
        self.assertEqual([type(each) for each in found], [DeadlineExceeded])

    def test_work_that_no_interrupt_ends(self) -> None:
        """A close does not wait for it for ever; its connection is there as long as it needs it."""
        self.patch(readers, "CLOSE_SECONDS", 0.05)
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def work(connection: Any) -> Any:
            self.begun.set()
            go_on.wait(30)
            return connection.raw.execute("SELECT 5").fetchone()

        thread, found = self.in_a_thread(work)
        self.readers.close_all()
        self.assertTrue(thread.is_alive())
        go_on.set()
        thread.join(30)
        self.assertEqual(found, [(5,)])

    def test_closed(self) -> None:
        """Neither a thread that read before nor a new one reads any more, and no connection stays open."""
        kept = self.readers.read(lambda connection: connection)
        self.readers.close_all()
        self.assertRaises(Unavailable, self.readers.read, lambda connection: connection)
        thread, found = self.in_a_thread(self.begun.set)
        thread.join(0.0 if self.begun.is_set() else 30)
        self.assertEqual([type(each) for each in found], [Unavailable])
        self.assertRaises(sqlite3.ProgrammingError, kept.raw.execute, "SELECT 1")
        self.assertFalse(self.begun.is_set())
