"""What MariaDB's and MySQL's errors mean to a caller.

Rules kept here:

- Errors are told apart by their number (https://mariadb.com/kb/en/mariadb-error-code-reference/), never by their text
  and never by PyMySQL's class: a broken CHECK comes as an ``OperationalError``.
- No text of the server (it may hold values, SQL or names) reaches the text of an error; it stays the cause.
- What is not known here is raised as it came: a fault to look into, not a state to explain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluxon.database.servers import failure
from fluxon.database.servers.failure import Failure, Kind
from fluxon.errors import ConfigurationError, DeadlineExceeded, InvalidPayload, ResourceExhausted, Unavailable

_CONSTRAINTS: dict[int, Callable[[], Exception]] = {
    1062: failure.duplicate,
    1586: failure.duplicate,
    1216: failure.broken_reference,
    1217: failure.broken_reference,
    1451: failure.broken_reference,
    1452: failure.broken_reference,
    1048: failure.empty,
    1364: failure.empty,
    4025: failure.broken_rule,  # MariaDB's CHECK
    3819: failure.broken_rule,  # MySQL's
}

#: A deadlock, and a row that changed after the snapshot: the whole transaction was undone.
_UNDONE = (1213, 1020)

#: The server went away, is stopping, killed the connection, or closed it because it was idle.
_LOST = (1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2006, 2013, 2014, 2027, 2055, 4031)

_VALUES = (1264, 1265, 1292, 1366, 1406, 1411, 1690, 3140, 4078)
_OVERDUE = (1317, 1969, 3024)
_FULL = (1021, 1037, 1038, 1041, 1114)
_REFUSED = (1044, 1045, 1049, 1698)


def number_of(error: Any) -> int:
    """The server's number of an error, or 0."""
    found = error.args[0] if getattr(error, "args", None) else 0
    return found if isinstance(found, int) else 0


def is_constraint(error: Any) -> bool:
    """Whether ``error`` says that a constraint of a table was broken."""
    return number_of(error) in _CONSTRAINTS


def failure_of(error: Any) -> Failure:
    """What ``error`` of PyMySQL means."""
    number = number_of(error)
    if number in _UNDONE:
        return Failure(Kind.UNDONE, error)
    if number in _LOST or isinstance(error, OSError) or type(error).__name__ == "InterfaceError":
        return Failure(Kind.LOST, error)
    return Failure(Kind.STATEMENT, error, _statement(error, number))


def _statement(error: Any, number: int) -> Exception:
    if number in _CONSTRAINTS:
        return _CONSTRAINTS[number]()
    if number in _VALUES or isinstance(error, UnicodeError):
        return failure.refused_value()
    if number in _OVERDUE:
        return DeadlineExceeded("the work in the database took too long and was undone")
    if number in _FULL:
        return ResourceExhausted("the database server has no room or memory left; free some and try again")
    if number in (1044, 1142, 1143, 1227):
        return ConfigurationError("the database's user may not do this; grant it the rights on its database")
    match number:
        case 1205 | 3572:
            return failure.locked()
        case 1146 | 1054 | 1051:
            return failure.no_table()
        case 1153:
            return too_long()
        case 1436 | 1119:
            return InvalidPayload("the condition is too large for the database")
    return error  # type: ignore[no-any-return]


def too_long() -> InvalidPayload:
    """More than the server takes at once."""
    return InvalidPayload("a value is larger than the server's max_allowed_packet; store it as a file")


def not_connected(error: Any) -> Exception:
    """Why a connection could not be made."""
    number = number_of(error)
    if number in _REFUSED:
        return ConfigurationError("the database server refuses the user, password or database of the URL; check them")
    if number in (1040, 1203, 1226):
        return Unavailable("the database server has no connection left; try again in a moment")
    return Unavailable(failure.UNREACHABLE)
