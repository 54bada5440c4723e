"""What goes for ever: versions and deletions whose time is over, and objects that no row names.

Rules kept here:

- Each step is a transaction of bounded work; what it took away is away, wherever the next one stops.
- A deleted directory goes from below, so that what is in it is counted in the quotas of the directories above.
- Objects go after the commit. Those that a crash leaves are found by the sweep, since no row names them.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import bindparam, select

from fluxon.cloud import locks, quotas, tree, versions
from fluxon.cloud.batches import any_of, by_size
from fluxon.cloud.quotas import Change
from fluxon.cloud.removing import LONG_AGO
from fluxon.cloud.tables import ITEMS, VERSIONS

if TYPE_CHECKING:
    from fluxon.cloud.storage import Storage

#: Rows that one step takes away: some ten milliseconds of a database's time.
STEP = 200

_i, _v = ITEMS.c, VERSIONS.c
_OVERDUE = (
    select(_i.id, _i.type).where(_i.deleted_at <= bindparam("until")).order_by(_i.deleted_at).limit(bindparam("limit"))
)
_INSIDE = (
    select(_i.id, _i.type, _i.creator_id, _i.size, _i.object, _i.parent_id)
    .where(_i.parent_id == bindparam("parent"))
    .limit(bindparam("limit"))
)
_DELETE = sqlalchemy.delete(ITEMS).where(_i.id == bindparam("item"))
_NAMED = by_size(lambda size: select(_i.object).where(any_of(_i.object, size)))
_NAMED_BY_VERSIONS = by_size(lambda size: select(_v.object).where(any_of(_v.object, size)))
_OBJECTS = (
    select(_i.id, _i.object, _i.size).where(_i.id > bindparam("after"), _i.object.is_not(None)).order_by(_i.id)
).limit(bindparam("limit"))
_VERSION_OBJECTS = (
    select(_v.object, _v.size).where(_v.object > bindparam("after")).order_by(_v.object).limit(bindparam("limit"))
)


def purge(storage: Storage) -> int:
    """Take away what is to be kept no longer; how many rows went."""
    gone = 0
    for step in (_versions, _deletions):
        while count := _carry_out(storage, step):
            gone += count
    storage.database.write_blocking(locks.purge, storage.now())
    return gone


def _carry_out(storage: Storage, step: Any) -> int:
    def work(connection: Any) -> tuple[int, list[str]]:
        tree.take_turn(connection, storage.dialect)
        return step(storage, connection)  # type: ignore[no-any-return]

    count, objects = storage.database.write_blocking(work)
    storage.objects.remove(objects)
    return count


def _until(storage: Storage) -> datetime:
    options = storage.options
    return storage.now() - timedelta(days=options.keep_days if options.keeps else 0)


def _versions(storage: Storage, connection: Any) -> tuple[int, list[str]]:
    rows = versions.overdue(connection, _until(storage), STEP)
    objects = versions.remove(connection, rows)
    changes: dict[tuple[Any, int], int] = defaultdict(int)
    for row in rows:
        changes[row.creator_id, row.item_id] += row.size
    for (creator_id, item_id), size in changes.items():
        _count(connection, creator_id, item_id, Change(-size, -size))
    return len(rows), objects


def _deletions(storage: Storage, connection: Any) -> tuple[int, list[str]]:
    """One step down a deleted tree: the files of a directory, or a directory that has become empty."""
    until = max(_until(storage), LONG_AGO)
    found = connection.rows(_OVERDUE, {"until": until, "limit": 1})
    if not found:
        return 0, []
    node = tree.item(connection, found[0].id)
    while node.type == tree.DIRECTORY:
        inside = connection.rows(_INSIDE, {"parent": node.id, "limit": STEP})
        files = [row for row in inside if row.type == tree.FILE]
        if files:
            return _remove_files(connection, files)
        if not inside:
            connection.run(_DELETE, {"item": node.id})
            return 1, []
        node = inside[0]
    return _remove_files(connection, [node])


def _remove_files(connection: Any, files: list[Any]) -> tuple[int, list[str]]:
    objects: list[str] = []
    for row in files:
        older = versions.of_item(connection, row.id)
        objects += versions.remove(connection, older)
        if row.object is not None:
            objects.append(row.object)
        replaced = sum(each.size for each in older)
        _count(connection, row.creator_id, row.id, Change(-row.size - replaced, -replaced))
        connection.run(_DELETE, {"item": row.id})
    return len(files), objects


def _count(connection: Any, creator_id: Any, item_id: int, change: Change) -> None:
    rows = []
    user = None if creator_id is None else quotas.of_user(connection, creator_id)
    if user is not None:
        rows.append(user)
    if quotas.any_directory(connection):
        rows += quotas.of_directories(connection, [row.id for row in tree.upwards(connection, item_id)])
    quotas.add(connection, rows, change)


def named(storage: Storage, names: list[str]) -> set[str]:
    """Those of the objects that rows name."""

    def work(connection: Any) -> set[str]:
        # What a program committed with its last breath may still be on its way at a server; it has the turn so long.
        tree.take_turn(connection, storage.dialect)
        found = _NAMED.rows(connection, names, none="") + _NAMED_BY_VERSIONS.rows(connection, names, none="")
        return {row.object for row in found}

    if storage.dialect == "sqlite":
        return storage.database.read_blocking(work)
    return storage.database.write_blocking(work)


def check(storage: Storage) -> list[str]:
    """What is wrong between rows and objects, a line each."""
    problems: list[str] = []
    after: Any = 0
    while rows := storage.database.read_blocking(_page, _OBJECTS, after):
        for row in rows:
            problems += _compared(storage, f"item {row.id}", row)
        after = rows[-1].id
    after = ""
    while rows := storage.database.read_blocking(_page, _VERSION_OBJECTS, after):
        for row in rows:
            problems += _compared(storage, "an older version", row)
        after = rows[-1].object
    return problems


def _page(connection: Any, statement: Any, after: Any) -> list[Any]:
    return connection.rows(statement, {"after": after, "limit": STEP})  # type: ignore[no-any-return]


def _compared(storage: Storage, what: str, row: Any) -> list[str]:
    size = storage.objects.size(row.object)
    if size != row.size and not named(storage, [row.object]):
        return []  # it was replaced or deleted since the row was read
    if size is None:
        return [f"{what}: its object {row.object} is not there"]
    return [] if size == row.size else [f"{what}: its object {row.object} has {size} bytes instead of {row.size}"]
