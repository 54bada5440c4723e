"""Running a statement of SQLAlchemy Core, for what the calls of a model do not say.

Rules kept here:

- SQL text is refused wherever it stands in a statement: what a client sent could be part of it.
- What answers rows is read, what changes rows is written; definitions of tables belong to the schema files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement, ColumnClause, TextClause
from sqlalchemy.sql.selectable import SelectBase

from fluxon.blocking import either


def run(database: Any, statement: Any, parameters: Mapping[str, Any] | None = None) -> Any:
    """Rows (a list of tuples with names) of what answers some, else how many rows were changed."""
    writes = bool(getattr(statement, "is_dml", False))
    if not isinstance(statement, ClauseElement) or not (writes or isinstance(statement, SelectBase)):
        raise TypeError("run() takes a select(), insert(), update() or delete() of SQLAlchemy Core")
    _refuse_text(statement)
    answers = bool(list(getattr(statement, "exported_columns", ())))
    arguments = (_rows if answers else _changed, statement, dict(parameters or {}))
    if writes:
        return either(lambda: database.write(*arguments), lambda: database.write_blocking(*arguments))
    return either(lambda: database.read(*arguments), lambda: database.read_blocking(*arguments))


def _refuse_text(statement: ClauseElement) -> None:
    for element in visitors.iterate(statement):
        literal = isinstance(element, ColumnClause) and element.is_literal and element.name != "*"
        if literal or isinstance(element, TextClause):
            raise TypeError("SQL text is not run; write it with tables, columns and functions of SQLAlchemy Core")


def _rows(connection: Any, statement: Any, parameters: dict[str, Any]) -> Any:
    return connection.rows(statement, parameters)


def _changed(connection: Any, statement: Any, parameters: dict[str, Any]) -> Any:
    return connection.run(statement, parameters)
