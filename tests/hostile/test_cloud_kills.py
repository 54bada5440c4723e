"""``kill -9`` at random moments while eight writers write, overwrite, move, copy and delete: nothing told is lost.

How many kills: ``FLUXON_TEST_KILLS``, or a few.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cloud_writers
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ANONYMOUS, CloudStorageConnector
from fluxon.database import schema
from fluxon.errors import Cancelled, DeadlineExceeded, FluxonError, OutcomeUnknown, Unavailable

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
        self.unexpected: list[str] = []
        self.connections = cloud_writers.WRITERS

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

    def test_a_server(self) -> None:
        """The same over eight connections to a server."""
        self.kill = self.kill_server  # type: ignore[method-assign]
        self.kill_often(-(-KILLS // 4), 2)

    def test_a_server_that_does_much_at_once(self) -> None:
        """The same over two connections: what waits in a session is done together, and dies together."""
        self.kill = self.kill_server  # type: ignore[method-assign]
        self.connections = 2
        self.kill_often(-(-KILLS // 8), 2)

    def kill_server(self, number: int, versions: int, diary: Path) -> None:
        """Start a server and eight clients, and kill it at a random moment of their work."""
        tests = Path(cloud_writers.__file__).parent
        command = [sys.executable, str(tests / "cloud_killed.py"), str(self.folder), str(versions)]
        paths = os.pathsep.join([str(tests), str(Path(__file__).parents[2])])
        with (self.folder / "log").open("ab") as log:
            child = subprocess.Popen(
                command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert child.stdout is not None
        with child, diary.open("ab", buffering=0) as told:
            line = child.stdout.readline()
            self.assertTrue(line, (self.folder / "log").read_text())
            clients = [
                CloudStorageConnector("127.0.0.1", int(line), ANONYMOUS, timeout=20) for _ in range(self.connections)
            ]
            shared = clients * (cloud_writers.WRITERS // self.connections)
            threads = [
                threading.Thread(target=self.write_until_killed, args=(client, told, f"{number}-{index}", index))
                for index, client in enumerate(shared)
            ]
            for thread in threads:
                thread.start()
            while b"null" not in diary.read_bytes():
                self.assertIsNone(child.poll())
                time.sleep(0.002)
            time.sleep(self.chance.uniform(0, 0.5))
            child.kill()
            for client in clients:
                client.close()
            for thread in threads:
                thread.join(60)
                self.assertFalse(thread.is_alive())
        self.assertEqual((child.returncode, self.unexpected), (-9, []))

    def write_until_killed(self, client: CloudStorageConnector, told: Any, name: str, index: int) -> None:
        writer = cloud_writers.Writer(name, {})
        try:
            for part in ("a", "b"):
                client.create_directory(f"{writer.top}/{part}", parents=True)
            while True:
                plan = writer.plan()
                told.write(json.dumps([index, plan]).encode() + b"\n")
                cloud_writers.ask(client, plan)
                told.write(json.dumps([index, None]).encode() + b"\n")
                writer.state = cloud_writers.after(writer.state, plan)
        except FluxonError as error:
            # It was killed. Whatever else the server answers is wrong.
            if not isinstance(error, (Cancelled, DeadlineExceeded, OutcomeUnknown, Unavailable)):
                self.unexpected.append(f"{error.code}: {error}")

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
