"""Rows and prepared statements: names, order and constants."""

from __future__ import annotations

import datetime

import sqlalchemy
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.prepared import prepare
from fluxon.database.rows import row_maker
from fluxon.database.statements import Statements

TABLE = sqlalchemy.Table(
    "t", sqlalchemy.MetaData(), sqlalchemy.Column("a", sqlalchemy.Integer), sqlalchemy.Column("b", sqlalchemy.Date)
)
DIALECT = SQLiteDialect_pysqlite(paramstyle="qmark")


class Rows(SynchronousTestCase):
    """Tuples with names."""

    def test_a_column_may_be_called_like_a_method(self) -> None:
        """The column wins; what Python cannot spell goes by position."""
        (row,) = row_maker(["count", "index", "count(*)"], [None, None, None])([(1, 2, 3)])
        self.assertEqual((row.count, row.index, row[2]), (1, 2, 3))
        self.assertEqual(row, (1, 2, 3))
        self.assertIsInstance(row, tuple)

    def test_converted_columns(self) -> None:
        """A column with a processor passes through it, the others do not."""
        rows = row_maker(["a", "b"], [None, str])([(1, 2), (3, 4)])
        self.assertEqual(rows, [(1, "2"), (3, "4")])


class PreparedStatements(SynchronousTestCase):
    """What Core wrote, and the values in the order of its placeholders."""

    def test_values_by_name(self) -> None:
        """Constants of the statement are kept, parameters are converted, a missing one is told."""
        statement = sqlalchemy.select(TABLE.c.a).where(TABLE.c.b == sqlalchemy.bindparam("day"), TABLE.c.a > 5)
        prepared = prepare(statement, DIALECT)
        self.assertEqual(prepared.by_name({"day": datetime.date(2020, 1, 2)}), ["2020-01-02", 5])
        self.assertRaises(TypeError, prepared.by_name, {})

    def test_a_list_decides_the_text(self) -> None:
        """Lists of different lengths get texts of their own."""
        statements = Statements(DIALECT)
        statement = sqlalchemy.select(TABLE.c.a).where(TABLE.c.a.in_(sqlalchemy.bindparam("some", expanding=True)))
        for some in ([1], [1, 2, 3]):
            prepared = statements.core(statement, {"some": some})
            self.assertEqual(prepared.text.count("?"), len(some))
            self.assertEqual(prepared.by_name({"some": some}), some)

    def test_a_statement_is_written_once(self) -> None:
        """The second look-up is the same object."""
        statements = Statements(DIALECT)
        statement = sqlalchemy.insert(TABLE)
        self.assertIs(statements.core(statement, {"a": 1}), statements.core(statement, {"a": 2}))
        self.assertIsNot(statements.core(statement, {"a": 1}), statements.core(statement, {"b": 2}))
