"""``Authenticate``: whose password this is.

Rules kept here:

- A wrong password and a user who does not exist take the same time and get the same answer, None.
- The password is verified in a thread for hashing; neither the reactor nor the database waits for it.
- What cannot be a name or a password (no text, too long) is nobody's, and raises nothing: it came from a stranger.
"""

from __future__ import annotations

from typing import Any

from fluxon.blocking import either
from fluxon.database.declaration import Declaration
from fluxon.database.fields import Field, PasswordField
from fluxon.database.rows import Row
from fluxon.errors import ConfigurationError, InvalidPayload
from fluxon.security.passwords import verify_password

#: What a person logs in by, the first of these that the model has.
_NAMES = ("username", "email")


def authenticate(declaration: Declaration, name: Any, password: Any) -> Any:
    """The row of the user with this name and password, or None."""
    database = declaration.database
    name_field, password_field = login_fields(declaration)
    try:
        values = (name_field.convert(name), 1)
    except ValueError:
        values = ("", 0)  # asks the database all the same, for no row
    shape = ("select", declaration, declaration.all_fields, ("==", name_field), (), True, False)
    prepared = database.statements.shape(shape)
    position = declaration.all_fields.index(password_field)

    def blocking() -> Row | None:
        if database.in_transaction:
            raise RuntimeError("Authenticate cannot be used inside transaction(): hashing would hold up every writer")
        return _verified(database.read_blocking(_find, prepared, values), position, password)

    return either(
        lambda: database.read(_find, prepared, values).addCallback(
            lambda found: database.hash(_verified, found, position, password)
        ),
        blocking,
    )


def login_fields(declaration: Declaration) -> tuple[Field, Field]:
    """The fields that hold the name and the password. Raises ``ConfigurationError`` when the model lacks one."""
    names = [declaration.fields[each] for each in _NAMES if each in declaration.fields]
    passwords = [each for each in declaration.all_fields if isinstance(each, PasswordField)]
    if not names or not names[0].unique or len(passwords) != 1:
        raise ConfigurationError(
            f"{declaration.name}.Authenticate needs a field username (or email) with unique=True, and one PasswordField"
        )
    return names[0], passwords[0]


def _find(connection: Any, prepared: Any, values: tuple[Any, ...]) -> Row | None:
    rows = connection.select(prepared, values)
    return rows[0] if rows else None


def _verified(found: Row | None, position: int, password: Any) -> Row | None:
    try:
        right = verify_password(password, None if found is None else found[position])
    except InvalidPayload:
        return None
    return found if right else None
