"""What database servers say, in Fluxon's errors: also what a test cannot bring a server to say, such as a full disk.

The errors are the drivers' own, made with the numbers and states of the servers' manuals.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pymysql.err
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.mysql import errors as of_mysql
from fluxon.database.postgresql import errors as of_postgresql
from fluxon.errors import (
    ConfigurationError,
    DeadlineExceeded,
    FluxonError,
    InvalidPayload,
    Locked,
    ResourceExhausted,
    Unavailable,
)

#: Numbers of MySQL and MariaDB (their manuals' lists of server errors).
MYSQL = {
    1021: ResourceExhausted,  # the disk is full
    1037: ResourceExhausted,  # out of memory
    1142: ConfigurationError,  # the command is denied to the user
    1153: InvalidPayload,  # a packet larger than max_allowed_packet
    1205: Locked,  # lock wait timeout
    1406: InvalidPayload,  # data too long for the column
    1436: InvalidPayload,  # thread stack overrun
    1969: DeadlineExceeded,  # max_statement_time exceeded
}

#: States of PostgreSQL (appendix A of its manual).
POSTGRESQL = {
    "22003": InvalidPayload,  # numeric value out of range
    "42501": ConfigurationError,  # insufficient privilege
    "53100": ResourceExhausted,  # disk full
    "53200": ResourceExhausted,  # out of memory
    "54001": InvalidPayload,  # statement too complex
    "55P03": Locked,  # lock not available
    "57014": DeadlineExceeded,  # query canceled: the statement timeout
}


class StatementTests(SynchronousTestCase):
    """Errors of a statement, after which the connection goes on."""

    def assert_told(self, found: Any, kind: type[FluxonError], where: Any) -> None:
        self.assertIs(type(found.told), kind, where)
        self.assertNotIn("secret", str(found.told), "what the server quotes may be anybody's")

    def test_mysql(self) -> None:
        """By number; and what has no meaning of its own stays what it is, for the log."""
        for number, kind in MYSQL.items():
            self.assert_told(of_mysql.failure_of(pymysql.err.OperationalError(number, "secret")), kind, number)
        unknown = pymysql.err.ProgrammingError(1064, "secret")
        self.assertIs(of_mysql.failure_of(unknown).told, unknown)

    def test_postgresql(self) -> None:
        """By state; what psycopg refuses itself has none, and is refused as a value or stays what it is."""
        for state, kind in POSTGRESQL.items():
            self.assert_told(of_postgresql.failure_of(psycopg.errors.lookup(state)("secret"), False), kind, state)
        refused = psycopg.DataError("PostgreSQL text fields cannot contain NUL bytes")
        self.assert_told(of_postgresql.failure_of(refused, False), InvalidPayload, "NUL")
        for unknown in (psycopg.errors.lookup("42601")("secret"), psycopg.ProgrammingError("secret")):
            self.assertIs(of_postgresql.failure_of(unknown, False).told, unknown)


class ConnectingTests(SynchronousTestCase):
    """Errors of a connection that could not be made."""

    def test_who_is_to_mend_it(self) -> None:
        """Wrong credentials are the configuration's; a full server is busy; everything else is out of reach."""
        for number, kind in ((1045, ConfigurationError), (1040, Unavailable), (1203, Unavailable), (2003, Unavailable)):
            told = of_mysql.not_connected(pymysql.err.OperationalError(number, "secret"))
            self.assertIs(type(told), kind)
            self.assertEqual("no connection left" in str(told), number in (1040, 1203))
        for error, kind, full in (
            (psycopg.errors.lookup("28P01")("secret"), ConfigurationError, False),
            (psycopg.OperationalError('FATAL:  database "secret" does not exist'), ConfigurationError, False),
            (psycopg.errors.lookup("53300")("secret"), Unavailable, True),
            (psycopg.OperationalError("FATAL:  sorry, too many clients already"), Unavailable, True),
            (psycopg.OperationalError("connection refused"), Unavailable, False),
        ):
            told = of_postgresql.not_connected(error)
            self.assertIs(type(told), kind)
            self.assertEqual("no connection left" in str(told), full)
            self.assertNotIn("secret", str(told))
