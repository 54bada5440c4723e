"""ORDER BY with empty columns first, as SQLite and MySQL have it; PostgreSQL has to be told.

Rule kept here: a column that is never empty is sorted without a word about it, so that PostgreSQL can use its index.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.visitors import InternalTraversal


class _EmptyFirst(ColumnElement[Any]):
    """A column to sort by that may be empty."""

    inherit_cache = True
    _traverse_internals = [("column", InternalTraversal.dp_clauseelement), ("descending", InternalTraversal.dp_boolean)]

    def __init__(self, column: ColumnElement[Any], descending: bool) -> None:
        self.column = column
        self.descending = descending
        self.type = column.type


@compiles(_EmptyFirst)
def _write(element: _EmptyFirst, compiler: Any, **options: Any) -> str:
    options["within_columns_clause"] = False
    column = element.column.desc() if element.descending else element.column.asc()
    return str(compiler.process(column, **options))


@compiles(_EmptyFirst, "postgresql")
def _write_postgresql(element: _EmptyFirst, compiler: Any, **options: Any) -> str:
    options["within_columns_clause"] = False
    column = element.column.desc().nulls_last() if element.descending else element.column.asc().nulls_first()
    return str(compiler.process(column, **options))


def sorted_by(column: ColumnElement[Any], descending: bool, may_be_empty: bool) -> ColumnElement[Any]:
    """What ORDER BY takes for ``column``."""
    if may_be_empty:
        return _EmptyFirst(column, descending)
    return column.desc() if descending else column.asc()
