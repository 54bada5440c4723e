"""``kill -9`` at random moments: no acknowledged row is lost, and a schema is the old or the new, never between.

How many kills of each kind: ``FLUXON_TEST_KILLS``, or few. Where between schemas is possible (MariaDB commits every
statement of a schema change), the next update goes on, or back, and every row is there.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import database_children
import database_servers
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import schema
from fluxon.database.schema.kinds import changes_of
from fluxon.database.schema.servers.mysql_changes import MySQLChanges
from fluxon.errors import Conflict

KILLS = int(os.environ.get("FLUXON_TEST_KILLS", "12"))

#: Children are forked from a process that has imported everything already.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["fluxon.database.apis", "fluxon.database.models", "psycopg", "pymysql"])


class Kills:
    """Children that work on a database until they are killed."""

    adapter: str

    def place(self: Any) -> str:
        """What names a new, empty database."""
        raise NotImplementedError

    def ask(self: Any, query: str) -> list[tuple[Any, ...]]:
        """Rows, as another program sees them."""
        return database_servers.fetch(self.where, query)

    def setUp(self: Any) -> None:
        self.patch(threadable, "ioThread", None)  # this thread may block
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.files = str(self.folder / "database_schema")
        self.where = self.place()
        self.random = random.Random(os.getpid())

    def opened(self: Any, **fields: Any) -> Any:
        """The database, in this process."""
        database = database_children.opened(self.adapter, self.where, **fields)
        self.addCleanup(database.unbind)
        self.addCleanup(database.close)
        return database

    def kill(self: Any, target: Callable[..., None], *arguments: str, sign: Path, longest: float) -> None:
        """Start a child; kill it at a random moment after it has made ``sign`` larger."""
        before = sign.stat().st_size if sign.exists() else -1
        child = _forks.Process(target=target, args=(self.adapter, self.where, *arguments), daemon=True)
        child.start()
        while not sign.exists() or sign.stat().st_size == before:
            self.assertTrue(child.is_alive(), f"the child ended by itself: {child.exitcode}")
            time.sleep(0.002)
        time.sleep(self.random.uniform(0, longest))
        child.kill()
        child.join()
        self.assertEqual(child.exitcode, -9)

    def test_acknowledged_rows_survive(self: Any) -> None:
        """Every key that was answered before the kill is in the table afterwards."""
        schema.create_tables(self.opened())
        told = self.folder / "promises"
        for _ in range(KILLS):
            self.kill(database_children.insert_for_ever, str(told), sign=told, longest=0.1)
            promised = set(map(int, told.read_text().split()))
            kept = {key for (key,) in self.ask("SELECT id FROM note")}
            self.assertEqual(promised - kept, set())
        self.assertGreater(len(promised), KILLS)

    def with_rows(self: Any) -> Any:
        """Schemas 1 and 2, the database at 2, with its rows."""
        for fields in database_children.versions():
            database = self.opened(**fields)
            schema.save_schema(database, self.files)
            schema.update_schema(database, self.files)
        (note,) = database.models
        note.Insert([{"text": str(number), "mark": str(number)} for number in range(database_children.ROWS)])
        return database

    def test_a_killed_update(self: Any) -> None:
        """The schema is whole, or is made whole by the next update; all rows are there, with their values."""
        database = self.with_rows()
        seen = set()
        for round_ in range(KILLS):
            ready = self.folder / f"ready {round_}"
            self.kill(database_children.update_for_ever, self.files, str(ready), sign=ready, longest=0.25)
            self.settle(database)
            seen.add(self.check(database))
        if KILLS >= 100:
            self.assertEqual(seen, {1, 2})

    def settle(self: Any, database: Any) -> None:
        """What a person has to do after the kill: nothing."""

    def check(self: Any, database: Any) -> int:
        """The schema's number, after comparing it with the tables, and the rows with what they were."""
        self.assertNotIn("is not as schema", " ".join(schema.check(database, self.files)))
        return self.check_rows(database)

    def check_rows(self: Any, database: Any) -> int:
        """The same without looking at what is no column: types, keys, indexes."""
        changes = changes_of(database)
        with changes.connection() as connection:
            (columns,) = [list(table.columns) for table in changes.tables(connection).values()]
            self.assertIsNone(changes.interrupted(connection))
        number = self.ask("SELECT number FROM fluxon_schema")[0][0]
        self.assertEqual(set(columns), {"id", "text", "mark", "size"} if number == 2 else {"id", "text", "mark"})
        rows = self.ask("SELECT text, mark FROM note")
        self.assertEqual(
            sorted((int(text), int(mark)) for text, mark in rows),
            [(each, each) for each in range(database_children.ROWS)],
        )
        return int(number)


class SQLiteKills(Kills, SynchronousTestCase):
    """An SQLite file."""

    adapter = "SQLiteDatabase"

    def place(self) -> str:
        return str(self.folder / "data.sqlite3")

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        raw = sqlite3.connect(self.where)
        try:
            self.assertEqual(raw.execute("PRAGMA quick_check").fetchall(), [("ok",)])
            return raw.execute(query).fetchall()
        finally:
            raw.close()


class PostgreSQLKills(Kills, SynchronousTestCase):
    """A PostgreSQL database; what is killed is the program."""

    adapter = "PostgreSQLDatabase"

    def place(self) -> str:
        return database_servers.postgresql()


class MySQLKills(Kills, SynchronousTestCase):
    """A MariaDB or MySQL database; what is killed is the program."""

    adapter = "MySQLDatabase"

    def place(self) -> str:
        return database_servers.mysql()

    def settle(self, database: Any) -> None:
        """Go on, or back."""
        copies = [name for (name,) in self.ask("SHOW TABLES LIKE 'fluxon\\_backup\\_%'")]
        database_children.drop_copies(database, copies)
        if any("stopped after" in line for line in schema.check(database, self.files)):
            number = self.random.choice([1, 2])
            drop = ["Note.size"] if number == 1 else []
            try:
                schema.update_schema(database, self.files, number, drop=drop, patience=10)
            except Exception:
                schema.update_schema(database, self.files, number, patience=10)

    def test_what_a_killed_program_left_is_swept(self) -> None:
        """A scratch database that nobody uses any more goes with the next update."""
        self.ask("CREATE DATABASE IF NOT EXISTS fluxon_scratch_999999999")
        self.with_rows()
        self.assertEqual(self.ask("SHOW DATABASES LIKE 'fluxon_scratch_999999999'"), [])

    def test_interrupted_at_each_step(self) -> None:
        """Whatever step it stops before, the same update later comes to its end, and so does the way back."""
        database = self.with_rows()
        for way, drop in ((1, ["Note.size"]), (2, [])):
            other, back = 3 - way, [] if drop else ["Note.size"]
            step = 0
            while self.interrupt(database, way, drop, step):
                self.assertIn("stopped after", " ".join(schema.check(database, self.files)))
                if step % 2:
                    self.settle_at(database, other, back)
                    self.assertTrue(self.interrupt(database, way, drop, step))
                schema.update_schema(database, self.files, way)
                self.assertEqual(self.check(database), way)
                self.settle_at(database, other, back)
                step += 1
            self.assertGreater(step, 3)
            self.assertEqual(self.check(database), way)

    def settle_at(self, database: Any, number: int, drop: list[str]) -> None:
        """Update to a schema from wherever it is, naming what is lost only if something is."""
        try:
            schema.update_schema(database, self.files, number)
        except Conflict:
            schema.update_schema(database, self.files, number, drop=drop)
        self.assertEqual(self.check_rows(database), number)

    def interrupt(self, database: Any, number: int, drop: list[str], step: int) -> bool:
        """Have an update end before this step; False when it has fewer steps."""
        left = itertools.count()

        class Killed(BaseException):
            pass

        def carry_out(changes: MySQLChanges, connection: Any, sql: str) -> None:
            if next(left) == step:
                raise Killed
            connection.script(sql)

        self.patch(MySQLChanges, "carry_out", carry_out)
        try:
            schema.update_schema(database, self.files, number, drop=drop)
        except Killed:
            return True
        finally:
            self.patch(MySQLChanges, "carry_out", _carry_out)
        return False


_carry_out = MySQLChanges.carry_out
