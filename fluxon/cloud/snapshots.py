"""Items, and those who made them or did something with them, as a program sees them at one moment.

Rules kept here: what is read here only describes; it is no action of anybody's, asks for no right and leaves no row in
the audit log. Everything blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

from fluxon.cloud import paths, tree
from fluxon.cloud.agent import ADMIN
from fluxon.cloud.audit import Action
from fluxon.cloud.entries import Entry
from fluxon.cloud.operation import Operation
from fluxon.sessions.user import AuthenticatedUser

if TYPE_CHECKING:
    from fluxon.cloud.storage import Storage


@attrs.frozen
class Snapshot:
    """An item and its creator. Without an ``entry`` there was nothing at the path."""

    path: str
    entry: Entry | None = None
    creator: AuthenticatedUser | None = None


@attrs.frozen
class ActionSeen:
    """A row of the audit log, the item as it is now, and the user, if they still are one."""

    action: Action
    item: Snapshot
    user: AuthenticatedUser | None


def at(storage: Storage, path: Any) -> Snapshot:
    """What is at a path now."""
    parts = paths.parse(path)

    def read(connection: Any) -> Snapshot:
        op = Operation(storage, connection, ADMIN, "stat", parts)
        place = op.locate(parts)
        if not place.is_there:
            return Snapshot(paths.join(place.path))
        return _with_creators(storage, connection, [op.entry(place.item, place.path)])[0]

    return storage.database.read_blocking(read)


def of_entries(storage: Storage, entries: list[Entry]) -> list[Snapshot]:
    """Entries with their creators."""
    return storage.database.read_blocking(lambda connection: _with_creators(storage, connection, entries))


def of_actions(storage: Storage, actions: Iterable[Action]) -> list[ActionSeen]:
    """Rows of the audit log with what they are about."""
    shown = list(actions)

    def read(connection: Any) -> list[ActionSeen]:
        op = Operation(storage, connection, ADMIN, "log", ())
        now = {each: None if each is None else _now(op, each) for each in {action.item_id for action in shown}}
        rows = storage.users.rows(connection, (action.user_id for action in shown))
        return [
            ActionSeen(
                action,
                now.get(action.item_id) or Snapshot(action.path),
                AuthenticatedUser(rows[action.user_id]) if action.user_id in rows else None,
            )
            for action in shown
        ]

    return storage.database.read_blocking(read)


def _now(op: Operation, item_id: int) -> Snapshot | None:
    way = list(reversed(tree.upwards(op.connection, item_id)))
    if not way or any(row.deleted_at is not None for row in way):
        return None
    entry = op.entry(way[-1], tuple(row.name for row in way[1:]))
    return _with_creators(op.storage, op.connection, [entry])[0]


def _with_creators(storage: Storage, connection: Any, entries: list[Entry]) -> list[Snapshot]:
    rows = storage.users.rows(connection, (entry.creator_id for entry in entries))
    return [
        Snapshot(
            entry.path,
            entry,
            AuthenticatedUser(rows[entry.creator_id]) if entry.creator_id in rows else None,
        )
        for entry in entries
    ]
