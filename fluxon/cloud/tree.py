"""The items: directories and files, and where they are.

Rules kept here:

- Statements are constants; one component of a path is one statement, found or not.
- Nobody's rights are looked at here: whoever calls has done that in the same transaction.
- A deleted item has no ``name_key``: no path leads to it, and what is in it is as it was.
- Outside of SQLite, whose writers take turns, every transaction that changes items begins with ``take_turn``: what it
  sees is then what there is when it commits, so there are no cycles, and no two items of one name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy import and_, bindparam, case, cast, func, literal, null, select

from fluxon.cloud import paths
from fluxon.cloud.identifiers import ROOT_ID
from fluxon.cloud.tables import ASSIGNED_ROLES, ITEMS
from fluxon.database.rows import row_class

FILE = "file"
DIRECTORY = "directory"

#: No item has it: what a component that is not there leads to.
NOWHERE = 0

#: The anchor of everything that Admin made and nobody was given a role at: all of these are alike.
CLOSED = -1

_i = ITEMS.c
_by_name = and_(_i.parent_id == bindparam("parent"), _i.name_key == bindparam("key"))
_COLUMNS = (
    _i.id,
    _i.parent_id,
    _i.name,
    _i.name_key,
    _i.type,
    _i.creator_id,
    _i.size,
    _i.version,
    _i.object,
    _i.sha256,
    _i.created_at,
    _i.modified_at,
    _i.modified_by,
    _i.deleted_at,
    _i.deleted_by,
    _i.deleted_key,
)
#: What a select of them answers.
_Item = row_class(tuple(each.name for each in _COLUMNS))

_CHILD = select(*_COLUMNS).where(_by_name)
# What has to be known of a directory on the way to something else. It is less, so that it hardly takes longer to find
# something than to find nothing.
_ON_THE_WAY = select(_i.id, _i.name, _i.type, _i.creator_id).where(_by_name)
_ITEM = select(*_COLUMNS).where(_i.id == bindparam("id"))
_CHILDREN = (
    select(*_COLUMNS)
    .where(_i.parent_id == bindparam("parent"), _i.name_key > bindparam("after"))
    .order_by(_i.name_key)
    .limit(bindparam("limit"))
)
_INSERT = sqlalchemy.insert(ITEMS)
_SET_CONTENT = (
    sqlalchemy.update(ITEMS)
    .where(_i.id == bindparam("item"))
    .values(
        {
            _i.size: bindparam("new_size"),
            _i.version: bindparam("new_version"),
            _i.object: bindparam("new_object"),
            _i.sha256: bindparam("new_sha256"),
            _i.modified_at: bindparam("new_modified_at"),
            _i.modified_by: bindparam("new_modified_by"),
        }
    )
)
_SET_PLACE = (
    sqlalchemy.update(ITEMS)
    .where(_i.id == bindparam("item"))
    .values(
        {
            _i.parent_id: bindparam("new_parent"),
            _i.name: bindparam("new_name"),
            _i.name_key: bindparam("new_key"),
            _i.name_size: bindparam("new_size"),
            _i.deleted_at: null(),
            _i.deleted_by: null(),
            _i.deleted_key: null(),
        }
    )
)
_SET_DELETED = (
    sqlalchemy.update(ITEMS)
    .where(_i.id == bindparam("item"))
    .values(
        {
            _i.name_key: null(),
            _i.deleted_key: bindparam("key"),
            _i.deleted_at: bindparam("at"),
            _i.deleted_by: bindparam("by"),
        }
    )
)

_LOCK_ROOT = select(_i.id).where(_i.id == ROOT_ID).with_for_update()

#: PostgreSQL's transactions see what there was when they first asked, and locking a row is asking. Locking a table is
#: not. Nothing is written to this one while the server runs, and reading it goes on.
_LOCK_TABLE = "LOCK TABLE filesystem_permissions IN EXCLUSIVE MODE"


def _number(value: int) -> Any:
    """A constant of the type of keys: the columns of a recursive query have the types of its first part."""
    return cast(literal(value), sqlalchemy.BigInteger)


_up = (
    select(_i.id, _i.parent_id, _number(0).label("distance")).where(_i.id == bindparam("id")).cte("up", recursive=True)
)
_higher = ITEMS.alias("higher")
_up = _up.union_all(
    select(_higher.c.id, _higher.c.parent_id, _up.c.distance + 1).where(_higher.c.id == _up.c.parent_id)
)
_UP = select(*_COLUMNS).where(_i.id == _up.c.id).order_by(_up.c.distance)

_top = ITEMS.alias("top")
_lower = ITEMS.alias("inside")


def _given(item: Any) -> Any:
    """Whether the user in question has a role at ``item``, in force or not."""
    return sqlalchemy.exists().where(
        ASSIGNED_ROLES.c.item_id == item.c.id, ASSIGNED_ROLES.c.user_id == bindparam("user")
    )


def _is_admins(item: Any) -> Any:
    return case((item.c.creator_id.is_(None), _number(1)), else_=_number(0))


# What lies below an item, each with its anchor: the nearest item upwards whose rights are not simply those of its
# directory, the top at last; and with the anchor above that one.
_below = (
    select(
        _top.c.id,
        _top.c.type,
        _top.c.id.label("anchor"),
        _is_admins(_top).label("admins"),
        # NOWHERE, in a column that can hold keys: MariaDB would make it as wide as the constant.
        (_top.c.id * NOWHERE).label("above"),
    )
    .where(_top.c.id == bindparam("top"))
    .cte("below", recursive=True)
)
_below = _below.union_all(
    select(
        _lower.c.id,
        _lower.c.type,
        case(
            (_given(_lower), _lower.c.id),
            (_lower.c.creator_id.is_(None), _number(CLOSED)),
            else_=_below.c.anchor,
        ),
        case((_given(_lower), _is_admins(_lower)), (_lower.c.creator_id.is_(None), _number(1)), else_=_below.c.admins),
        case(
            (_given(_lower), _below.c.anchor),
            (_lower.c.creator_id.is_(None), _number(NOWHERE)),
            else_=_below.c.above,
        ),
    ).where(_lower.c.parent_id == _below.c.id, _lower.c.deleted_at.is_(None))
)
_ANCHORS = select(_below.c.anchor, _below.c.above, _below.c.admins, _below.c.type).distinct()

_deep = (
    select(_top.c.id, _number(0).label("depth"), _number(0).label("bytes"))
    .where(_top.c.id == bindparam("top"))
    .cte("deep", recursive=True)
)
_deep = _deep.union_all(
    select(_lower.c.id, _deep.c.depth + 1, _deep.c.bytes + 1 + _lower.c.name_size).where(
        _lower.c.parent_id == _deep.c.id, _lower.c.deleted_at.is_(None)
    )
)
_EXTENT = select(func.max(_deep.c.depth).label("depth"), func.max(_deep.c.bytes).label("bytes"))
_DESCENDANTS = (
    select(*_COLUMNS, _deep.c.depth).where(_i.id == _deep.c.id).order_by(_deep.c.depth, _i.id).limit(bindparam("limit"))
)


def take_turn(connection: Any, dialect: str) -> None:
    """Wait until no other transaction changes items. The first thing in a transaction that does."""
    if dialect == "postgresql":
        connection.script(_LOCK_TABLE)
    elif dialect != "sqlite":
        connection.rows(_LOCK_ROOT)


def make_root(connection: Any, now: datetime) -> None:
    """Make ``/``, unless it is there."""
    if item(connection, ROOT_ID) is None:
        insert(connection, ROOT_ID, None, "", DIRECTORY, None, now)


def item(connection: Any, item_id: int) -> Any:
    """The row of an item, or None."""
    rows = connection.rows(_ITEM, {"id": item_id})
    return rows[0] if rows else None


def child(connection: Any, parent_id: int, name: str) -> Any:
    """The row of what is called so in a directory, or None."""
    rows = connection.rows(_CHILD, {"parent": parent_id, "key": paths.key(name)})
    return rows[0] if rows else None


def resolve(connection: Any, parts: Sequence[str]) -> list[Any]:
    """The rows that lead from below ``/`` to a path, as many as there are.

    Takes as many statements as the path has components, whatever is there. Rows before the last component's have
    ``id``, ``name``, ``type`` and ``creator_id`` only.
    """
    found: list[Any] = []
    parent = ROOT_ID
    for number, part in enumerate(parts, 1):
        statement = _CHILD if number == len(parts) else _ON_THE_WAY
        rows = connection.rows(statement, {"parent": parent, "key": paths.key(part)})
        if rows:
            found.append(rows[0])
        parent = rows[0].id if rows else NOWHERE
    return found


def children(connection: Any, parent_id: int, after: str, limit: int) -> list[Any]:
    """What is in a directory, by key, beyond the key ``after`` (empty: from the first)."""
    return connection.rows(_CHILDREN, {"parent": parent_id, "after": after, "limit": limit})  # type: ignore[no-any-return]


def upwards(connection: Any, item_id: int) -> list[Any]:
    """The item and what it is in, up to ``/``; nothing if it is not there."""
    return connection.rows(_UP, {"id": item_id})  # type: ignore[no-any-return]


def anchors(connection: Any, top: int, user_id: Any) -> list[Any]:
    """Which rights there are in a tree, without going through it here: rows of ``anchor, above, admins, type``.

    Every item of the tree that is of ``type`` and has this ``anchor`` has the rights of the anchor. ``CLOSED`` stands
    for whatever Admin made; ``above`` is the anchor further up, and ``admins`` whether Admin made the anchor.
    """
    user = -1 if user_id is None else user_id
    return connection.rows(_ANCHORS, {"top": top, "user": user})  # type: ignore[no-any-return]


def extent(connection: Any, top: int) -> tuple[int, int]:
    """How many levels there are below an item, and the bytes of the longest path from there on."""
    row = connection.rows(_EXTENT, {"top": top})[0]
    return row.depth or 0, row.bytes or 0


def descendants(connection: Any, top: int, limit: int) -> list[Any]:
    """The item and all that is in it, parents first; ``limit`` rows at most."""
    return connection.rows(_DESCENDANTS, {"top": top, "limit": limit})  # type: ignore[no-any-return]


def insert(
    connection: Any,
    item_id: int,
    parent_id: int | None,
    name: str,
    kind: str,
    creator_id: Any,
    now: datetime,
    *,
    size: int = 0,
    version: int = 0,
    stored: str | None = None,
    sha256: str | None = None,
) -> Any:
    """A new item; its row. The name must be free."""
    values = {
        "id": item_id,
        "parent_id": parent_id,
        "name": name,
        "name_key": paths.key(name),
        "type": kind,
        "creator_id": creator_id,
        "size": size,
        "version": version,
        "object": stored,
        "sha256": sha256,
        "created_at": now,
        "modified_at": now,
        "modified_by": creator_id,
    }
    connection.run(_INSERT, {**values, "name_size": len(name.encode())})
    return _Item(**values, deleted_at=None, deleted_by=None, deleted_key=None)


def set_content(
    connection: Any, row: Any, *, size: int, version: int, stored: str | None, sha256: str, by: Any, now: datetime
) -> Any:
    """Give a file another content; its row as it is then."""
    values = {"new_size": size, "new_version": version, "new_object": stored, "new_sha256": sha256}
    connection.run(_SET_CONTENT, {"item": row.id, **values, "new_modified_at": now, "new_modified_by": by})
    content = {"size": size, "version": version, "object": stored, "sha256": sha256}
    return row._replace(**content, modified_at=now, modified_by=by)


def set_place(connection: Any, item_id: int, parent_id: int, name: str) -> None:
    """Give an item, deleted or not, another name or directory."""
    values = {"new_parent": parent_id, "new_name": name, "new_key": paths.key(name), "new_size": len(name.encode())}
    connection.run(_SET_PLACE, {"item": item_id, **values})


def set_deleted(connection: Any, row: Any, by: Any, now: datetime) -> None:
    """Take an item, and with it all that is in it, out of the tree."""
    connection.run(_SET_DELETED, {"item": row.id, "key": row.name_key, "at": now, "by": by})
