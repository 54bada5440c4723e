"""Rows in pairs: ``Student.courses(id).add(...)``, ``remove``, ``list``.

Rules kept here:

- The pairs are rows of the model that the relation goes ``through``; nothing is stored that it does not declare.
- A pair that is there already is not added again; adding and looking are one transaction.
- Every call follows ``fluxon.blocking``: on the reactor's thread it returns something to await, elsewhere the result.
"""

from __future__ import annotations

from typing import Any, NoReturn

from fluxon.blocking import either
from fluxon.database.attributes import attribute_of, reference_of
from fluxon.database.declaration import Declaration
from fluxon.database.expressions import Expression, Shape
from fluxon.database.fields import Field, ForeignKey, ManyToManyField
from fluxon.database.operations import EVERY, bound
from fluxon.database.values import row_to_insert
from fluxon.errors import Conflict, InvalidPayload


class Links:
    """A model's relation to many rows of another, as ``Student.courses``. Call it with the key of one row."""

    __slots__ = ("_field",)

    def __init__(self, field: ManyToManyField) -> None:
        self._field = field

    def __repr__(self) -> str:
        return f"<{self._field}>"

    def __call__(self, key: Any) -> LinkedRows:
        """What the row with this key is linked with. Nothing is asked of the database yet."""
        bound(self._field.link)
        return LinkedRows(self._field, _checked(self._field.own_side, key))

    def has(self, key: Any) -> Expression:
        """The condition that a row is linked with the row of the other model that has this key."""
        field = self._field
        bound(field.link)
        return _linked(field.model.declaration.key, field.own_side, field.other_side, _checked(field.other_side, key))

    def _is_no_value(self, *_: Any) -> NoReturn:
        raise TypeError(f"{self._field} is no column: call it with a key, as in {self._field}(5).list()")

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __iter__ = __len__ = _is_no_value
    __hash__ = object.__hash__


class LinkedRows:
    """The rows that one row is linked with."""

    __slots__ = ("_field", "_key")

    def __init__(self, field: ManyToManyField, key: Any) -> None:
        self._field = field
        self._key = key

    def add(self, *keys: Any, **columns: Any) -> Any:
        """Link with the rows that have these keys; how many of the pairs are new.

        ``columns`` are stored in each new row of the linking model. Raises ``Conflict``, and adds none, when one of
        the rows does not exist or a constraint forbids a pair.
        """
        field = self._field
        link, database = bound(field.link)
        unique = list(dict.fromkeys(self._given(keys)))
        rows = {
            key: row_to_insert(link, {field.own_side.name: self._key, field.other_side.name: key}, columns)
            for key in unique
        }
        for row in rows.values():
            _must_be_complete(link, row)
        condition = self._among(unique)
        shape = ("select", link, (field.other_side,), condition.shape, (), False, False)
        arguments = (_add, link, shape, condition.values, rows)
        return either(lambda: database.write(*arguments), lambda: database.write_blocking(*arguments))

    def remove(self, *keys: Any) -> Any:
        """Unlink the rows that have these keys; how many pairs there were."""
        return self._field.link.Delete(self._among(list(self._given(keys))))

    def clear(self) -> Any:
        """Unlink all rows; how many pairs there were."""
        return self._field.link.Delete(attribute_of(self._field.own_side) == self._key)

    def list(self, where: Expression = EVERY, **options: Any) -> Any:
        """The rows that are linked, as ``Check`` answers them, with its options. Each once."""
        return self._field.target.Check(self._and(where), **options)

    def count(self, where: Expression = EVERY) -> Any:
        """How many rows are linked."""
        return self._field.target.Count(self._and(where))

    def _given(self, keys: tuple[Any, ...]) -> tuple[Any, ...]:
        if not keys:
            raise TypeError(f"{self._field}: no key is given")
        return tuple(_checked(self._field.other_side, key) for key in keys)

    def _among(self, keys: Any) -> Expression:
        field = self._field
        own: Expression = attribute_of(field.own_side) == self._key
        return own & attribute_of(field.other_side).in_(keys)

    def _and(self, where: Expression) -> Expression:
        field = self._field
        linked = _linked(field.target.declaration.key, field.other_side, field.own_side, self._key)
        if where is EVERY:
            return linked
        if not isinstance(where, Expression):
            raise TypeError(f"the condition is where[...]; it was {type(where).__name__}")
        return linked & where


def _linked(key: Field, selected: ForeignKey, compared: ForeignKey, value: Any) -> Expression:
    return Expression(("linked", reference_of(attribute_of(key)), selected, compared), (value,))


def _checked(side: ForeignKey, key: Any) -> Any:
    try:
        return side.convert(key)
    except ValueError as error:
        raise InvalidPayload(f"a key for {side} {error}") from None


def _must_be_complete(link: Declaration, row: dict[Field, Any]) -> None:
    missing = [
        field.name
        for field in link.all_fields
        if not field.null and row.get(field) is None and not (field is link.key and link.numbers_itself)
    ]
    if missing:
        raise InvalidPayload(
            f"{link.name}: no value for {', '.join(missing)}", details={"fields": dict.fromkeys(missing, "is missing")}
        )


def _add(
    connection: Any, link: Declaration, shape: Shape, values: tuple[Any, ...], rows: dict[Any, dict[Field, Any]]
) -> int:
    statements = link.database.statements
    have = {each[0] for each in connection.select(statements.shape(shape), values)}
    added = 0
    for key, row in rows.items():
        if key in have:
            continue
        if connection.insert(statements.shape(("insert", link, tuple(row))), tuple(row.values())) is None:
            raise Conflict(f"a {link.name} refers to a row that does not exist, or breaks a rule of its table")
        added += 1
    return added
