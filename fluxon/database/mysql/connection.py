"""One connection to MariaDB or MySQL, and how it is opened.

Rules kept here:

- Work is done as if it were alone (SERIALIZABLE: what it reads is locked until it commits), or it runs again.
- What the server would bend to fit is refused (``STRICT_ALL_TABLES``): a text is not cut, a number not rounded.
- Every wait has an end: for a connection, a statement, a lock, and a peer that is gone without a word.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy
from sqlalchemy.schema import CreateIndex, ExecutableDDLElement

from fluxon.database.mysql.dialect import MySQLDialect
from fluxon.database.mysql.errors import failure_of, is_constraint, not_connected, number_of, too_long
from fluxon.database.prepared import Prepared
from fluxon.database.servers.connection import ServerConnection
from fluxon.database.servers.failure import Failure, Kind
from fluxon.database.statements import Statements
from fluxon.errors import FluxonError

#: Seconds to wait for a connection; a server on another continent answers in one.
CONNECT_SECONDS = 5

#: Seconds that one statement may take: of a write, which holds locks, and of a read.
WRITE_SECONDS = 5
READ_SECONDS = 30

#: A socket silent for so long beyond a statement's own time is dead.
_MARGIN = 5

_MODE = (
    "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,"
    "NO_AUTO_VALUE_ON_ZERO"  # or a key of 0 would be stored as another number
)

_DUPLICATE_INDEX = 1061
_UNKNOWN_VARIABLE = 1193


class MySQLConnection(ServerConnection):
    """What a function given to ``database.read`` or ``database.write`` works with."""

    begin_text = "START TRANSACTION"
    relaxed_text = begin_text  # what the whole server is told (innodb_flush_log_at_trx_commit) holds for everybody

    #: The longest statement that the server takes, in bytes.
    longest = 0

    def insert(self, prepared: Prepared, values: tuple[Any, ...]) -> int | None:
        try:
            return int(self._execute(prepared.text, prepared.by_position(values)).lastrowid or 0)
        except Exception as error:
            if is_constraint(error.__cause__):
                return None
            raise

    def define(self, definition: ExecutableDDLElement) -> None:
        if not isinstance(definition, CreateIndex) or not definition.if_not_exists:
            return super().define(definition)
        # MySQL has no IF NOT EXISTS for indexes.
        try:
            super().define(CreateIndex(definition.element))
        except Exception as error:
            if number_of(error.__cause__) != _DUPLICATE_INDEX:
                raise

    def script(self, text: str) -> None:
        super().script(text)
        try:
            while self._cursor.nextset():  # a schema file has many statements; each may fail
                pass
        except Exception as error:
            raise self._fails(error) from error

    def commit(self) -> None:
        self._deadline = float("inf")
        try:
            self._execute("COMMIT")
        except FluxonError:
            raise
        except Exception as error:
            # Whatever it is, it is not known to have left everything undone.
            self.doomed = Failure(Kind.LOST, error)
            raise

    def failure(self, error: Exception) -> Failure:
        return failure_of(error)

    def _run(self, text: str, arguments: Sequence[Any] | None = None) -> Any:
        try:
            return super()._run(text, arguments)
        except Exception as error:
            size = sum(len(each) for each in arguments or () if isinstance(each, str | bytes))
            # The server hangs up on what is too long, as if it had died.
            if self.lost and size > self.longest // 2:
                self.doomed = Failure(Kind.LOST, error, too_long())
                raise self.doomed.told from error
            raise


def open_connection(url: sqlalchemy.URL, statements: Statements, *, read_only: bool, patient: bool) -> MySQLConnection:
    """Connect, with the settings that every connection here has."""
    import pymysql
    from pymysql.constants import CLIENT
    from pymysql.converters import conversions

    _, given = MySQLDialect(dbapi=pymysql).create_connect_args(url)
    seconds = None if patient else READ_SECONDS if read_only else WRITE_SECONDS
    silence = None if seconds is None else seconds + _MARGIN
    options: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, **given}
    options |= {"read_timeout": options["connect_timeout"], "write_timeout": silence}
    options["client_flag"] = CLIENT.FOUND_ROWS | (CLIENT.MULTI_STATEMENTS if patient else 0)
    # PyMySQL would write 1E+3, which is a float to the server.
    options["conv"] = {**conversions, Decimal: lambda value, mapping: format(value, "f")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            raw = pymysql.connect(**options, charset="utf8mb4", autocommit=True, sql_mode=_MODE)
            try:
                longest = _configure(raw, read_only, seconds)
                # PyMySQL has no other way to wait longer for an answer than for the greeting.
                raw._read_timeout = silence
            except BaseException:
                raw.close()
                raise
        except (pymysql.err.Error, OSError) as error:
            raise not_connected(error) from error
    connection = MySQLConnection(raw, statements)
    connection.longest = longest
    return connection


def _configure(raw: Any, read_only: bool, seconds: int | None) -> int:
    """Set a new connection up; the longest statement that the server takes."""
    import pymysql

    with raw.cursor() as cursor:
        cursor.execute(
            "SET SESSION time_zone = '+00:00', SESSION foreign_key_checks = 1, SESSION unique_checks = 1, "
            f"SESSION innodb_lock_wait_timeout = {WRITE_SECONDS}, SESSION lock_wait_timeout = {WRITE_SECONDS}"
        )
        if read_only:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
        else:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        cursor.execute("SELECT @@max_allowed_packet")
        longest = int(cursor.fetchall()[0][0])
        if seconds is None:
            return longest
        try:
            cursor.execute(f"SET SESSION max_statement_time = {seconds}")
        except pymysql.err.Error as error:  # pragma: no cover - MariaDB knows the variable, MySQL does not
            if number_of(error) != _UNKNOWN_VARIABLE:
                raise
            cursor.execute(f"SET SESSION max_execution_time = {seconds * 1000}")  # MySQL's, for SELECT
    return longest
