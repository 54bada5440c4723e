"""The database adapters that a ``router.py`` chooses from."""

from typing import Any

from fluxon.database.database import Database
from fluxon.database.mysql.database import AsyncMySQLDatabase, MySQLDatabase
from fluxon.database.postgresql.database import PostgreSQLDatabase
from fluxon.database.sqlite.database import SQLiteDatabase
from fluxon.errors import ConfigurationError


class AsyncSQLiteDatabase(SQLiteDatabase):
    """``SQLiteDatabase`` by its other name: on the reactor's thread either of them is asynchronous."""


def adapter_of(path: Any) -> type[Database]:
    """The adapter of a ``database_path``: the one that its URL's scheme names; ``SQLiteDatabase`` for a file.

    Raises ``ConfigurationError`` for a scheme that none has.
    """
    # A driver may stand behind the scheme, as in mysql+pymysql://, as SQLAlchemy has it.
    scheme, is_url, _ = str(path).partition("://")
    name = scheme.partition("+")[0]
    if not is_url or name == "sqlite":
        return SQLiteDatabase
    servers = (PostgreSQLDatabase, MySQLDatabase)
    for adapter in servers:
        if name in adapter.schemes:
            return adapter
    known = ", ".join(f"{adapter.schemes[0]}://" for adapter in servers)
    raise ConfigurationError(
        f"no adapter takes a database_path that begins with {scheme}://; there are {known} and files"
    )


__all__ = [
    "AsyncMySQLDatabase",
    "AsyncSQLiteDatabase",
    "MySQLDatabase",
    "PostgreSQLDatabase",
    "SQLiteDatabase",
    "adapter_of",
]
