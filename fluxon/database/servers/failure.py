"""What an error of a server's driver means to the work that met it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from fluxon.errors import AlreadyExists, ConfigurationError, Conflict, InvalidPayload, Locked, Unavailable

UNREACHABLE = "the database server cannot be reached now; see that it runs, and try again"
NO_TABLE = (
    "the database does not have the tables and columns of the models; type: "
    "python -m fluxon.database --config router.py saveschema, and then the same with updateschema"
)


class Kind(Enum):
    """How far a failure goes."""

    #: One statement failed; the connection is fine.
    STATEMENT = "statement"
    #: The server undid the transaction, because another stood in its way: it can be run again.
    UNDONE = "undone"
    #: There is no connection any more. Whatever was not committed is undone.
    LOST = "lost"
    #: The connection remembers tables as they were before a schema update: a new one knows better.
    STALE = "stale"


class Failure:
    """``kind``, the driver's error, and the error that callers are told."""

    def __init__(self, kind: Kind, error: Exception, told: Exception | None = None) -> None:
        self.kind = kind
        self.error = error
        self.told = told if told is not None else _TOLD[kind]()
        if self.told is not error and self.told.__cause__ is None:
            self.told.__cause__ = error

    @property
    def may_run_again(self) -> bool:
        """Whether the transaction was undone and another try may succeed."""
        return self.kind is not Kind.STATEMENT


def duplicate() -> AlreadyExists:
    """UNIQUE, or the key."""
    return AlreadyExists("a row with this value exists already, and it must be unique")


def broken_reference() -> Conflict:
    """A foreign key."""
    return Conflict("a row refers to another that does not exist, or another still refers to it")


def empty() -> InvalidPayload:
    """NOT NULL."""
    return InvalidPayload("a column that must have a value got none")


def broken_rule() -> InvalidPayload:
    """CHECK, and what else a table asks for."""
    return InvalidPayload("a value breaks a rule of its table")


def refused_value() -> InvalidPayload:
    """A value that the server does not take for its column."""
    return InvalidPayload("the database does not take a value: it is too long, too large or not of its column's type")


def locked() -> Locked:
    """Waited too long for another transaction."""
    return Locked("another program holds what this would change; try again in a moment")


def no_table() -> ConfigurationError:
    """A table or column that the models have and the database does not."""
    return ConfigurationError(NO_TABLE)


_TOLD: dict[Kind, Callable[[], Exception]] = {
    Kind.STATEMENT: lambda: Unavailable("the database failed; try again"),
    Kind.UNDONE: lambda: Locked("the database undid this because of others at the same rows; try again"),
    Kind.LOST: lambda: Unavailable(UNREACHABLE),
    Kind.STALE: lambda: Unavailable("the database's tables have just changed; try again"),
}
