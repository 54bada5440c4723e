"""Quotas: how many bytes a user, or a directory, may keep.

Rules kept here:

- A file's bytes are its creator's, whoever writes them, and those of every directory above it that has a quota.
- Every byte that is kept counts, older versions and deleted items included; the log is told apart by ``replaced``.
- Counts change in the transaction that changes what they count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import sqlalchemy
from sqlalchemy import bindparam, func, select

from fluxon.cloud.batches import any_of, by_size
from fluxon.cloud.tables import ITEMS, QUOTAS, VERSIONS

#: In ``bytes_limit``: there is no limit, whatever the default is.
UNLIMITED = -1

_q = QUOTAS.c
_OF_USER = select(QUOTAS).where(_q.user_id == bindparam("user"))
_OF_DIRECTORIES = by_size(lambda size: select(QUOTAS).where(any_of(_q.item_id, size)))
_ANY_DIRECTORY = select(_q.id).where(_q.item_id.is_not(None)).limit(1)
_INSERT = sqlalchemy.insert(QUOTAS)
_ADD = (
    sqlalchemy.update(QUOTAS)
    .where(_q.id == bindparam("quota"))
    .values({_q.used: _q.used + bindparam("more"), _q.replaced: _q.replaced + bindparam("old")})
)
_SET_LIMIT = sqlalchemy.update(QUOTAS).where(_q.id == bindparam("quota")).values({_q.bytes_limit: bindparam("limit")})
_DELETE = sqlalchemy.delete(QUOTAS).where(_q.id == bindparam("quota"))

_within = select(ITEMS.c.id).where(ITEMS.c.id == bindparam("top")).cte("within", recursive=True)
_inside = ITEMS.alias("inside")
_within = _within.union_all(select(_inside.c.id).where(_inside.c.parent_id == _within.c.id))
_PRESENT = (
    select(ITEMS.c.creator_id, func.sum(ITEMS.c.size).label("bytes"))
    .where(ITEMS.c.id == _within.c.id)
    .group_by(ITEMS.c.creator_id)
)
_REPLACED = (
    select(ITEMS.c.creator_id, func.sum(VERSIONS.c.size).label("bytes"))
    .where(ITEMS.c.id == _within.c.id, VERSIONS.c.item_id == ITEMS.c.id)
    .group_by(ITEMS.c.creator_id)
)


@attrs.frozen
class Usage:
    """What is kept: ``used`` bytes, ``versions`` of them in older versions, of ``limit`` (None: there is none)."""

    used: int
    versions: int
    limit: int | None


@attrs.frozen
class Change:
    """How much more is kept, and how much of that in older versions."""

    used: int
    replaced: int


def of_user(connection: Any, user_id: Any) -> Any:
    """The row of a user's quota, or None: they keep nothing yet."""
    rows = connection.rows(_OF_USER, {"user": user_id})
    return rows[0] if rows else None


def of_directories(connection: Any, item_ids: Iterable[int]) -> list[Any]:
    """The rows of those of the directories that have quotas; see ``any_directory`` first, where that is known."""
    return _OF_DIRECTORIES.rows(connection, list(item_ids))


def any_directory(connection: Any) -> bool:
    """Whether any directory has a quota."""
    return bool(connection.rows(_ANY_DIRECTORY))


def add(connection: Any, rows: Sequence[Any], change: Change) -> None:
    """Count a change in these quotas."""
    for row in rows:
        connection.run(_ADD, {"quota": row.id, "more": change.used, "old": change.replaced})


def make(
    connection: Any, quota_id: int, *, user_id: Any = None, item_id: int | None = None, limit: int | None, used: Usage
) -> None:
    """A quota of a user or of a directory."""
    row = {"id": quota_id, "user_id": user_id, "item_id": item_id, "bytes_limit": limit}
    connection.run(_INSERT, {**row, "used": used.used, "replaced": used.versions})


def set_limit(connection: Any, quota_id: int, limit: int | None) -> None:
    """Another limit."""
    connection.run(_SET_LIMIT, {"quota": quota_id, "limit": limit})


def remove(connection: Any, quota_id: int) -> None:
    """Count no more."""
    connection.run(_DELETE, {"quota": quota_id})


def limit_of(row: Any, default: int | None) -> int | None:
    """The limit that holds for a quota (or for who has none yet), or None."""
    limit = default if row is None or row.bytes_limit is None else row.bytes_limit
    return None if limit is None or limit < 0 else limit


def kept_within(connection: Any, top: int) -> dict[Any, Change]:
    """What is kept of an item and all that is or was in it, by creator (None: the administration)."""
    found: dict[Any, Change] = {}
    for row in connection.rows(_PRESENT, {"top": top}):
        found[row.creator_id] = Change(int(row.bytes), 0)
    for row in connection.rows(_REPLACED, {"top": top}):
        present = found.get(row.creator_id, Change(0, 0))
        found[row.creator_id] = Change(present.used + int(row.bytes), int(row.bytes))
    return found


def total(changes: Iterable[Change]) -> Change:
    """All of them together."""
    found = list(changes)
    return Change(sum(each.used for each in found), sum(each.replaced for each in found))
