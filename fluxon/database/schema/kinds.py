"""Which ``Changes`` go with which adapter."""

from __future__ import annotations

from typing import Any

from fluxon.database.schema.changes import Changes
from fluxon.database.schema.servers.mysql_changes import MySQLChanges
from fluxon.database.schema.servers.postgresql_changes import PostgreSQLChanges
from fluxon.database.schema.sqlite_changes import SQLiteChanges

_KINDS: dict[str, type[Changes]] = {
    "sqlite": SQLiteChanges,
    "postgresql": PostgreSQLChanges,
    "mysql": MySQLChanges,
}


def changes_of(database: Any) -> Changes:
    """The schema changes of ``database``."""
    return _KINDS[database.dialect_name](database)
