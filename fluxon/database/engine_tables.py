"""The engine's own tables: made when missing, versioned apart from schema files.

Rules kept here:

- A table's layout has a version, ``table.info["version"]`` (1 when not given), noted in ``fluxon_tables``.
- A table that another version of the engine made is never used as if it were ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy
from sqlalchemy.schema import CreateIndex, CreateTable

from fluxon.errors import ConfigurationError

_metadata = sqlalchemy.MetaData()

#: Which engine tables there are, in which version.
TABLES = sqlalchemy.Table(
    "fluxon_tables",
    _metadata,
    sqlalchemy.Column("name", sqlalchemy.String(64), primary_key=True),
    sqlalchemy.Column("version", sqlalchemy.Integer, nullable=False),
)

_versions = sqlalchemy.select(TABLES.c.name, TABLES.c.version)
_note = sqlalchemy.insert(TABLES)


def create_engine_tables(connection: Any, tables: Sequence[sqlalchemy.Table]) -> None:
    """Make those of ``tables`` that are missing; raise ``ConfigurationError`` for one of another version."""
    connection.define(CreateTable(TABLES, if_not_exists=True))
    have = {row.name: row.version for row in connection.rows(_versions)}
    for table in tables:
        version = table.info.get("version", 1)
        if have.get(table.name, version) != version:
            raise ConfigurationError(
                f"the table {table.name} was made by another version of Fluxon ({have[table.name]}, "
                f"this one has {version}); run the version that made it, or restore a backup"
            )
        if table.name in have:
            continue
        connection.define(CreateTable(table, if_not_exists=True))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            connection.define(CreateIndex(index, if_not_exists=True))
        connection.run(_note, {"name": table.name, "version": version})


def look(connection: Any) -> None:
    """Read something that is in every database: returns if it answers. Connections alone are no answer."""
    connection.rows(_versions)
