"""The database adapters that a ``router.py`` chooses from."""

from fluxon.database.mysql.database import AsyncMySQLDatabase, MySQLDatabase
from fluxon.database.postgresql.database import PostgreSQLDatabase
from fluxon.database.sqlite.database import SQLiteDatabase


class AsyncSQLiteDatabase(SQLiteDatabase):
    """``SQLiteDatabase`` by its other name: on the reactor's thread either of them is asynchronous."""


__all__ = ["AsyncMySQLDatabase", "AsyncSQLiteDatabase", "MySQLDatabase", "PostgreSQLDatabase", "SQLiteDatabase"]
