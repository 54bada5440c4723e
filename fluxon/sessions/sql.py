"""Sessions in the project's database: they outlive the process, and every process on that database shares them.

Rules of this module:

- Every statement is a constant with named parameters; Core writes each of them once.
- Keys and digests are stored as hexadecimal text: what may be a primary key, and is compared alike, on every database.
- No reference to the user's table: whether the user is still there is read with the session, and a row whose user is
  gone must not stand in the way of deleting users.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import sqlalchemy
from sqlalchemy import BigInteger, Column, Double, String, Table, bindparam
from twisted.internet.defer import Deferred

from fluxon.database.database import Database
from fluxon.sessions.record import SessionRecord
from fluxon.sessions.store import SessionStore

T = TypeVar("T")

SESSIONS = Table(
    "fluxon_sessions",
    sqlalchemy.MetaData(),
    Column("session_key", String(64), primary_key=True),
    Column("user_id", BigInteger, nullable=False, index=True),
    # Double, since MySQL's plain FLOAT would round POSIX seconds to minutes.
    Column("created", Double, nullable=False),
    Column("used", Double, nullable=False),
    Column("password_digest", String(128), nullable=False),
    info={"version": 1},
)

_columns = SESSIONS.c
_of_key = _columns.session_key == bindparam("key")
_of_user = _columns.user_id == bindparam("user")

_LOAD = sqlalchemy.select(SESSIONS).where(_of_key)
_LIST = sqlalchemy.select(SESSIONS).where(_of_user).order_by(_columns.used.desc())
_INSERT = sqlalchemy.insert(SESSIONS)
_TOUCH = (
    sqlalchemy.update(SESSIONS).where(_of_key, _columns.used < bindparam("at")).values({_columns.used: bindparam("at")})
)
_DELETE = sqlalchemy.delete(SESSIONS).where(_of_key)
# No key is empty text, so that "except nothing" is the same statement.
_DELETE_USER = sqlalchemy.delete(SESSIONS).where(_of_user, _columns.session_key != bindparam("kept"))
_PURGE = sqlalchemy.delete(SESSIONS).where(
    sqlalchemy.or_(_columns.used <= bindparam("used_by"), _columns.created <= bindparam("created_by"))
)


class _Connection(Protocol):
    """What the functions of ``read`` and ``write`` are given."""

    def rows(self, statement: Any, parameters: dict[str, Any] | None = None) -> list[Any]: ...

    def run(self, statement: Any, parameters: dict[str, Any] | None = None) -> int: ...


class SQLStore(SessionStore):
    """A ``SessionStore`` of logged-in sessions in ``database``, whose ``start`` makes its table.

    Anonymous records are refused with ``ValueError``: strangers do not get to write to the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.install(SESSIONS)

    def load(self, key: bytes) -> Deferred[SessionRecord | None]:
        def work(connection: _Connection) -> SessionRecord | None:
            rows = connection.rows(_LOAD, {"key": key.hex()})
            return _record(rows[0]) if rows else None

        return self._database.read(work)

    def save(self, record: SessionRecord) -> Deferred[None]:
        row = _row(record)

        def work(connection: _Connection) -> None:
            connection.run(_DELETE, {"key": record.key.hex()})
            connection.run(_INSERT, row)

        return self._database.write(work)

    def touch(self, key: bytes, used: float) -> Deferred[None]:
        def work(connection: _Connection) -> None:
            connection.run(_TOUCH, {"key": key.hex(), "at": used})

        return self._database.write(work)

    def delete(self, key: bytes) -> Deferred[bool]:
        return self._write(lambda connection: connection.run(_DELETE, {"key": key.hex()}) > 0)

    def delete_user(self, user_id: int, except_key: bytes | None = None) -> Deferred[int]:
        kept = "" if except_key is None else except_key.hex()
        return self._write(lambda connection: connection.run(_DELETE_USER, {"user": user_id, "kept": kept}))

    def replace(self, old_key: bytes, record: SessionRecord) -> Deferred[bool]:
        row = _row(record)

        def work(connection: _Connection) -> bool:
            if not connection.run(_DELETE, {"key": old_key.hex()}):
                return False
            connection.run(_INSERT, row)
            return True

        return self._database.write(work)

    def list_user(self, user_id: int) -> Deferred[list[SessionRecord]]:
        def work(connection: _Connection) -> list[SessionRecord]:
            return [_record(row) for row in connection.rows(_LIST, {"user": user_id})]

        return self._database.read(work)

    def purge(self, now: float, idle: float, absolute: float) -> Deferred[int]:
        limits = {"used_by": now - idle, "created_by": now - absolute}
        return self._write(lambda connection: connection.run(_PURGE, limits))

    def _write(self, work: Callable[[_Connection], T]) -> Deferred[T]:
        return self._database.write(work)


def _row(record: SessionRecord) -> dict[str, Any]:
    if record.user_id is None or record.password_digest is None:
        raise ValueError("only sessions of a user are kept in a database")
    return {
        "session_key": record.key.hex(),
        "user_id": record.user_id,
        "created": record.created,
        "used": record.used,
        "password_digest": record.password_digest.hex(),
    }


def _record(row: Any) -> SessionRecord:
    return SessionRecord(
        bytes.fromhex(row.session_key), row.user_id, row.created, row.used, bytes.fromhex(row.password_digest)
    )
