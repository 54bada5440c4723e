"""From a shape to the Core statement that says the same.

Rules kept here:

- A shape holds declarations, fields, operators and counts, never a value: every value is a parameter, numbered in the
  order in which the shape names them.
- Columns are taken from the model's own table by its fields. A field of another model is a ``TypeError``, unless
  foreign keys lead to it. Each way across relations is one join, however often it is named; it is an outer join where
  a reference on the way may be empty: a row without a teacher has no department, and is still a row.
- Comparisons with an empty column are neither true nor false, as in SQL: only ``is_null`` and ``== None`` find it.
- Empty columns sort before all others, on every database.

The shapes; a reference is a field, or a tuple of foreign keys and the field that they lead to::

    ("select", declaration, references, condition | None, ((reference, descending), ...), has_fetch, has_offset)
    ("count", declaration, condition | None)
    ("insert", declaration, fields)
    ("update", declaration, fields, condition | None)
    ("delete", declaration, condition | None)

A condition is ``("&" | "|", condition, ...)``, ``("~", condition)``, ``(operator, reference)``,
``("columns", operator, reference, reference)``, ``("null" | "not null", reference)``, ``("in", reference, length)``,
``("between", reference)``, ``("like", reference[, escape])`` or ``("linked", reference, field, field)``: the column is
among those that the rows of a linking table have in one field where the other has a value.
"""

from __future__ import annotations

import operator
from typing import Any

import sqlalchemy
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BindParameter, ClauseElement, ColumnElement
from sqlalchemy.sql.selectable import FromClause, Select

from fluxon.database.attributes import Reference, name_in_rows
from fluxon.database.declaration import Declaration
from fluxon.database.expressions import Expression, Shape
from fluxon.database.fields import Field, ForeignKey
from fluxon.database.prepared import position_name
from fluxon.database.sorting import sorted_by

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


def row_condition(declaration: Declaration, condition: Expression) -> ColumnElement[bool]:
    """A condition on the columns of one row, with its values as literals. Raises ``TypeError`` for any other."""
    return _LiteralWriter(declaration, condition.values).row_condition(condition.shape)


class _Writer:
    """Writes one statement; counts its parameters."""

    def __init__(self, declaration: Declaration) -> None:
        assert declaration.table is not None  # whoever asks is bound
        self._declaration = declaration
        self._table = declaration.table
        self._count = 0
        #: What is selected from, and the tables in it by the foreign keys that lead to them.
        self._from: FromClause = declaration.table
        self._joined: dict[tuple[Field, ...], FromClause] = {(): declaration.table}
        #: Whether the condition looks at what a deletion takes away while it goes on.
        self._moving = False

    def statement(self, shape: Shape) -> Any:
        match shape:
            case ("select", _, fields, condition, order, has_fetch, has_offset):
                return self._select(fields, condition, order, has_fetch, has_offset)
            case ("count", _, condition):
                clause = self._clause(condition)
                counted = sqlalchemy.select(sqlalchemy.func.count().label("count"))
                return counted.select_from(self._from).where(*clause)
            case ("insert", _, fields):
                return sqlalchemy.insert(self._table).values(self._settings(fields))
            case ("update", _, fields, condition):
                settings = self._settings(fields)
                return self._restricted(sqlalchemy.update(self._table).values(settings), condition)
            case _:  # ("delete", _, condition)
                return self._restricted(sqlalchemy.delete(self._table), shape[2], moving=True)

    def _select(
        self, references: Shape, condition: Shape | None, order: Shape, has_fetch: bool, has_offset: bool
    ) -> Any:
        columns = [self._column(each).label(name_in_rows(each)) for each in references]
        clause = self._clause(condition)
        sorting = [
            sorted_by(self._column(reference), descending, _may_be_empty(reference)) for reference, descending in order
        ]
        query = sqlalchemy.select(*columns).select_from(self._from).where(*clause).order_by(*sorting)
        if has_fetch:
            query = query.limit(self._parameter(sqlalchemy.BigInteger()))
        if has_offset:
            query = query.offset(self._parameter(sqlalchemy.BigInteger()))
        return query

    def _settings(self, fields: tuple[Field, ...]) -> dict[Any, Any]:
        return {column: self._parameter(column.type) for column in map(self._column, fields)}

    def _clause(self, condition: Shape | None) -> list[ColumnElement[bool]]:
        return [] if condition is None else [self._condition(condition)]

    def _restricted(self, statement: Any, condition: Shape | None, *, moving: bool = False) -> Any:
        """An UPDATE or DELETE of the rows that meet a condition."""
        clause = self._clause(condition)
        if self._from is self._table and not (moving and self._moving):
            return statement.where(*clause)
        # MariaDB and MySQL look at each row when it is its turn, and may have emptied its reference by then. What
        # is changed cannot be joined on every database; and MySQL takes its rows from a table of their own only.
        key = self._table.c[self._declaration.key.name]
        found = sqlalchemy.select(key).select_from(self._from).where(*clause).distinct().subquery()
        return statement.where(key.in_(sqlalchemy.select(found.c[key.name])))

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
                # Not false(): Core would leave out what stands beside it, and its parameters.
                return sqlalchemy.literal_column("0") == sqlalchemy.literal_column("1")
            case ("in", field, length):
                column = self._column(field)
                return column.in_([self._parameter(column.type) for _ in range(length)])
            case ("between", field):
                column = self._column(field)
                return column.between(self._parameter(column.type), self._parameter(column.type))
            case ("like", field, *escape):
                column = self._column(field)
                return column.like(self._parameter(column.type), escape=escape[0] if escape else None)
            case ("linked", reference, selected, compared):
                self._moving = True  # the pairs of a row go with it
                link = selected.model.declaration.table.alias()
                value = self._parameter(compared.column_type())
                among = sqlalchemy.select(link.c[selected.name]).where(link.c[compared.name] == value)
                return self._column(reference).in_(among)
            case _:
                comparison, field = shape
                column = self._column(field)
                return _OPERATORS[comparison](column, self._parameter(column.type))  # type: ignore[no-any-return]

    def _column(self, reference: Reference) -> ColumnElement[Any]:
        if isinstance(reference, tuple):
            *way, field = reference
            # The key of the row referred to is what the reference itself holds: no join for it.
            while way and isinstance(way[-1], ForeignKey) and way[-1].target_key is field:
                field = way.pop()
            if way:
                return self._table_at(tuple(way)).c[field.name]
        else:
            field = reference
        self._moving = self._moving or field in self._declaration.empties
        if self._declaration.fields.get(field.name) is not field:
            raise TypeError(f"{field} is no column of {self._declaration.name}")
        return self._table.c[field.name]

    def _table_at(self, way: tuple[Field, ...]) -> FromClause:
        """The table that these foreign keys lead to, joined."""
        found = self._joined.get(way)
        if found is None:
            reference = way[-1]
            assert isinstance(reference, ForeignKey)
            here = self._column(way)
            target = reference.target_key
            found = target.model.declaration.table.alias(f"fluxon_{len(self._joined)}")  # no model's table is called so
            outer = any(each.null for each in way)
            self._from = self._from.join(found, here == found.c[target.name], isouter=outer)
            self._joined[way] = found
        return found

    def _parameter(self, type_: Any) -> BindParameter[Any]:
        name = position_name(self._count)
        self._count += 1
        return sqlalchemy.bindparam(name, type_=type_)


def _may_be_empty(reference: Reference) -> bool:
    return any(each.null for each in reference) if isinstance(reference, tuple) else reference.null


class _LiteralWriter(_Writer):
    """Writes a condition with its values in it."""

    def __init__(self, declaration: Declaration, values: tuple[Any, ...]) -> None:
        super().__init__(declaration)
        self._values = iter(values)

    def row_condition(self, shape: Shape) -> ColumnElement[bool]:
        clause = self._condition(shape)
        if any(isinstance(each, Select) for each in visitors.iterate(clause)) or self._from is not self._table:
            raise TypeError("it may name no other table")
        return clause

    def _parameter(self, type_: Any) -> BindParameter[Any]:
        return sqlalchemy.literal(next(self._values), type_)
