"""What is committed without a sync: who asks for it, and that it is synced a moment later."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.apis import SQLiteDatabase
from fluxon.database.sqlite import late_sync
from fluxon.database.sqlite.connection import SQLiteConnection
from fluxon.database.sqlite.late_sync import LateSync
from fluxon.testing.place import PassingDatabase

#: A sync of a test that never comes is missed after so long.
PATIENCE = 30


class Case(SynchronousTestCase):
    """A folder, and every file that is synced in it by name."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "d.sqlite3"
        self.synced: list[str] = []
        self.fails = False
        self.again = threading.Semaphore(0)
        real = os.fsync

        def fsync(descriptor: int) -> None:
            self.synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
            self.again.release()
            if self.fails:
                raise OSError(5, "Input/output error")
            real(descriptor)

        self.patch(os, "fsync", fsync)

    def wait(self) -> None:
        """Until one more was synced."""
        self.assertTrue(self.again.acquire(timeout=PATIENCE))


class LateSyncTests(Case):
    def late(self, seconds: float = 0.01) -> LateSync:
        late = LateSync(str(self.path), "late", seconds)
        self.addCleanup(late.stop)
        return late

    def test_what_is_owed(self) -> None:
        """Each debt is followed by a sync of the log's file; one that is told while another waits costs none more."""
        Path(f"{self.path}-wal").write_bytes(b"log")
        late = self.late(seconds=0.05)
        for _ in range(10):
            late.owe()
        self.wait()
        late.owe()
        self.wait()
        late.stop()
        self.assertLessEqual(len(self.synced), 4)
        self.assertEqual(set(self.synced), {"d.sqlite3-wal"})

    def test_a_link(self) -> None:
        """The log of a database that is reached by a link is beside the file itself, where SQLite has it."""
        Path(f"{self.path}-wal").write_bytes(b"log")
        link = self.folder / "link"
        link.symlink_to(self.path)
        late = LateSync(str(link), "late", 0)
        self.addCleanup(late.stop)
        late.owe()
        self.wait()
        self.assertEqual(self.synced, ["d.sqlite3-wal"])

    def test_the_end(self) -> None:
        """What is owed when the database is closed is synced at once, however long there was time; then never again."""
        Path(f"{self.path}-wal").write_bytes(b"log")
        late = self.late(seconds=3600)
        late.owe()
        late.stop()
        self.assertEqual(self.synced, ["d.sqlite3-wal"])
        late.owe()
        late.stop()
        self.assertEqual(len(self.synced), 1)
        self.assertNotIn("late", [each.name for each in threading.enumerate()])

    def test_no_log(self) -> None:
        """SQLite removes the log when everything is in the database: there is nothing to sync, and nothing to tell."""
        late = self.late(seconds=3600)
        late.owe()
        late.stop()
        self.assertEqual((self.synced, self.flushLoggedErrors()), ([], []))

    def told(self) -> list[dict[str, Any]]:
        """Failures that are logged from now on."""
        told: list[dict[str, Any]] = []

        def hear(event: dict[str, Any]) -> None:
            if event.get("log_failure") is not None:
                told.append(event)

        globalLogPublisher.addObserver(hear)
        self.addCleanup(globalLogPublisher.removeObserver, hear)
        return told

    def test_a_sync_that_fails(self) -> None:
        """It is told of, and the next debt is paid as ever."""
        Path(f"{self.path}-wal").write_bytes(b"log")
        told = self.told()
        late = self.late(seconds=0)
        self.fails = True
        late.owe()
        self.wait()
        self.fails = False
        late.stop()
        self.assertEqual(len(told), 1)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_a_log_that_cannot_be_opened(self) -> None:
        """It is told of, and tried again: what is owed stays so."""
        log = Path(f"{self.path}-wal")
        log.symlink_to(log)
        tried = threading.Event()
        self.patch(late_sync.LateSync, "log", SimpleNamespace(failure=lambda text: tried.set()))
        late = self.late(seconds=0.01)
        late.owe()
        self.assertTrue(tried.wait(PATIENCE))
        log.unlink()
        log.write_bytes(b"log")
        self.wait()
        late.stop()
        self.assertEqual(set(self.synced), {"d.sqlite3-wal"})


def level(connection: SQLiteConnection) -> int:
    """0: never synced, 1: not at each commit, 2: at each commit."""
    return int(connection.raw.execute("PRAGMA synchronous").fetchone()[0])


def insert(connection: SQLiteConnection) -> int:
    """A row, and what ``level`` says of its transaction."""
    connection.script("CREATE TABLE IF NOT EXISTS t (k)")
    connection.script("INSERT INTO t VALUES (1)")
    return level(connection)


class RelaxedWriteTests(Case):
    def open(self, kind: type[SQLiteDatabase] = SQLiteDatabase) -> SQLiteDatabase:
        database = kind(self.path)
        self.addCleanup(database.close)
        return database

    def test_who_waits_for_the_disk(self) -> None:
        """One who asked for it has no sync of their own, and is in the database when told so; others have theirs."""
        database = self.open()
        self.patch(late_sync.LateSync.__init__, "__defaults__", (3600.0,))
        self.assertEqual(database.write_blocking(insert), 2)
        self.assertEqual(self.synced, [])  # SQLite's own syncs do not pass here
        self.assertEqual(database.write_relaxed_blocking(insert), 1)
        raw = sqlite3.connect(self.path)
        self.addCleanup(raw.close)
        self.assertEqual(raw.execute("SELECT count(*) FROM t").fetchone(), (2,))
        self.assertEqual(database.write_blocking(insert), 2)
        database.close()
        self.assertIn(self.synced, ([], ["d.sqlite3-wal"]))  # a log that SQLite removed is in the database

    def test_it_is_synced_soon(self) -> None:
        """A second later, if nobody else had it synced."""
        database = self.open()
        begun = time.monotonic()
        database.write_relaxed_blocking(insert)
        self.wait()
        self.assertGreater(time.monotonic() - begun, late_sync.SECONDS / 2)
        self.assertEqual(self.synced, ["d.sqlite3-wal"])

    def test_in_a_group(self) -> None:
        """What shares its transaction with one that is to be on the disk is on the disk with it."""
        database = self.open()
        held, release, levels = threading.Event(), threading.Event(), []

        def hold(connection: SQLiteConnection) -> None:
            held.set()
            release.wait(PATIENCE)

        def wait_for(waiting: int) -> None:
            until = time.monotonic() + PATIENCE
            while writer.waiting < waiting or writer._shared < min(waiting, 1):
                self.assertLess(time.monotonic(), until)
                time.sleep(0.001)

        # The second waits in the writer's thread for the first, so that all the others are a group behind it.
        before = [threading.Thread(target=database.write_blocking, args=(hold,)) for _ in range(2)]
        before[0].start()
        held.wait(PATIENCE)
        writer = database._open().writer
        before[1].start()
        wait_for(1)
        writers = [
            threading.Thread(target=lambda write=write: levels.append(write(insert)))
            for write in (database.write_relaxed_blocking, database.write_blocking, database.write_relaxed_blocking)
        ]
        for each in writers:
            each.start()
        wait_for(4)
        release.set()
        for each in (*before, *writers):
            each.join()
        self.assertEqual(levels, [2, 2, 2])

    def test_within_a_transaction(self) -> None:
        """It is part of it, and on the disk with it."""
        database = self.open()
        self.assertEqual(database.transaction(lambda: database.write_relaxed_blocking(insert)), 2)

    def test_in_memory(self) -> None:
        """What is on no disk is not looked for there."""
        before = set(threading.enumerate())
        database = SQLiteDatabase(":memory:")
        self.addCleanup(database.close)
        self.assertEqual(database.write_relaxed_blocking(insert), 1)
        self.assertEqual(set(threading.enumerate()) - before, set())

    def test_one_that_never_syncs(self) -> None:
        """A database of a test is not made to sync by who asks for less."""
        database = self.open(PassingDatabase)
        self.assertEqual(database.write_relaxed_blocking(insert), 0)
        self.assertEqual(database.write_blocking(insert), 0)
        database.close()
        self.assertEqual(self.synced, [])
