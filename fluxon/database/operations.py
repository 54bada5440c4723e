"""What can be done with a model's rows: ``Insert``, ``Check``, ``Get``, ``Count``, ``Update``, ``Delete``.

Rules kept here:

- Each call follows ``fluxon.blocking``: on the reactor's thread it returns something to await, elsewhere the result.
- Wrong arguments raise at once, in the caller's own thread, before anything runs.
- ``Insert`` answers False for a broken constraint and for nothing else; whatever else goes wrong raises.
- Leaving out a condition means every row, as it says; a condition that is None is a mistake, and raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from fluxon.blocking import either
from fluxon.database.attributes import Attribute, Order, Reference, field_of, name_in_rows
from fluxon.database.declaration import Declaration
from fluxon.database.expressions import Expression, Shape
from fluxon.database.storing import hash_password_of, insert_many, insert_one, put, update
from fluxon.database.values import columns_to_update, reference_to, row_to_insert, row_to_put, rows_to_insert
from fluxon.errors import ConfigurationError, Conflict, InvalidPayload
from fluxon.limits import MAX_INT

#: Where a condition may be left out, to mean every row.
EVERY: Final[Any] = Expression(("every",), (), 0)


class Operations:
    """The calls of a model. All are class methods; a model is never instantiated."""

    declaration: ClassVar[Any]

    @classmethod
    def Insert(cls, values: Any = None, /, **columns: Any) -> Any:
        """Add a row, from a dict of columns (``{User.name: "Jane"}`` or ``{"name": "Jane"}``) or from keywords.

        Answers the new row's key, or False when a constraint forbids the row. A list of dicts adds all of them in
        one transaction and answers a list of keys, or False and adds none. Raises ``InvalidPayload`` for unknown
        columns and for values of a wrong type, length or range, naming all of them.
        """
        declaration, _ = bound(cls)
        if isinstance(values, list | tuple):
            if columns:
                raise TypeError("Insert takes a list of rows, or one row; not both")
            return insert_many(declaration, rows_to_insert(declaration, values))
        return insert_one(declaration, row_to_insert(declaration, values, columns))

    @classmethod
    def Check(
        cls,
        where: Expression = EVERY,
        fetch: int | None = None,
        columns: Iterable[Any] | None = None,
        order_by: Any = None,
        offset: int | None = None,
    ) -> Any:
        """The rows that meet a condition, as a list of tuples with names; all rows without one.

        ``fetch`` is how many at most, ``offset`` how many to leave out before; ``columns`` which columns, by
        attribute or name; ``order_by`` a column or several, as ``User.name``, ``User.name.desc()``, ``"-name"``.
        Attributes may lead across relations: ``columns=[Course.teacher.name]`` is ``teacher_name`` in the rows.
        """
        declaration, database = bound(cls)
        shape = (
            "select",
            declaration,
            _columns(declaration, columns),
            _condition(where),
            () if order_by is None else _order(declaration, order_by),
            fetch is not None,
            offset is not None,
        )
        values = where.values
        if fetch is not None:
            values = (*values, _count("fetch", fetch))
        if offset is not None:
            values = (*values, _count("offset", offset))
        return either(
            lambda: database.read(_select, database.statements.shape(shape), values),
            lambda: database.read_blocking(_select, database.statements.shape(shape), values),
        )

    @classmethod
    def Get(cls, key_or_where: Any, /) -> Any:
        """The one row with this key, or that meets this condition; None when there is none.

        Raises ``Conflict`` when several rows meet the condition.
        """
        declaration, database = bound(cls)
        if isinstance(key_or_where, Expression):
            condition, values = _condition(key_or_where), key_or_where.values
        else:
            condition, values = declaration.key_condition, (_key(declaration, key_or_where),)
        shape = ("select", declaration, declaration.all_fields, condition, (), True, False)
        values = (*values, 2)
        return either(
            lambda: database.read(_select_one, database.statements.shape(shape), values),
            lambda: database.read_blocking(_select_one, database.statements.shape(shape), values),
        )

    @classmethod
    def Count(cls, where: Expression = EVERY) -> Any:
        """How many rows meet a condition; how many there are without one."""
        declaration, database = bound(cls)
        shape = ("count", declaration, _condition(where))
        return either(
            lambda: database.read(_select_count, database.statements.shape(shape), where.values),
            lambda: database.read_blocking(_select_count, database.statements.shape(shape), where.values),
        )

    @classmethod
    def Update(cls, values: Mapping[Any, Any], where: Expression = EVERY) -> Any:
        """Set columns of the rows that meet a condition (of every row without one); how many rows those were.

        Raises ``AlreadyExists``, ``Conflict`` or ``InvalidPayload`` when a constraint forbids it.
        """
        declaration, _ = bound(cls)
        condition = _condition(where)
        return update(declaration, columns_to_update(declaration, values), condition, where.values)

    @classmethod
    def InsertOrUpdate(cls, values: Any = None, /, *, by: Any, **columns: Any) -> Any:
        """Set columns of the row that has the given values in ``by``; add it where there is none. Its key.

        Values are given as to ``Insert``. ``by`` is a column, or a list of them, that no two rows share: the key, a
        unique one, a ``unique_together``. Of a row that is there only what is given is changed. It is one transaction:
        of several who add the same row at once one does, and the others change it. Raises ``InvalidPayload`` as
        ``Insert`` does, ``Conflict`` or ``AlreadyExists`` when a constraint forbids it.
        """
        declaration, _ = bound(cls)
        return put(declaration, *row_to_put(declaration, values, columns, by))

    @classmethod
    def HashPassword(cls, password: Any, /) -> Any:
        """The password as ``Insert`` and ``Update`` would store it: a ``HashedPassword``, which they take as it is.

        For ``transaction(fn)``, in which nothing may be hashed. Raises ``InvalidPayload`` for what is no password to
        the model's field, ``ConfigurationError`` for a model without one.
        """
        declaration, _ = bound(cls)
        return hash_password_of(declaration, password)

    @classmethod
    def Delete(cls, where: Expression = EVERY) -> Any:
        """Delete the rows that meet a condition; how many those were. ``Delete()`` empties the table.

        Raises ``Conflict`` when a row is still referred to (``on_delete=PROTECT``).
        """
        declaration, database = bound(cls)
        condition, statements = _condition(where), database.statements
        shape = ("delete", declaration, condition)
        if declaration.deletes_own:
            count = ("count", declaration, condition)
            return either(
                lambda: database.write(_delete, statements.shape(count), statements.shape(shape), where.values),
                lambda: database.write_blocking(
                    _delete, statements.shape(count), statements.shape(shape), where.values
                ),
            )
        return either(
            lambda: database.write(_change, statements.shape(shape), where.values),
            lambda: database.write_blocking(_change, statements.shape(shape), where.values),
        )


def bound(model: Any) -> tuple[Declaration, Any]:
    """A model's declaration and database; raises when it has none."""
    declaration = model.declaration
    if declaration is None:
        raise TypeError(f"{model.__name__} is abstract: it has no table")
    if declaration.database is None:
        raise ConfigurationError(
            f"{model.__name__} is not bound to a database: the models of Setup(models=...) are while the server runs; "
            "in a program of its own type SQLiteDatabase(path, models=models), in a test use fluxon.testing"
        )
    return declaration, declaration.database


def _condition(where: Any) -> Shape | None:
    if where is EVERY:
        return None
    if not isinstance(where, Expression):
        raise TypeError(f"the condition is where[...]; leave it out for every row. It was {type(where).__name__}")
    return where.shape


def _key(declaration: Declaration, key: Any) -> Any:
    if key is None:
        raise TypeError("Get takes a key or where[...], not None")
    try:
        return declaration.key.convert(key)
    except ValueError as error:
        raise InvalidPayload(f"the key of a {declaration.name} {error}") from None


def _columns(declaration: Declaration, named: Iterable[Any] | None) -> tuple[Reference, ...]:
    if named is None:
        return declaration.all_fields
    if isinstance(named, str | Attribute):
        raise TypeError("columns is a list of columns")
    found = tuple(reference_to(declaration, each) for each in named)
    if not found:
        raise InvalidPayload("columns is an empty list; leave it out for all columns")
    if len({name_in_rows(each) for each in found}) != len(found):
        raise InvalidPayload("columns names a column twice")
    return found


def _order(declaration: Declaration, order_by: Any) -> tuple[tuple[Reference, bool], ...]:
    if isinstance(order_by, str | Attribute | Order):
        order_by = [order_by]
    return tuple(_one_order(declaration, each) for each in order_by)


def _one_order(declaration: Declaration, by: Any) -> tuple[Reference, bool]:
    descending = False
    if isinstance(by, str):
        by, descending = by.removeprefix("-"), by.startswith("-")
    elif isinstance(by, Order):
        by, descending = by.attribute, by.descending
    reference = reference_to(declaration, by)
    if not field_of(reference).ordered:
        raise TypeError(f"{field_of(reference)} has no order")
    return reference, descending


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a number of rows")
    if not 0 <= value <= MAX_INT:
        raise InvalidPayload(f"{name} is not negative")
    return value


def _select(connection: Any, prepared: Any, values: Any) -> Any:
    return connection.select(prepared, values)


def _select_one(connection: Any, prepared: Any, values: Any) -> Any:
    rows = connection.select(prepared, values)
    if len(rows) > 1:
        raise Conflict("more than one row meets the condition; use Check for several")
    return rows[0] if rows else None


def _select_count(connection: Any, prepared: Any, values: Any) -> int:
    return connection.select(prepared, values)[0][0]  # type: ignore[no-any-return]


def _change(connection: Any, prepared: Any, values: Any) -> int:
    return connection.change(prepared, values)  # type: ignore[no-any-return]


def _delete(connection: Any, count: Any, prepared: Any, values: Any) -> int:
    # A database may leave out the rows that went with others, or count them by the way that it took.
    met = _select_count(connection, count, values)
    connection.change(prepared, values)
    return met
