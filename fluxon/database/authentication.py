"""``Authenticate``: whose password this is.

Rules kept here:

- A wrong password and a user who does not exist take the same time and get the same answer, None.
- The password is verified in a thread for hashing; neither the reactor nor the database waits for it.
- What cannot be a name or a password (no text, too long) is nobody's, and raises nothing: it came from a stranger.
- Tries are throttled by name and address (``fluxon.database.throttle``), before anything else is done for them.
- A hash of other parameters than today's is replaced at a login, keeping its salt: sessions know a password by that
  (``password_identity``), so other devices stay logged in. Only the hash that was verified is replaced, never a
  password that was changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.blocking import either
from fluxon.caller import caller_address
from fluxon.database.declaration import Declaration
from fluxon.database.fields import Field, PasswordField
from fluxon.database.hashing import in_turn
from fluxon.database.rows import Row
from fluxon.database.throttle import Attempt
from fluxon.errors import ConfigurationError, InvalidPayload
from fluxon.security.passwords import needs_rehash, rehash_password, verify_password

_log = Logger()

#: What a person logs in by, the first of these that the model has.
LOGIN_NAMES = ("username", "email")


def authenticate(declaration: Declaration, name: Any, password: Any, address: str | None) -> Any:
    """The row of the user with this name and password, or None. Without ``address``, that of the request under way."""
    database = declaration.database
    name_field, password_field = login_fields(declaration)
    try:
        name = name_field.convert(name)
        name_field.check_bounds(name)
        values = (name, 1)
    except ValueError:
        name, values = None, ("", 0)  # asks the database all the same, for no row
    shape = ("select", declaration, declaration.all_fields, ("==", name_field), (), True, False)
    prepared = database.statements.shape(shape)
    if database.in_transaction:
        raise RuntimeError("Authenticate cannot be used inside transaction(): hashing would hold up every writer")
    attempt = database.login_throttle.begin(name, caller_address() if address is None else address)
    login = _Login(declaration, password_field, password, attempt)
    return either(
        lambda: (
            database.read(_find, prepared, values)
            .addCallback(lambda found: database.hash(login.verify, found))
            .addCallbacks(login.answered, login.failed)
        ),
        lambda: login.blocking(lambda: database.read_blocking(_find, prepared, values)),
    )


def login_name(declaration: Declaration) -> Field:
    """The field that holds the name people log in by. Raises ``ConfigurationError`` when the model has none."""
    names = [declaration.fields[each] for each in LOGIN_NAMES if each in declaration.fields]
    if not names or not names[0].unique:
        raise ConfigurationError(f"{declaration.name} needs a field username (or email) with unique=True")
    return names[0]


def login_fields(declaration: Declaration) -> tuple[Field, Field]:
    """The fields that hold the name and the password. Raises ``ConfigurationError`` when the model lacks one."""
    names = [declaration.fields[each] for each in LOGIN_NAMES if each in declaration.fields]
    passwords = [each for each in declaration.all_fields if isinstance(each, PasswordField)]
    if not names or not names[0].unique or len(passwords) != 1:
        raise ConfigurationError(
            f"{declaration.name}.Authenticate needs a field username (or email) with unique=True, and one PasswordField"
        )
    return names[0], passwords[0]


def _find(connection: Any, prepared: Any, values: tuple[Any, ...]) -> Row | None:
    rows = connection.select(prepared, values)
    return rows[0] if rows else None


@attrs.frozen
class _Login:
    """One call, from the row that was found to its answer."""

    declaration: Declaration
    field: Field
    password: Any
    attempt: Attempt

    def verify(self, found: Row | None) -> tuple[Row | None, str | None]:
        """The row if the password is its user's, and the hash to store in place of an outdated one. Blocks."""
        stored = None if found is None else getattr(found, self.field.name)
        try:
            right = in_turn(verify_password, self.password, stored)
        except InvalidPayload:
            right = False
        if not right:
            return None, None
        if stored is None or not needs_rehash(stored):
            return found, None
        return found, in_turn(rehash_password, self.password, stored)

    def blocking(self, find: Callable[[], Row | None]) -> Row | None:
        """The whole call in the calling thread."""
        database = self.declaration.database
        try:
            found, renewed = self.verify(find())
        except BaseException:
            self.attempt.undone()
            raise
        if found is None:
            return None
        self.attempt.succeeded()
        if renewed is not None:
            try:
                database.write_blocking(_renew, *self._renewal(found, renewed))
            except Exception:
                _log.failure("an outdated password hash could not be renewed")
                return found
            return found._replace(**{self.field.name: renewed})
        return found

    def answered(self, verified: tuple[Row | None, str | None]) -> Any:
        """On the reactor: what the thread for hashing found."""
        found, renewed = verified
        if found is None:
            return None
        self.attempt.succeeded()
        if renewed is None:
            return found
        stored = self.declaration.database.write(_renew, *self._renewal(found, renewed))
        return stored.addCallbacks(
            lambda _: found._replace(**{self.field.name: renewed}), lambda failure: _not_renewed(failure, found)
        )

    def failed(self, failure: Failure) -> Failure:
        """On the reactor: it came to no answer. One that was given up still counts: its hash may have been made."""
        if not failure.check(CancelledError):
            self.attempt.undone()
        return failure

    def _renewal(self, found: Row, renewed: str) -> tuple[Any, ...]:
        declaration, field = self.declaration, self.field
        condition = ("&", ("==", declaration.key), ("==", field))
        prepared = declaration.database.statements.shape(("update", declaration, (field,), condition))
        return prepared, (renewed, getattr(found, declaration.key.name), getattr(found, field.name))


def _renew(connection: Any, prepared: Any, values: tuple[Any, ...]) -> None:
    connection.change(prepared, values)


def _not_renewed(failure: Failure, found: Row) -> Row:
    _log.failure("an outdated password hash could not be renewed", failure)
    return found
