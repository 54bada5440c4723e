"""``SQLiteDatabase`` itself: paths, calls within calls, tables of the engine, errors that have no name of their own."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import Any

import sqlalchemy
from twisted.internet.defer import Deferred, succeed
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.binding import load_user
from fluxon.database.sqlite import connection as connections
from fluxon.errors import AlreadyExists, ConfigurationError, Locked, ResourceExhausted, Unavailable

ModelType = type(models.Model)


class InAFolder:
    """A folder, and a database in it with a table of notes."""

    def make(self: Any) -> SQLiteDatabase:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "data.sqlite3"
        self.Note = ModelType("Note", (models.Model,), {"text": models.CharField(unique=True)})
        database = SQLiteDatabase(self.path, models=[self.Note])
        self.addCleanup(database.unbind)
        return database


class Blocking(InAFolder, SynchronousTestCase):
    """In a program without a reactor."""

    def setUp(self) -> None:
        self.patch(threadable, "ioThread", None)
        self.database = self.make()
        self.addCleanup(self.database.close)
        schema.create_tables(self.database)
        self.table = self.database.table(self.Note)

    def store(self, text: str) -> Any:
        """Work that stores a note."""
        return lambda connection: connection.run(sqlalchemy.insert(self.table), {"text": text})

    def test_paths_that_are_none(self) -> None:
        """Bytes, and a URL of another database."""
        for wrong in (b"data.sqlite3", "postgresql://host/name"):
            self.assertRaises(ConfigurationError, SQLiteDatabase, wrong)

    def test_a_file_that_cannot_be_made(self) -> None:
        """Whatever the system says of it, it is told without the path, and is no end of the program."""
        database = SQLiteDatabase(self.folder / ("x" * 300))
        error = self.assertRaises(Unavailable, database.write_blocking, lambda _: None)
        self.assertNotIn("xxx", error.text)

    def test_several_within_a_transaction(self) -> None:
        """Each has its own outcome there as well, and all of them go with the transaction."""

        def work() -> Any:
            outcomes = self.database.write_all_blocking([self.store(each) for each in ("a", "a", "b")])
            return [type(error) for _, error in outcomes]

        self.assertEqual(self.database.transaction(work), [type(None), AlreadyExists, type(None)])
        self.assertEqual(sorted(row.text for row in self.Note.Check()), ["a", "b"])

        def undone() -> None:
            self.database.write_all_blocking([self.store("c")])
            raise KeyError("no")

        self.assertRaises(KeyError, self.database.transaction, undone)
        self.assertEqual(self.Note.Count(), 2)

    def test_a_transaction_that_answers_something_to_await(self) -> None:
        """It would be over before that: told, and nothing is kept."""

        def deferred() -> Deferred[int]:
            self.Note.Insert(text="a")
            return succeed(1)

        async def coroutine() -> None:
            """Never begun."""

        for work in (deferred, coroutine):
            self.assertIn("plain", str(self.assertRaises(TypeError, self.database.transaction, work)))
        self.assertEqual(self.Note.Count(), 0)

    def test_a_row_whose_number_is_none(self) -> None:
        """The database numbers it, as if the key had not been given."""
        self.assertEqual([self.Note.Insert(id=None, text="a"), self.Note.Insert(id=None, text="b")], [1, 2])

    def test_statements_and_sets(self) -> None:
        """Rows of a statement that answers none are a mistake; no set of parameters is nothing to do."""
        insert = sqlalchemy.insert(self.table)
        self.assertRaises(TypeError, self.database.write_blocking, lambda each: each.rows(insert, {"text": "a"}))
        self.database.write_blocking(lambda connection: connection.run_all(insert, []))
        self.assertEqual(self.Note.Count(), 0)
        self.database.write_blocking(lambda connection: connection.run_all(insert, [{"text": "a"}, {"text": "b"}]))
        self.assertEqual(self.Note.Count(), 2)

    def test_what_sqlite_refuses(self) -> None:
        """A value that is too large says what to do; SQL that is wrong is a fault of the program, with its own text."""

        def shorten(connection: Any) -> None:
            connection.raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000)

        self.database.write_blocking(shorten)
        error = self.assertRaises(ResourceExhausted, self.database.write_blocking, self.store("x" * 2_000))
        self.assertIn("file", error.text)
        self.assertRaises(
            sqlite3.OperationalError, self.database.write_blocking, lambda connection: connection.script("NO SQL")
        )
        self.assertEqual(self.Note.Count(), 0)

    def test_a_file_that_is_in_use_when_it_becomes_a_database(self) -> None:
        """Another program reads the new file just now: the first who opens it waits for that, for a while."""
        path = self.folder / "other.sqlite3"
        raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.addCleanup(raw.close)
        raw.execute("CREATE TABLE t (x)")
        raw.execute("BEGIN")
        raw.execute("SELECT * FROM t").fetchall()
        self.patch(connections, "BUSY_SECONDS", 0.05)
        self.assertRaises(Locked, SQLiteDatabase(path).open_writing)
        self.patch(connections, "BUSY_SECONDS", 30.0)
        opened: list[Any] = []
        thread = threading.Thread(target=lambda: opened.append(SQLiteDatabase(path).open_writing()))
        thread.start()
        thread.join(0.1)
        self.assertEqual(opened, [])
        raw.execute("COMMIT")
        thread.join(30)
        self.assertEqual(opened[0].raw.execute("PRAGMA journal_mode").fetchone(), ("wal",))
        opened[0].close()

    def test_a_table_of_the_engine_that_cannot_be_made(self) -> None:
        """It is in the log, and the database goes on."""
        self.Note.Insert(text="a")
        wrong = sqlalchemy.Table("fluxon_wrong", sqlalchemy.MetaData(), sqlalchemy.Column("x", sqlalchemy.Integer))
        self.database.write_blocking(lambda connection: connection.script("CREATE VIEW fluxon_wrong AS SELECT 1 AS y"))
        index = sqlalchemy.Index("fluxon_wrong_x", wrong.c.x)
        self.assertIsNotNone(index)
        logged: list[dict[str, Any]] = []
        self.patch(self.database, "log", type(self.database.log)(observer=logged.append))
        self.database.install(wrong)
        self.assertEqual(self.Note.Insert(text="b"), 2)
        self.database.close()
        self.assertIn("an engine table could not be made", [each["log_format"] for each in logged])


class OnTheReactor(InAFolder, TestCase):
    """Under Twisted's reactor."""

    async def test_without_a_start(self) -> None:
        """The first call opens the database, and answers on the reactor of the program."""
        self.patch(threadable, "ioThread", threadable.getThreadID())
        database = self.make()
        self.addCleanup(database.stop)
        await database.write(lambda connection: connection.script("CREATE TABLE t (x)"))
        os.stat(self.path)
        found = await database.read(lambda connection: connection.raw.execute("SELECT * FROM t").fetchall())
        self.assertEqual(found, [])
        self.assertTrue(threadable.isInIOThread())

    async def test_a_database_without_users(self) -> None:
        """Nobody can be loaded from it, whatever the key."""
        database = self.make()
        self.addCleanup(database.stop)
        self.assertIsNone(await load_user(database, 1))
        self.assertFalse(self.path.exists())
