"""``PostgreSQLDatabase``: a database on a PostgreSQL server."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import sqlalchemy

from fluxon.database.postgresql.connection import PostgreSQLConnection, open_connection
from fluxon.database.postgresql.dialect import PostgreSQLStatements
from fluxon.database.servers.database import ServerDatabase
from fluxon.errors import ConfigurationError

#: The number by which processes take turns at making the engine's tables (an advisory lock; any number of ours).
_TABLES_LOCK = 0x666C7578_6F6E0001


class PostgreSQLDatabase(ServerDatabase):
    """A PostgreSQL database: ``PostgreSQLDatabase("postgresql://user:password@host/database")``.

    Needs the extra ``fluxon[postgresql]``. What follows ``?`` in the URL is given to libpq, as
    ``?sslmode=verify-full&sslrootcert=ca.pem``.
    """

    dialect_name = "postgresql"
    schemes = ("postgresql", "postgres")

    def __init__(self, url: str | sqlalchemy.URL, models: Any = None, *, reactor: Any = None) -> None:
        if importlib.util.find_spec("psycopg") is None:
            raise ConfigurationError("PostgreSQLDatabase needs psycopg; type: pip install 'fluxon[postgresql]'")
        self.statements = PostgreSQLStatements()
        super().__init__(url, models, reactor=reactor)

    def connect(self, *, read_only: bool = False, patient: bool = False) -> PostgreSQLConnection:
        return open_connection(self.url, self.statements, read_only=read_only, patient=patient)

    def _make_tables_alone(self, connection: PostgreSQLConnection, make: Callable[[], None]) -> None:
        connection.script("BEGIN")
        connection.answer(f"SELECT pg_advisory_xact_lock({_TABLES_LOCK})")
        make()
        connection.script("COMMIT")
