"""``kill -9`` at random moments while eight writers write, overwrite, move, copy and delete: nothing told is lost.

How many kills: ``FLUXON_TEST_KILLS``, or a few.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path

import cloud_writers
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import schema

KILLS = int(os.environ.get("FLUXON_TEST_KILLS", "12"))

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["cloud_writers"])


class Kills(SynchronousTestCase):
    """One cloud that is killed again and again."""

    def setUp(self) -> None:
        self.patch(threadable, "ioThread", None)  # this thread may block
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.chance = random.Random()
        self.told = 0

    def test_nothing_told_is_lost(self) -> None:
        """With versions, each kept as it was."""
        self.kill_often(KILLS - KILLS // 2, 3)

    def test_without_versions(self) -> None:
        """Without, where replaced and deleted contents are removed after each commit."""
        self.kill_often(KILLS // 2, 0)

    def kill_often(self, kills: int, versions: int) -> None:
        database = cloud_writers.database_of(self.folder)
        schema.create_tables(database)
        database.close()
        database.unbind()
        for number in range(kills):
            diary = self.folder / f"diary {number}"
            self.kill(number, versions, diary)
            self.check(number, versions, diary)
        print(f"{kills} kills, {self.told} operations that were told to be done, all of them done")
        self.assertGreater(self.told, kills)

    def kill(self, number: int, versions: int, diary: Path) -> None:
        """Kill a child at a random moment of its work, sometimes of its start."""
        ready = self.folder / f"ready {number}"
        child = _forks.Process(
            target=cloud_writers.work_for_ever,
            args=(str(self.folder), versions, str(number), str(diary), str(ready)),
            daemon=True,
        )
        child.start()
        while not (ready.exists() if number % 6 == 5 else diary.exists() and diary.stat().st_size):
            self.assertTrue(child.is_alive(), f"the child ended by itself: {child.exitcode}")
            time.sleep(0.002)
        time.sleep(self.chance.uniform(0, 0.3))
        child.kill()
        child.join()
        self.assertEqual(child.exitcode, -9)

    def check(self, number: int, versions: int, diary: Path) -> None:
        """Open it again, sweep it, and look at everything."""
        database = cloud_writers.database_of(self.folder)
        storage = cloud_writers.storage_of(self.folder, database, versions)
        try:
            storage.sweep()
            self.assertEqual(cloud_writers.wrong(storage), [])
            for writer, states in cloud_writers.promised(diary).items() if diary.exists() else ():
                found = cloud_writers.listed(storage, f"/{number}-{writer}")
                self.assertIn(found, [cloud_writers.hashes(state) for state in states])
            if diary.exists():
                self.told += diary.read_text().count("null")
        finally:
            storage.close()
            database.close()
            database.unbind()
        raw = sqlite3.connect(self.folder / "data.sqlite3")
        try:
            self.assertEqual(raw.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            self.assertEqual(raw.execute("PRAGMA foreign_key_check").fetchall(), [])
        finally:
            raw.close()
