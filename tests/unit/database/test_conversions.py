"""Carrying a column's values into another type: every value arrives, or is found beforehand."""

from __future__ import annotations

import sqlite3
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.schema.conversions import conversion

#: From, to, values and what becomes of them; values that cannot be carried.
CASES: list[tuple[str, str, list[tuple[Any, Any]], list[Any]]] = [
    ("VARCHAR(9)", "TEXT", [("abc", "abc"), (None, None)], []),
    ("TEXT", "VARCHAR(3)", [("abc", "abc"), ("äöü", "äöü")], ["abcd"]),
    ("INTEGER", "VARCHAR(3)", [(-12, "-12"), (0, "0")], [1234]),
    ("BOOLEAN", "TEXT", [(1, "1")], []),
    ("TEXT", "INTEGER", [("12", 12), ("-9223372036854775808", -(2**63))], ["12a", "", "1.5", " 1", "9" * 30, "01"]),
    ("BIGINT", "INTEGER", [(2**63 - 1, 2**63 - 1)], []),
    ("BOOLEAN", "INTEGER", [(1, 1)], []),
    ("INTEGER", "BOOLEAN", [(0, 0), (1, 1)], [2, -1]),
    ("INTEGER", "DOUBLE", [(2**53, float(2**53))], [2**53 + 1]),
    ("DOUBLE", "INTEGER", [(5.0, 5), (-3.0, -3)], [0.5, 1e30]),
    ("DATE", "DATETIME", [("2024-02-29", "2024-02-29 00:00:00.000000")], []),
    ("BLOB", "BLOB", [(b"x", b"x")], []),
    ("SCALED_INT(8, 2)", "SCALED_INT(10, 4)", [(12345, 1234500), (-99999999, -9999999900)], []),
    ("SCALED_INT(8, 2)", "SCALED_INT(8, 4)", [(999999, 99999900)], [1000000, -1000000]),
    ("SCALED_INT(8, 2)", "SCALED_INT(8, 0)", [(500, 5), (-500, -5)], [501]),
    ("SCALED_INT(8, 2)", "SCALED_INT(3, 2)", [(999, 999)], [1000]),
    ("INTEGER", "SCALED_INT(18, 4)", [(7, 70000)], [10**14, -(2**63)]),
    ("SCALED_INT(8, 2)", "INTEGER", [(700, 7)], [701]),
]


class Conversions(SynchronousTestCase):
    """Run by SQLite itself."""

    def test_every_pair(self) -> None:
        """Good values become what the table says; each bad one is found by the condition."""
        raw = sqlite3.connect(":memory:")
        self.addCleanup(raw.close)
        for old, new, good, bad in CASES:
            way = conversion('"c"', old, new)
            assert way is not None, (old, new)
            raw.execute(f'CREATE TABLE t ("c" {old})')
            for value, wanted in good:
                raw.execute("INSERT INTO t VALUES (?)", (value,))
                found = raw.execute(f"SELECT {way.value}, {way.broken or 0} FROM t").fetchone()
                self.assertEqual((found[0], bool(found[1])), (wanted, False), (old, new, value))
                raw.execute("DELETE FROM t")
            for value in bad:
                raw.execute("INSERT INTO t VALUES (?)", (value,))
                self.assertEqual(
                    raw.execute(f"SELECT count(*) FROM t WHERE {way.broken}").fetchone(), (1,), (old, value)
                )
                raw.execute("DELETE FROM t")
            raw.execute("DROP TABLE t")

    def test_other_pairs_are_not_converted(self) -> None:
        """What would guess, round or cut is refused altogether."""
        for old, new in (
            ("DATETIME", "DATE"),
            ("TEXT", "DATE"),
            ("DOUBLE", "SCALED_INT(8, 2)"),
            ("TEXT", "SCALED_INT(8, 2)"),
            ("JSON", "TEXT"),
            ("BLOB", "TEXT"),
            ("SCALED_INT(8, 2)", "DOUBLE"),
        ):
            self.assertIsNone(conversion('"c"', old, new), (old, new))
