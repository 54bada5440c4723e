"""From a shape to the Core statement that says the same.

Rules kept here:

- A shape holds declarations, fields, operators and counts, never a value: every value is a parameter, numbered in the
  order in which the shape names them.
- Columns are taken from the model's own table by its fields. A field of another model is a ``TypeError``.

The shapes::

    ("select", declaration, fields, condition | None, ((field, descending), ...), has_fetch, has_offset)
    ("count", declaration, condition | None)
    ("insert", declaration, fields)
    ("update", declaration, fields, condition | None)
    ("delete", declaration, condition | None)

A condition is ``("&" | "|", condition, ...)``, ``("~", condition)``, ``(operator, field)``,
``("columns", operator, field, field)``, ``("null" | "not null", field)``, ``("in", field, length)``,
``("between", field)`` or ``("like", field[, escape])``.
"""

from __future__ import annotations

import operator
from typing import Any

import sqlalchemy
from sqlalchemy.sql.elements import BindParameter, ClauseElement, ColumnElement

from fluxon.database.declaration import Declaration
from fluxon.database.expressions import Shape
from fluxon.database.fields.base import Field
from fluxon.database.prepared import position_name

_OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def statement_of(shape: Shape) -> ClauseElement:
    """The Core statement of a whole shape."""
    return _Writer(shape[1]).statement(shape)  # type: ignore[no-any-return]


class _Writer:
    """Writes one statement; counts its parameters."""

    def __init__(self, declaration: Declaration) -> None:
        if declaration.table is None:
            raise TypeError(f"{declaration.name} is not bound to a database")
        self._declaration = declaration
        self._table = declaration.table
        self._count = 0

    def statement(self, shape: Shape) -> Any:
        match shape:
            case ("select", _, fields, condition, order, has_fetch, has_offset):
                return self._select(fields, condition, order, has_fetch, has_offset)
            case ("count", _, condition):
                counted = sqlalchemy.select(sqlalchemy.func.count().label("count")).select_from(self._table)
                return self._restricted(counted, condition)
            case ("insert", _, fields):
                return sqlalchemy.insert(self._table).values(self._settings(fields))
            case ("update", _, fields, condition):
                settings = self._settings(fields)
                return self._restricted(sqlalchemy.update(self._table).values(settings), condition)
            case ("delete", _, condition):
                return self._restricted(sqlalchemy.delete(self._table), condition)
        raise AssertionError(f"no such shape: {shape[0]}")

    def _select(
        self, fields: tuple[Field, ...], condition: Shape | None, order: Shape, has_fetch: bool, has_offset: bool
    ) -> Any:
        query = self._restricted(sqlalchemy.select(*map(self._column, fields)), condition)
        for field, descending in order:
            column = self._column(field)
            query = query.order_by(column.desc() if descending else column.asc())
        if has_fetch:
            query = query.limit(self._parameter(sqlalchemy.BigInteger()))
        if has_offset:
            query = query.offset(self._parameter(sqlalchemy.BigInteger()))
        return query

    def _settings(self, fields: tuple[Field, ...]) -> dict[Any, Any]:
        return {column: self._parameter(column.type) for column in map(self._column, fields)}

    def _restricted(self, statement: Any, condition: Shape | None) -> Any:
        return statement if condition is None else statement.where(self._condition(condition))

    def _condition(self, shape: Shape) -> ColumnElement[bool]:
        match shape:
            case ("&", *terms):
                return sqlalchemy.and_(*map(self._condition, terms))
            case ("|", *terms):
                return sqlalchemy.or_(*map(self._condition, terms))
            case ("~", inner):
                return sqlalchemy.not_(self._condition(inner))
            case ("null", field):
                return self._column(field).is_(None)
            case ("not null", field):
                return self._column(field).is_not(None)
            case ("columns", comparison, left, right):
                return _OPERATORS[comparison](self._column(left), self._column(right))  # type: ignore[no-any-return]
            case ("in", _, 0):
                return sqlalchemy.false()
            case ("in", field, length):
                column = self._column(field)
                return column.in_([self._parameter(column.type) for _ in range(length)])
            case ("between", field):
                column = self._column(field)
                return column.between(self._parameter(column.type), self._parameter(column.type))
            case ("like", field, *escape):
                column = self._column(field)
                return column.like(self._parameter(column.type), escape=escape[0] if escape else None)
            case (comparison, field):
                column = self._column(field)
                return _OPERATORS[comparison](column, self._parameter(column.type))  # type: ignore[no-any-return]
        raise AssertionError(f"no such condition: {shape[0]}")

    def _column(self, field: Field) -> sqlalchemy.Column[Any]:
        if self._declaration.fields.get(field.name) is not field:
            raise TypeError(f"{field} is no column of {self._declaration.name}")
        return self._table.c[field.name]

    def _parameter(self, type_: Any) -> BindParameter[Any]:
        name = position_name(self._count)
        self._count += 1
        return sqlalchemy.bindparam(name, type_=type_)
