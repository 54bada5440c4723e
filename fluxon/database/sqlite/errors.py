"""What SQLite's errors mean to a caller.

Rules kept here:

- A broken constraint is told from everything else by SQLite's own code, never by the text of a message.
- No text of SQLite (it may hold SQL, names or paths) reaches the text of an error; it stays the cause, for the log.
- What is not known here is raised as it came: a fault to look into, not a state to explain.
"""

from __future__ import annotations

import sqlite3

from fluxon.errors import (
    AlreadyExists,
    ConfigurationError,
    Conflict,
    DeadlineExceeded,
    FluxonError,
    InvalidPayload,
    Locked,
    ResourceExhausted,
    Unavailable,
)

_LOCKED = "the database is being written by another program; try again in a moment"
_FULL = "there is no room left where the database is; free some and try again"
_UNREADABLE = (
    "the database file cannot be read or written now: see that the server's user may write to it and to its folder "
    "(ls -l), and that the disk is well"
)
_DAMAGED = "the database file is damaged or is no SQLite file; restore it from a backup"
_NO_TABLE = (
    "the database does not have the tables and columns of the models; type: "
    "python -m fluxon.database --config router.py saveschema, and then the same with updateschema"
)


def is_constraint(error: sqlite3.Error) -> bool:
    """Whether ``error`` says that a constraint of a table was broken (and the statement undone)."""
    return _primary_code(error) == sqlite3.SQLITE_CONSTRAINT


def _primary_code(error: sqlite3.Error) -> int:
    # The low byte of an extended code is the primary one (https://www.sqlite.org/rescode.html).
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def locked() -> Locked:
    """What is told to who waited in vain for his turn to write."""
    return Locked(_LOCKED)


def translate(error: sqlite3.Error) -> Exception:
    """The error of ours that stands for ``error``, or ``error`` itself."""
    if is_constraint(error):
        return _constraint(error)
    match _primary_code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return locked()
        case sqlite3.SQLITE_FULL:
            return ResourceExhausted(_FULL)
        case sqlite3.SQLITE_TOOBIG:
            return ResourceExhausted("a value is larger than the database takes; store it as a file")
        case sqlite3.SQLITE_INTERRUPT:
            return DeadlineExceeded("the work in the database took too long and was undone")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Unavailable(_DAMAGED)
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return Unavailable(_UNREADABLE)
        case sqlite3.SQLITE_ERROR if str(error).startswith(("no such table", "no such column", "table ")):
            return ConfigurationError(_NO_TABLE)
    return error


def _constraint(error: sqlite3.Error) -> FluxonError:
    match error.sqlite_errorcode:
        case sqlite3.SQLITE_CONSTRAINT_UNIQUE | sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY | sqlite3.SQLITE_CONSTRAINT_ROWID:
            return AlreadyExists("a row with this value exists already, and it must be unique")
        # ON DELETE RESTRICT is told as a trigger's refusal.
        case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY | sqlite3.SQLITE_CONSTRAINT_TRIGGER:
            return Conflict("a row refers to another that does not exist, or another still refers to it")
        case sqlite3.SQLITE_CONSTRAINT_NOTNULL:
            return InvalidPayload("a column that must have a value got none")
        case _:
            return InvalidPayload("a value breaks a rule of its table")


def is_full(error: sqlite3.Error) -> bool:
    """Whether ``error`` says that the disk (or the file's allowance) is full."""
    return _primary_code(error) == sqlite3.SQLITE_FULL


def is_busy(error: sqlite3.Error) -> bool:
    """Whether ``error`` says that another connection holds a lock."""
    return _primary_code(error) == sqlite3.SQLITE_BUSY
