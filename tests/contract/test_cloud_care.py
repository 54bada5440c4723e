"""Rows and objects on every database: what is wrong is told, what is nobody's is removed, and nothing else."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy
from cloud_cases import MySQLCloud, PostgreSQLCloud, SQLiteCloud
from sqlalchemy import bindparam

from fluxon.cloud import purging, tree
from fluxon.cloud.identifiers import ROOT_ID
from fluxon.cloud.tables import ITEMS
from fluxon.errors import ConfigurationError


class Care:
    """The suite; a class at the end joins it with a database."""

    def objects(self: Any) -> dict[bytes, Path]:
        """The objects by what is in them."""
        return {path.read_bytes(): path for path in (self.folder / "cloud" / "objects").glob("*/*")}

    def restarted(self: Any) -> Any:
        """The storage, as the next process opens it."""
        self.storage.close()
        self.storage = self.make_storage()
        return self.storage

    def fill(self: Any) -> None:
        """A file with an older content, and one that was deleted."""
        for data in (b"older", b"present"):
            self.storage.write(self.admin, "/f", data)
        self.storage.write(self.admin, "/g", b"deleted")
        self.storage.delete(self.admin, "/g")

    def test_sweep(self: Any) -> None:
        """What a file has, had, or had when it was deleted, stays; what no row names goes at the next start."""
        self.fill()
        self.storage.objects.store(b"nobody's")
        upload = self.storage.objects.begin()
        upload.append(b"never finished")
        self.assertEqual(self.storage.sweep().young, 1)  # not while somebody may be about to name it
        self.assertIn(b"nobody's", self.objects())
        swept = self.restarted().sweep()
        self.assertEqual((swept.objects, swept.removed_objects, swept.freed), (4, 1, 8))
        self.assertEqual(set(self.objects()), {b"older", b"present", b"deleted"})
        self.assertEqual(list((self.folder / "cloud" / "uploads").iterdir()), [])
        self.assertEqual(self.storage.check(), [])

    def test_a_database_that_is_not_its_own(self: Any) -> None:
        """With an empty database a cloud does not open, so that nothing is taken for nobody's; with its own it does."""
        self.fill()
        self.storage.close()
        # As in a new database: its "/" is made now.
        root = self.storage.root.id
        made = sqlalchemy.update(ITEMS).where(ITEMS.c.id == root).values({ITEMS.c.created_at: bindparam("at")})
        begun, now = self.storage.root.created_at, self.storage.now() + timedelta(seconds=1)
        self.database.write_blocking(lambda connection: connection.run(made, {"at": now}))
        self.assertRaisesRegex(ConfigurationError, "another database", self.make_storage)
        self.assertEqual(set(self.objects()), {b"older", b"present", b"deleted"})
        self.database.write_blocking(lambda connection: connection.run(made, {"at": begun}))
        self.make_storage()

    def test_check(self: Any) -> None:
        """A row whose object is missing, or has another size, is told with the object's name; the rest is not."""
        self.fill()
        there = self.objects()
        there[b"present"].unlink()
        there[b"older"].write_bytes(b"old")
        problems = self.storage.check()
        self.assertEqual(len(problems), 2)
        self.assertIn(f"its object {there[b'present'].name} is not there", problems[0])
        self.assertIn(f"its object {there[b'older'].name} has 3 bytes instead of 5", problems[1])
        self.restarted().sweep()
        self.assertEqual(len(self.storage.check()), 2)

    def test_check_while_it_changes(self: Any) -> None:
        """What was replaced after its row was read is not missing."""
        self.storage = self.make_storage(versions=0)
        self.storage.write(self.admin, "/f", b"older")
        real = self.storage.objects.size

        def size(name: str) -> Any:
            if self.storage.read(self.admin, "/f") == b"older":
                self.storage.write(self.admin, "/f", b"present")
            return real(name)

        self.patch(self.storage.objects, "size", size)
        self.assertEqual(self.storage.check(), [])
        self.assertEqual(set(self.objects()), {b"present"})


class SQLiteCare(Care, SQLiteCloud):
    """On SQLite."""


class ServerCare(Care):
    """On a server, a transaction of a program that was killed may be committed after its end."""

    def test_the_last_breath(self: Any) -> None:
        """The sweep waits for it, and does not remove what it names."""
        stored = self.storage.objects.store(b"named with the last breath")
        storage = self.restarted()
        begun, asked, swept = threading.Event(), threading.Event(), threading.Event()
        real = purging.named

        def named(*args: Any) -> Any:
            asked.set()
            return real(*args)

        self.patch(purging, "named", named)
        self.patch(storage, "purge", lambda: 0)  # which has waited, but before the sweep had the folder for itself

        def commit() -> None:
            def work(connection: Any) -> None:
                tree.take_turn(connection, self.dialect)
                values = {"size": stored.size, "version": 1, "stored": stored.name, "sha256": stored.sha256}
                tree.insert(connection, storage.draw(), ROOT_ID, "f", tree.FILE, None, storage.now(), **values)
                begun.set()
                asked.wait(3)
                # A sweep that does not wait has ended before that.
                swept.wait(0.5)

            self.database.write_blocking(work)

        def sweep() -> int:
            begun.wait(3)
            try:
                return int(storage.sweep().removed_objects)
            finally:
                swept.set()

        self.assertEqual(self.together(commit, sweep)[1], 0)
        self.assertEqual(storage.read(self.admin, "/f"), b"named with the last breath")


class PostgreSQLCare(ServerCare, PostgreSQLCloud):
    """On PostgreSQL."""


class MySQLCare(ServerCare, MySQLCloud):
    """On MariaDB or MySQL."""
