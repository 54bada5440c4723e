"""``MySQLDatabase``: a database on a MariaDB or MySQL server.

Rules kept here:

- What these servers take and then do otherwise is refused when models are bound: ``SET_DEFAULT`` acts as RESTRICT.
- So is what they cannot index: their indexes are on 3,072 bytes, and a character takes four.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import sqlalchemy

from fluxon.database.binding import models_of
from fluxon.database.fields import BinaryField, CharField, Field, ForeignKey, TextField
from fluxon.database.fields.relations import SET_DEFAULT
from fluxon.database.mysql.connection import MySQLConnection, open_connection
from fluxon.database.mysql.dialect import MySQLStatements
from fluxon.database.schema.servers.journal import TABLE as SCHEMA_JOURNAL
from fluxon.database.servers.database import ServerDatabase
from fluxon.errors import ConfigurationError, Locked

#: Characters of a text that can be indexed (InnoDB: 3,072 bytes).
MAX_INDEXED_LENGTH = 768

#: Seconds to wait for another process that makes the engine's tables.
_PATIENCE = 30


class MySQLDatabase(ServerDatabase):
    """A MariaDB or MySQL database: ``MySQLDatabase("mysql://user:password@host/database")``.

    Needs the extra ``fluxon[mysql]``. What follows ``?`` in the URL is given to PyMySQL, as ``?ssl_ca=ca.pem`` or
    ``?unix_socket=/run/mysqld/mysqld.sock``.
    """

    dialect_name = "mysql"
    schemes = ("mysql", "mariadb")
    own_tables = (*ServerDatabase.own_tables, SCHEMA_JOURNAL)

    def __init__(self, url: str | sqlalchemy.URL, models: Any = None, *, reactor: Any = None) -> None:
        if importlib.util.find_spec("pymysql") is None:
            raise ConfigurationError("MySQLDatabase needs PyMySQL; type: pip install 'fluxon[mysql]'")
        self.statements = MySQLStatements()
        super().__init__(url, models, reactor=reactor)

    def bind(self, models: Any) -> None:
        for model in models_of(models):
            for field in model.declaration.all_fields:
                _check(field)
        super().bind(models)

    def connect(self, *, read_only: bool = False, patient: bool = False) -> MySQLConnection:
        return open_connection(self.url, self.statements, read_only=read_only, patient=patient)

    def _make_tables_alone(self, connection: MySQLConnection, make: Callable[[], None]) -> None:
        name = f"fluxon tables {self.url.database}"[:64]
        if connection.answer("SELECT GET_LOCK(%s, %s)", name, _PATIENCE) != [(1,)]:
            raise Locked("another program makes the engine's tables now; try again when it is done")
        try:
            make()
        finally:
            connection.answer("SELECT RELEASE_LOCK(%s)", name)


class AsyncMySQLDatabase(MySQLDatabase):
    """``MySQLDatabase`` by its other name: on the reactor's thread either of them is asynchronous."""


def _check(field: Field) -> None:
    if isinstance(field, ForeignKey):
        if field.on_delete is SET_DEFAULT:
            raise field.misdeclared("MariaDB and MySQL do not carry out SET_DEFAULT; use SET_NULL or PROTECT")
        return
    if not (field.unique or field.primary_key or field.db_index):
        return
    if isinstance(field, BinaryField) or (isinstance(field, TextField) and not isinstance(field, CharField)):
        raise field.misdeclared("MariaDB and MySQL cannot index a column of any length; use a CharField")
    if isinstance(field, CharField) and field.max_length > MAX_INDEXED_LENGTH:
        raise field.misdeclared(f"MariaDB and MySQL index texts of at most {MAX_INDEXED_LENGTH} characters")
