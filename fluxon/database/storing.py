"""Storing rows: what ``Insert``, ``Update`` and ``InsertOrUpdate`` do once their values are known.

Rules kept here:

- A broken constraint of an insert is the answer False, found by the driver's code and told inside the transaction.
- Many rows are all stored or none.
- Passwords are hashed before the transaction, in threads of their own: hashing takes a tenth of a second, and the
  only writer must not wait for it. Inside ``transaction(fn)`` they are refused for the same reason, but for those that
  were hashed before (``hash_password_of``).
- A key that the database does not number itself must be given: SQLite would otherwise make one up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import and_
from typing import Any

from fluxon.blocking import either
from fluxon.database.attributes import attribute_of
from fluxon.database.declaration import Declaration
from fluxon.database.expressions import Expression, Shape
from fluxon.database.fields import Field, HashedPassword, PasswordField
from fluxon.database.hashing import in_turn
from fluxon.errors import ConfigurationError, Conflict, InvalidPayload
from fluxon.security.passwords import hash_password

_Row = dict[Field, Any]


class _Refused(Exception):
    """A constraint forbade one of many rows."""


def insert_one(declaration: Declaration, row: _Row) -> Any:
    """Answer the new key, or False."""
    return _with_passwords(declaration, [row], lambda rows: (_insert_one, declaration, rows[0]))


def insert_many(declaration: Declaration, rows: list[_Row]) -> Any:
    """Answer the new keys, or False."""
    return _with_passwords(declaration, rows, lambda rows: (_insert_many, declaration, rows))


def put(declaration: Declaration, row: _Row, by: list[Field], changed: list[Field]) -> Any:
    """Answer the key of the row that has the values of ``by``: ``changed`` of it is set, or ``row`` is added."""
    condition: Expression = reduce(and_, [attribute_of(field) == row[field] for field in by])
    return _with_passwords(declaration, [row], lambda rows: (_put, declaration, rows[0], changed, condition))


def update(declaration: Declaration, row: _Row, condition: Shape | None, values: tuple[Any, ...]) -> Any:
    """Answer how many rows were changed."""
    return _with_passwords(declaration, [row], lambda rows: (_update, declaration, rows[0], condition, values))


def _with_passwords(declaration: Declaration, rows: list[_Row], work: Callable[[list[_Row]], tuple[Any, ...]]) -> Any:
    database = declaration.database
    passwords = [row[field] for row in rows for field in row if isinstance(field, PasswordField)]
    if not any(isinstance(each, str) for each in passwords):
        todo = work(_hashed(rows) if passwords else rows)
        return either(lambda: database.write(*todo), lambda: database.write_blocking(*todo))

    def blocking() -> Any:
        if database.in_transaction:
            raise RuntimeError(
                "a password cannot be stored inside transaction(): hashing would hold up every writer; "
                f"hash it before: {declaration.name}.HashPassword(password)"
            )
        return database.write_blocking(*work(_hashed(rows)))

    return either(
        lambda: database.hash(_hashed, rows).addCallback(lambda hashed: database.write(*work(hashed))), blocking
    )


def hash_password_of(declaration: Declaration, password: Any) -> Any:
    """Answer the ``HashedPassword`` of a password that is as the model's field wants it."""
    fields = [each for each in declaration.all_fields if isinstance(each, PasswordField)]
    if len(fields) != 1:
        raise ConfigurationError(f"{declaration.name}.HashPassword needs a model with one PasswordField")
    try:
        password = fields[0].check(password)
    except ValueError as error:
        wrong = str(error) or "is not valid"
        name = fields[0].name
        raise InvalidPayload(f"{declaration.name}: {name!r} {wrong}", details={"fields": {name: wrong}}) from None
    database = declaration.database
    if database.in_transaction:
        raise RuntimeError("HashPassword cannot be used inside transaction(): hashing would hold up every writer")
    return either(lambda: database.hash(_hash, password), lambda: _hash(password))


def _hash(password: Any) -> HashedPassword:
    return password if isinstance(password, HashedPassword) else HashedPassword(in_turn(hash_password, password))


def _hashed(rows: list[_Row]) -> list[_Row]:
    return [
        {
            field: _hash(value).text if isinstance(field, PasswordField) and value is not None else value
            for field, value in row.items()
        }
        for row in rows
    ]


def _insert_one(connection: Any, declaration: Declaration, row: _Row) -> Any:
    key = row.get(declaration.key)
    if key is None and not declaration.numbers_itself:
        return False
    prepared = declaration.database.statements.shape(("insert", declaration, tuple(row)))
    number = connection.insert(prepared, tuple(row.values()))
    if number is None:
        return False
    return number if key is None else key


def _insert_many(connection: Any, declaration: Declaration, rows: list[_Row]) -> Any:
    keys = []
    try:
        with connection.savepoint():
            for row in rows:
                key = _insert_one(connection, declaration, row)
                if key is False:
                    raise _Refused
                keys.append(key)
    except _Refused:
        return False
    return keys


def _put(connection: Any, declaration: Declaration, row: _Row, changed: list[Field], condition: Expression) -> Any:
    # Nobody adds it between the two statements: a transaction sees the database as if it were alone.
    shape = ("select", declaration, (declaration.key,), condition.shape, (), False, False)
    found = connection.select(declaration.database.statements.shape(shape), condition.values)
    if not found:
        key = _insert_one(connection, declaration, row)
        if key is False:
            raise Conflict(f"a constraint forbids this row of {declaration.name}")
        return key
    key = found[0][0]
    if changed:
        _update(connection, declaration, {each: row[each] for each in changed}, declaration.key_condition, (key,))
    return row[declaration.key] if declaration.key in changed else key


def _update(
    connection: Any, declaration: Declaration, row: _Row, condition: Shape | None, values: tuple[Any, ...]
) -> int:
    prepared = declaration.database.statements.shape(("update", declaration, tuple(row), condition))
    return connection.change(prepared, (*row.values(), *values))  # type: ignore[no-any-return]
