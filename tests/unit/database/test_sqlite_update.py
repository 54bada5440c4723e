"""An SQLite update that fails on the way: the old schema and every row are there, and the error says why."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.apis import SQLiteDatabase
from fluxon.database.schema.plan import Create, Plan
from fluxon.database.schema.sqlite_update import apply_plan
from fluxon.database.schema.structure import Table
from fluxon.database.sqlite.connection import SQLiteConnection
from fluxon.errors import Conflict, ResourceExhausted


class FailingUpdates(SynchronousTestCase):
    """A table with a row, and updates of it by hand."""

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "data.sqlite3"
        self.connection: SQLiteConnection = SQLiteDatabase(self.path).open_writing()
        self.addCleanup(self.connection.close)
        self.connection.script("CREATE TABLE t (k INTEGER PRIMARY KEY)")
        self.connection.script("CREATE TABLE child (k REFERENCES t (k) DEFERRABLE INITIALLY DEFERRED)")
        self.connection.script("INSERT INTO t VALUES (1)")

    def fails(self, kind: type[Exception], work: Callable[[sqlite3.Connection], object]) -> Exception:
        """An update that makes a table, and then does ``work``, fails so and changes nothing."""

        def make() -> Plan:
            return Plan([Create(Table("new", "CREATE TABLE new (x)", {}, {}))])

        error = self.assertRaises(kind, apply_plan, self.connection, make, lambda: work(self.connection.raw), None)
        self.assertFalse(self.connection.raw.in_transaction)
        other = sqlite3.connect(self.path)
        self.addCleanup(other.close)
        names = [name for (name,) in other.execute("SELECT name FROM sqlite_master ORDER BY name")]
        self.assertEqual((names, other.execute("SELECT * FROM t").fetchall()), (["child", "t"], [(1,)]))
        self.assertEqual(self.connection.raw.execute("PRAGMA foreign_keys").fetchone(), (1,))
        return error  # type: ignore[no-any-return]

    def test_a_full_disk(self) -> None:
        """It is said as for every other write: nothing is wrong with the rows."""

        def fill(raw: sqlite3.Connection) -> None:
            raw.execute("PRAGMA max_page_count = 10").fetchall()
            raw.execute("INSERT INTO new VALUES (zeroblob(1000000))")

        self.fails(ResourceExhausted, fill)

    def test_undone_by_sqlite_itself(self) -> None:
        """Then there is nothing to undo any more, and the error is the first one, not that there is no transaction."""
        told = self.fails(Conflict, lambda raw: raw.execute("INSERT OR ROLLBACK INTO t VALUES (1)"))
        self.assertIn("break a rule", str(told))
