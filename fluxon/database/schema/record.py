"""The database's own knowledge of its schema: which number it has, and the text it was made from.

The text is kept whole, so that the way down works, and what to drop is known, when the file is gone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import sqlalchemy

from fluxon.database.types import UTCDateTime

_metadata = sqlalchemy.MetaData()

TABLE = sqlalchemy.Table(
    "fluxon_schema",
    _metadata,
    sqlalchemy.Column("one", sqlalchemy.Integer, primary_key=True, autoincrement=False),
    sqlalchemy.Column("number", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("checksum", sqlalchemy.String(80), nullable=False),
    sqlalchemy.Column("text", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("applied", UTCDateTime, nullable=False),
)

_select = sqlalchemy.select(TABLE.c.number, TABLE.c.checksum, TABLE.c.text, TABLE.c.applied)
_insert = sqlalchemy.insert(TABLE)
_delete = sqlalchemy.delete(TABLE)


@attrs.frozen
class Record:
    """The schema that a database has."""

    number: int
    checksum: str
    text: str
    applied: datetime


def load(connection: Any) -> Record | None:
    """The record, or None for a database that no schema file was applied to."""
    rows = connection.rows(_select)
    return Record(*rows[0]) if rows else None


def save(connection: Any, number: int, checksum: str, text: str) -> None:
    """Replace the record; part of the update's own transaction."""
    connection.run(_delete)
    connection.run(
        _insert, {"one": 1, "number": number, "checksum": checksum, "text": text, "applied": datetime.now(UTC)}
    )
