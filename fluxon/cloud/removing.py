"""Deleting, what is deleted and kept, and bringing it back.

Rules kept here:

- Deleting is one row, however much is in a directory; but every item in it must be the actor's to delete.
- A deleted item keeps its place, its assignments and all that is in it; only no path leads to it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import and_, bindparam, or_, select

from fluxon.cloud import cursors, locks, paths, quotas, refusals, tree
from fluxon.cloud.acts import Act, Changes
from fluxon.cloud.entries import DeletedEntry, Entry, Page
from fluxon.cloud.operation import Operation, P
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.place import Place
from fluxon.cloud.policy import Grant
from fluxon.cloud.reading import MAX_PAGE
from fluxon.cloud.room import of_directory
from fluxon.cloud.steps import Steps
from fluxon.cloud.tables import ITEMS
from fluxon.cloud.writing import must_open
from fluxon.errors import InvalidPayload

if TYPE_CHECKING:
    from fluxon.cloud.agent import Agent
    from fluxon.cloud.storage import Storage

#: When something was deleted that is not to be kept any longer: the next purge takes it.
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_i = ITEMS.c
_OLDER = (
    select(_i.id)
    .where(_i.parent_id == bindparam("parent"), _i.deleted_key == bindparam("key"), _i.deleted_at > LONG_AGO)
    .order_by(_i.deleted_at.desc(), _i.id.desc())
    .limit(100)
    .offset(bindparam("kept"))
)
_END = sqlalchemy.update(ITEMS).where(_i.id == bindparam("item")).values({_i.deleted_at: bindparam("at")})

_top = ITEMS.alias("top")
_inside = ITEMS.alias("inside")
_directories = select(_top.c.id).where(_top.c.id == bindparam("top")).cte("directories", recursive=True)
_directories = _directories.union_all(
    select(_inside.c.id).where(
        _inside.c.parent_id == _directories.c.id, _inside.c.type == tree.DIRECTORY, _inside.c.deleted_at.is_(None)
    )
)
_DELETED = (
    select(ITEMS)
    .where(
        _i.parent_id == _directories.c.id,
        _i.deleted_at > bindparam("since"),
        or_(_i.deleted_at < bindparam("before"), and_(_i.deleted_at == bindparam("before"), _i.id < bindparam("id"))),
    )
    .order_by(_i.deleted_at.desc(), _i.id.desc())
    .limit(bindparam("limit"))
)

_DELETES = {tree.FILE: P.DELETE_FILE, tree.DIRECTORY: P.DELETE_SUB_DIRECTORY}
#: What making something of each kind needs.
CREATES = {tree.FILE: P.CREATE_FILE, tree.DIRECTORY: P.CREATE_SUB_DIRECTORY}


def delete(storage: Storage, agent: Agent, path: Any, kind: str | None, lock: str | None) -> Steps[None]:
    """See ``Storage.delete``."""

    def work(op: Operation) -> None:
        place = op.locate(op.path)
        if not place.parts:
            raise refusals.Refused(InvalidPayload("/ cannot be deleted"))
        row = op.require(place, *_needed(place))
        if kind is not None and kind != row.type:
            raise refusals.no_file() if kind == tree.FILE else refusals.no_directory()
        if row.type == tree.DIRECTORY:
            require_below(op, place, _DELETES)
            if locks.is_held_below(op.connection, row.id, lock, op.now):
                raise refusals.locked()
        else:
            must_open(op, place, lock)
        locks.release(op.connection, row.id)
        keeps = storage.options.keeps
        tree.set_deleted(op.connection, row, agent.user_id, op.now if keeps else LONG_AGO)
        if keeps:
            for older in op.connection.rows(
                _OLDER, {"parent": row.parent_id, "key": row.name_key, "kept": storage.options.versions}
            ):
                op.connection.run(_END, {"item": older.id, "at": LONG_AGO})
        op.tell(place.path, row)

    yield Act(storage, agent, "delete", path, work, changes=Changes.ANYTHING)
    if not storage.options.keeps:
        storage.purge()


def _needed(place: Place) -> tuple[Permissions, ...]:
    return (_DELETES[place.item.type],) if place.is_there else (P.DELETE_FILE,)


def require_below(op: Operation, place: Place, needed: dict[str, Permissions]) -> None:
    """Refuse unless the actor has what is needed for each kind, at every item of a tree."""
    if op.agent.admin:
        return
    for kind, grant in op.grants_below(place):
        if needed[kind] not in grant.permissions:
            raise refusals.denied_below()


def deleted(storage: Storage, agent: Agent, path: Any, after: str | None, limit: int) -> Page[DeletedEntry]:
    """See ``Storage.deleted``."""
    before, last_id = _moment_of(after)
    if not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE:
        raise InvalidPayload(f"a page has 1 to {MAX_PAGE} items")

    def work(op: Operation) -> Page[DeletedEntry]:
        place = op.locate(op.path)
        op.require_directory(place, P.READ_TREE_DIRECTORY)
        values = {"top": place.item.id, "since": _kept_since(op), "before": before, "id": last_id, "limit": limit}
        rows = op.connection.rows(_DELETED, values)
        names = storage.users.names(op.connection, (row.deleted_by for row in rows))
        found = []
        for row in rows:
            way, grants = way_to(op, row)
            # As while it was there: what is in a directory is shown to those who may look into it.
            open_ = all(P.READ_TREE_DIRECTORY in each.permissions for each in grants[len(place.parts) : -1])
            if open_ and grants[-1].permissions:
                by = names.get(row.deleted_by)
                where = paths.join(tuple(each.name for each in way[1:]))
                found.append(DeletedEntry(row.id, where, row.type, row.size, row.deleted_at, by))
        last = None if len(rows) < limit else f"{_microseconds(rows[-1].deleted_at)}{rows[-1].id:020}"
        return Page(found, last)

    return storage.act(agent, "deleted", path, work)


def _kept_since(op: Operation) -> datetime:
    return max(op.now - timedelta(days=op.storage.options.keep_days), LONG_AGO)


def _microseconds(moment: datetime) -> int:
    return (moment.astimezone(UTC) - LONG_AGO) // timedelta(microseconds=1)


def _moment_of(after: str | None) -> tuple[datetime, int]:
    if after is None:
        return datetime(9999, 1, 1, tzinfo=UTC), 0
    if isinstance(after, str) and 20 < len(after) <= 40 and after.isascii() and after.isdigit():
        moment = int(after[:-20])
        if moment < 2**57:
            return LONG_AGO + timedelta(microseconds=moment), min(cursors.number(after[-19:]) or 0, 2**63 - 1)
    raise cursors.no_cursor()


def way_to(op: Operation, row: Any) -> tuple[list[Any], list[Grant]]:
    """The rows from ``/`` to an item, wherever it is, and what the actor may do at each."""
    way = list(reversed(tree.upwards(op.connection, row.id)))
    held = op.held([each.id for each in way])
    grants: list[Grant] = []
    for each in way:
        grants.append(op.effective(grants[-1] if grants else None, each, held))
    return way, grants


def restore_deleted(storage: Storage, agent: Agent, path: Any, deleted_id: Any) -> Entry:
    """See ``Storage.restore_deleted``."""
    if isinstance(deleted_id, bool) or not isinstance(deleted_id, int) or not 0 < deleted_id < 2**63:
        raise InvalidPayload("what was deleted is named by its id, as deleted() lists it")

    def work(op: Operation) -> Entry:
        target = op.locate(op.path)
        row = tree.item(op.connection, deleted_id)
        kept = row is not None and row.deleted_at is not None and row.deleted_at > _kept_since(op)
        way, grants = way_to(op, row) if kept else ([], [])
        if not grants or not grants[-1].permissions:
            raise refusals.missing(is_hidden=bool(grants))
        old = grants[-1]
        if _DELETES[row.type] not in old.permissions:
            raise refusals.denied(_DELETES[row.type])
        directory = op.require_free(target, CREATES[row.type])
        new = op.effective(target.parent.grant, row, op.held([row.id]))
        # In its own directory too: by another name, or that has been moved since.
        must_fit(op, target, row)
        if directory.id != row.parent_id:
            must_not_gain(old, new)
            move_quota(op, [each.id for each in way[:-1]], target.parent, row.id)
        op.item, op.details["deleted"] = row, deleted_id
        tree.set_place(op.connection, row.id, directory.id, target.path[-1])
        now = tree.item(op.connection, row.id)
        op.tell(target.path, now)
        return op.entry(now, target.path)

    return storage.act(agent, "restore", path, work, changes=Changes.ANYTHING)


def must_not_gain(old: Grant, new: Grant) -> None:
    """Nobody gets more rights at an item by taking it elsewhere: that would be granting them."""
    if not new.permissions <= old.permissions:
        raise refusals.gain()


def must_fit(op: Operation, target: Place, row: Any) -> None:
    """Refuse if a path below the new one would be too long or too deep."""
    depth, size = tree.extent(op.connection, row.id) if row.type == tree.DIRECTORY else (0, 0)
    if len(target.parts) + depth > paths.MAX_DEPTH or paths.size(target.path) + size > paths.MAX_PATH:
        raise refusals.Refused(InvalidPayload("what is in the directory would have paths that are too long there"))


def move_quota(op: Operation, old: list[int], directory: Place, top: int) -> None:
    """Count what is kept of a tree in the directories that it goes to, and no more in those that it leaves."""
    new = directory.ids
    rows = {row.item_id: row for row in quotas.of_directories(op.connection, sorted({*old, *new}))}
    left = [rows[each] for each in old if each in rows and each not in new]
    entered = [rows[each] for each in new if each in rows and each not in old]
    if not left and not entered:
        return
    change = quotas.total(quotas.kept_within(op.connection, top).values())
    for row in entered:
        limit = quotas.limit_of(row, None)
        if limit is not None and row.used + change.used > limit:
            raise of_directory("a directory that it would be in", limit, row, change.used, directory)
    quotas.add(op.connection, entered, change)
    quotas.add(op.connection, left, quotas.Change(-change.used, -change.replaced))
