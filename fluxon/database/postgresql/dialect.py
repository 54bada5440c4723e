"""How Core writes SQL for PostgreSQL here.

Rules kept here:

- ``LIKE`` has no escape character unless one is named, as on SQLite.
- Giving a row a number of one's own moves the counter beyond it, as on SQLite and MariaDB: otherwise a later row would
  be given the same number, and its insert would look like a broken constraint.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg
from sqlalchemy.sql.elements import ColumnElement

from fluxon.database.expressions import Shape
from fluxon.database.prepared import Prepared, prepare
from fluxon.database.shapes import statement_of
from fluxon.database.statements import Statements


class _Compiler(PGCompiler_psycopg):
    def visit_like_op_binary(self, binary: Any, operator: Any, **kwargs: Any) -> str:
        text = str(super().visit_like_op_binary(binary, operator, **kwargs))  # type: ignore[no-untyped-call]
        return text if binary.modifiers.get("escape") is not None else text + " ESCAPE ''"

    def visit_not_like_op_binary(self, binary: Any, operator: Any, **kwargs: Any) -> str:
        text = str(super().visit_not_like_op_binary(binary, operator, **kwargs))  # type: ignore[no-untyped-call]
        return text if binary.modifiers.get("escape") is not None else text + " ESCAPE ''"


class PostgreSQLDialect(PGDialect_psycopg):
    """The dialect, known without asking a server."""

    statement_compiler = _Compiler
    supports_statement_cache = True

    def __init__(self, paramstyle: Any) -> None:
        super().__init__(paramstyle=paramstyle)  # type: ignore[no-untyped-call]
        # Connections here have standard_conforming_strings on.
        self._backslash_escapes = False


class PostgreSQLStatements(Statements):
    """The prepared statements of a PostgreSQL database."""

    def __init__(self) -> None:
        super().__init__(PostgreSQLDialect("format"), PostgreSQLDialect("named"))

    def _write_shape(self, shape: Shape) -> Prepared:
        if shape[0] == "insert" and shape[1].numbers_itself and shape[1].key in shape[2]:
            statement: Any = statement_of(shape)
            key = shape[1].table.c[shape[1].key.name]
            return prepare(statement.returning(_counted(key)), self.dialect, positional=True)
        return super()._write_shape(shape)


def _counted(key: sqlalchemy.Column[Any]) -> ColumnElement[Any]:
    """The key that was given, after the counter was moved beyond it. (Names hold no quotes: they are Python's.)"""
    name = f'"{key.name}"'
    counter = f"pg_get_serial_sequence('\"{key.table.name}\"', '{key.name}')"
    moved = f"CASE WHEN {name} >= nextval({counter}) THEN setval({counter}, {name}) ELSE {name} END"
    return sqlalchemy.literal_column(moved, sqlalchemy.BigInteger()).label("number")
