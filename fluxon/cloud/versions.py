"""The contents that a file has had: which are kept, and which are to go.

Rules kept here: a content is one row, here or in the file's own; when its row goes, so does its object, after the
commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs
import sqlalchemy
from sqlalchemy import and_, bindparam, select

from fluxon.cloud.tables import ITEMS, VERSIONS

_v = VERSIONS.c
_COLUMNS = (_v.item_id, _v.version, _v.size, _v.object, _v.sha256, _v.created_at, _v.created_by)
_of_item = _v.item_id == bindparam("item")

_INSERT = sqlalchemy.insert(VERSIONS)
_LIST = select(*_COLUMNS).where(_of_item).order_by(_v.version.desc()).limit(bindparam("limit"))
_ONE = select(*_COLUMNS).where(_of_item, _v.version == bindparam("version"))
_DELETE = sqlalchemy.delete(VERSIONS).where(_of_item, _v.version == bindparam("version"))
# Those beyond the newest few, which a file has a handful of at most: each write takes its own away.
_BEYOND = (
    select(*_COLUMNS).where(_of_item).order_by(_v.version.desc()).limit(bindparam("limit")).offset(bindparam("kept"))
)
_OVERDUE = (
    select(*_COLUMNS, ITEMS.c.creator_id, ITEMS.c.parent_id)
    .join(ITEMS, and_(ITEMS.c.id == _v.item_id))
    .where(_v.replaced_at <= bindparam("until"))
    .order_by(_v.replaced_at)
    .limit(bindparam("limit"))
)

#: Versions of one file that are answered, or taken away at once.
MAX_LISTED = 10_000


@attrs.frozen
class Version:
    """A content that a file has, or had and that is kept. ``by`` is a name, or None."""

    version: int
    size: int
    sha256: str
    at: datetime
    by: str | None


def keep(connection: Any, row: Any, now: datetime) -> None:
    """Keep the present content of the file ``row``, which is about to get another."""
    connection.run(
        _INSERT,
        {
            "item_id": row.id,
            "version": row.version,
            "size": row.size,
            "object": row.object,
            "sha256": row.sha256,
            "created_at": row.modified_at,
            "created_by": row.modified_by,
            "replaced_at": now,
        },
    )


def of_item(connection: Any, item_id: int, limit: int = MAX_LISTED) -> list[Any]:
    """The rows of what is kept of a file, the newest first."""
    return connection.rows(_LIST, {"item": item_id, "limit": limit})  # type: ignore[no-any-return]


def one(connection: Any, item_id: int, version: int) -> Any:
    """The row of one version, or None."""
    rows = connection.rows(_ONE, {"item": item_id, "version": version})
    return rows[0] if rows else None


def beyond(connection: Any, item_id: int, kept: int) -> list[Any]:
    """The rows of a file's versions that are more than ``kept``."""
    return connection.rows(_BEYOND, {"item": item_id, "kept": kept, "limit": MAX_LISTED})  # type: ignore[no-any-return]


def overdue(connection: Any, until: datetime, limit: int) -> list[Any]:
    """The rows of versions of any files that were replaced before ``until``, with ``creator_id`` and ``parent_id``."""
    return connection.rows(_OVERDUE, {"until": until, "limit": limit})  # type: ignore[no-any-return]


def remove(connection: Any, rows: Sequence[Any]) -> list[str]:
    """Delete these versions; the names of their objects, to be removed after the commit."""
    for row in rows:
        connection.run(_DELETE, {"item": row.item_id, "version": row.version})
    return [row.object for row in rows if row.object is not None]
