"""One connection to PostgreSQL, and how it is opened.

Rules kept here:

- Work is done as if it were alone (SERIALIZABLE): what it read is still true when it commits, or it runs again.
- An error leaves a PostgreSQL transaction unusable, so an insert that a constraint may forbid is taken back to the
  point before it: BEGIN or a savepoint when nothing happened since, and a savepoint of its own otherwise.
- Every wait has an end: for a connection, a statement, a lock, and a peer that is gone without a word.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy

from fluxon.database.postgresql.errors import failure_of, is_constraint, not_connected
from fluxon.database.prepared import Prepared
from fluxon.database.servers.connection import ServerConnection
from fluxon.database.servers.failure import Failure, Kind
from fluxon.database.statements import Statements

#: Seconds to wait for a connection; a server on another continent answers in one.
CONNECT_SECONDS = 5

#: Milliseconds that one statement may take: of a write, which holds locks, and of a read.
WRITE_MILLISECONDS = 5_000
READ_MILLISECONDS = 30_000

#: A peer that acknowledges nothing for so long is gone (TCP_USER_TIMEOUT, milliseconds; RFC 5482).
_SILENCE = 15_000


class PostgreSQLConnection(ServerConnection):
    """What a function given to ``database.read`` or ``database.write`` works with."""

    begin_text = "BEGIN ISOLATION LEVEL SERIALIZABLE"
    #: Three times ``wal_writer_delay`` at most until it is on the disk, which is 0.6 s by default.
    relaxed_text = f"{begin_text}; SET LOCAL synchronous_commit TO off"

    def insert(self, prepared: Prepared, values: tuple[Any, ...]) -> int | None:
        arguments = prepared.by_position(values)
        if self._touched:
            try:
                with self.savepoint():
                    return self._insert(prepared.text, arguments)
            except Exception as error:
                if is_constraint(error.__cause__):
                    return None
                raise
        try:
            return self._insert(prepared.text, arguments)
        except Exception as error:
            if not is_constraint(error.__cause__):
                raise
        if self._savepoints:
            self._run(f"ROLLBACK TO SAVEPOINT fluxon_{self._savepoints}")
        else:
            self._run("ROLLBACK")
            self._run(self._begun)
        self._touched = False
        return None

    def commit(self) -> None:
        self._deadline = float("inf")
        if self.raw.info.transaction_status == _aborted():
            raise self._passed_over
        self._execute("COMMIT")

    def failure(self, error: Exception) -> Failure:
        failure = failure_of(error, bool(self.raw.closed))
        if failure.kind is Kind.STATEMENT:
            self._passed_over = failure.told
        return failure

    def _insert(self, text: str, arguments: Any) -> int:
        cursor = self._execute(text, arguments)
        found = cursor.fetchone() if cursor.description else None
        return found[0] if found and isinstance(found[0], int) else 0


def open_connection(
    url: sqlalchemy.URL, statements: Statements, *, read_only: bool, patient: bool
) -> PostgreSQLConnection:
    """Connect, with the settings that every connection here has."""
    import psycopg

    given = url.translate_connect_args(database="dbname", username="user")
    options: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": _SILENCE}
    options |= {"application_name": "fluxon", **given, **url.query}
    milliseconds = 0 if patient else READ_MILLISECONDS if read_only else WRITE_MILLISECONDS
    settings = {
        "client_encoding": "'UTF8'",
        "timezone": "'UTC'",
        "standard_conforming_strings": "on",
        "statement_timeout": str(milliseconds),
        "lock_timeout": str(WRITE_MILLISECONDS),
        "idle_in_transaction_session_timeout": str(0 if patient else 4 * WRITE_MILLISECONDS),
        "default_transaction_read_only": "on" if read_only else "off",
    }
    try:
        raw = psycopg.connect(**options, autocommit=True)
        try:
            raw.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))
        except BaseException:
            raw.close()
            raise
    except psycopg.Error as error:
        raise not_connected(error) from error
    return PostgreSQLConnection(raw, statements)


def _aborted() -> Any:
    from psycopg.pq import TransactionStatus

    return TransactionStatus.INERROR
