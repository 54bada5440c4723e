"""What PostgreSQL's errors mean to a caller.

Rules kept here:

- Errors are told apart by their SQLSTATE (PostgreSQL documentation, appendix A), never by the text of a message.
- No text of the server (it may hold values, SQL or names) reaches the text of an error; it stays the cause.
- What is not known here is raised as it came: a fault to look into, not a state to explain.
"""

from __future__ import annotations

from typing import Any

from fluxon.database.servers import failure
from fluxon.database.servers.failure import Failure, Kind
from fluxon.errors import ConfigurationError, DeadlineExceeded, InvalidPayload, ResourceExhausted, Unavailable

_CONSTRAINTS = {
    "23505": failure.duplicate,
    "23503": failure.broken_reference,
    "23001": failure.broken_reference,
    "23502": failure.empty,
}

#: Serialization failure, deadlock: the other transaction may be over by now.
_UNDONE = ("40001", "40P01")

#: Connection exceptions; the administrator ended it, a crash, not up yet, idle for too long in a transaction.
_LOST = ("08", "57P01", "57P02", "57P03", "57P05", "25P03")


def is_constraint(error: Any) -> bool:
    """Whether ``error`` says that a constraint of a table was broken."""
    return (getattr(error, "sqlstate", None) or "").startswith("23")


def failure_of(error: Any, broken: bool) -> Failure:
    """What ``error`` of psycopg means; ``broken`` says whether the connection is gone."""
    state = getattr(error, "sqlstate", None) or ""
    if state in _UNDONE:
        return Failure(Kind.UNDONE, error)
    if state.startswith(_LOST) or broken:
        return Failure(Kind.LOST, error)
    if state == "0A000" and "cached plan" in str(error):  # no other error of this state mends itself
        return Failure(Kind.STALE, error)
    return Failure(Kind.STATEMENT, error, _statement(error, state))


def _statement(error: Any, state: str) -> Exception:
    match state[:2], state:
        case "23", _:
            return _CONSTRAINTS.get(state, failure.broken_rule)()
        case "22", _:
            return failure.refused_value()
        case _, "57014" | "25P04":
            return DeadlineExceeded("the work in the database took too long and was undone")
        case _, "55P03":
            return failure.locked()
        case _, "42P01" | "42703":
            return failure.no_table()
        case _, "42501":
            return ConfigurationError("the database's user may not do this; grant it the rights on its schema")
        case _, "54000" | "54001":
            return InvalidPayload("the condition is too large for the database")
        case "53", _:
            return ResourceExhausted("the database server has no room or memory left; free some and try again")
        case _, "":
            # psycopg itself refuses a NUL, and half a character cannot be encoded.
            if isinstance(error, UnicodeError) or type(error).__name__ == "DataError":
                return failure.refused_value()
    return error  # type: ignore[no-any-return]


def not_connected(error: Any) -> Exception:
    """Why a connection could not be made."""
    state = getattr(error, "sqlstate", None) or ""
    text = str(error)
    if state.startswith(("28", "3D")) or "authentication failed" in text or 'database "' in text:
        # libpq tells these in words alone, since there is no connection yet.
        return ConfigurationError("the database server refuses the user, password or database of the URL; check them")
    if state.startswith("53") or "too many" in text:
        return Unavailable("the database server has no connection left; try again in a moment")
    return Unavailable(failure.UNREACHABLE)
