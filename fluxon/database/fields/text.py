"""Text: names, long texts, e-mail addresses, passwords.

Rules kept here:

- A length is counted in characters, as the databases count it.
- NUL and lone surrogates are refused: PostgreSQL stores neither, and SQLite ends a text at a NUL in its functions.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import sqlalchemy
from sqlalchemy.types import TypeEngine

from fluxon.database.fields.base import Column
from fluxon.database.validators import validate_email


@attrs.define(eq=False, slots=False, kw_only=True)
class TextField(Column[str]):
    """Text of any length."""

    textual: ClassVar[bool] = True

    def column_type(self) -> TypeEngine[Any]:
        return sqlalchemy.Text()

    def convert(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("holds half a character (a lone surrogate)") from None
        if "\0" in value:
            raise ValueError("holds a NUL character")
        return value


@attrs.define(eq=False, slots=False, kw_only=True)
class CharField(TextField):
    """Text of at most ``max_length`` characters."""

    max_length: int = 255

    def check_options(self) -> None:
        # 16,383 characters of four bytes are what MySQL takes in one row.
        if type(self.max_length) is not int or not 1 <= self.max_length <= 16_383:
            raise self.misdeclared("max_length is a number from 1 to 16383; use TextField for longer texts")

    def column_type(self) -> TypeEngine[Any]:
        return sqlalchemy.String(self.max_length)

    def check_bounds(self, value: str) -> None:
        if len(value) > self.max_length:
            raise ValueError(f"is longer than {self.max_length} characters")


@attrs.define(eq=False, slots=False, kw_only=True)
class EmailField(CharField):
    """An e-mail address."""

    #: The longest address that can be sent to (RFC 5321, section 4.5.3.1.3, without the angle brackets).
    max_length: int = 254

    def check_bounds(self, value: str) -> None:
        CharField.check_bounds(self, value)
        if not validate_email(value):
            raise ValueError("is not an e-mail address")


@attrs.frozen(repr=False)
class HashedPassword:
    """A password that was hashed already, by ``User.HashPassword``: what ``Insert`` and ``Update`` store as it is.

    A type of its own, which crosses no wire: a text that a client sends is always a password in clear.
    """

    text: str

    def __repr__(self) -> str:
        return "<HashedPassword>"


@attrs.define(eq=False, slots=False, kw_only=True)
class PasswordField(CharField):
    """A password, stored as its argon2id hash and never as itself.

    It is given in clear to ``Insert`` and ``Update``, or as a ``HashedPassword``. It cannot be compared in
    ``where[...]``: a salted hash equals nothing; use ``Authenticate``.
    """

    comparable: ClassVar[bool] = False
    ordered: ClassVar[bool] = False

    def check_options(self) -> None:
        if self.primary_key or self.unique or self.choices is not None or self.has_constant_default:
            raise self.misdeclared("a password is no key, is not unique, and has no choices and no default")
        CharField.check_options(self)

    def check(self, value: Any) -> Any:
        return value if isinstance(value, HashedPassword) else super().check(value)

    def check_bounds(self, value: str) -> None:
        # Hashing reads every byte: a long text would be a way to keep the processor busy.
        if len(value.encode()) > 1024:
            raise ValueError("is longer than 1024 bytes")
