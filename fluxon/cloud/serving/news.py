"""What has changed, as the audit log tells it, and as a watcher may see it. Blocks: for a thread of its own.

Rules of this module:

- Keys of the log are in the order of time, but a transaction that began earlier may commit later. So a thorough look
  goes back ``_OVERLAP`` seconds and leaves out what it has told; it sees every row once.
- A change is shown to those who may know of the item now; a path at which it no longer is (where it came from, or was
  before it was moved again), to those who may see what is in the directory there.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import attrs
import sqlalchemy
from sqlalchemy import bindparam

from fluxon.cloud import assignments, audit, paths, policy, tree
from fluxon.cloud.agent import Agent
from fluxon.cloud.identifiers import ROOT_ID, first_of
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.storage import Storage
from fluxon.cloud.tables import AUDIT_LOGS

#: Where something is, without regard to case: the keys of a path's names.
Place: TypeAlias = tuple[str, ...]

#: Seconds. A transaction has five, and the clocks of processes on several machines differ.
_OVERLAP = 15.0

#: Rows of one statement.
_PAGE = 1_000

#: Actions that change something which others may see.
CHANGES = ("create", "write", "delete", "move", "copy", "restore", "assign_role", "remove_role")

#: One of these lets somebody know of an item.
_KNOWING = frozenset(
    {Permissions.READ_METADATA, Permissions.READ_FILE, Permissions.READ_TREE_DIRECTORY, Permissions.WRITE_FILE}
)

_a = AUDIT_LOGS.c
_AFTER = (
    sqlalchemy.select(AUDIT_LOGS)
    .where(_a.id > bindparam("after"), _a.outcome == audit.DONE, _a.action.in_(CHANGES))
    .order_by(_a.id)
    .limit(_PAGE)
)


@attrs.frozen
class Event:
    """A row of the log that tells of a change."""

    action: str
    #: Where it is since then, or was last.
    path: str
    place: Place
    #: What was changed; None for a copy, which is found by its path.
    item_id: int | None
    type: str
    user: str
    at: datetime
    #: For a move, where it came from.
    source: str | None = None
    source_place: Place | None = None

    @property
    def places(self) -> list[Place]:
        """Where something is different now."""
        return [self.place] if self.source_place is None else [self.place, self.source_place]


def place_of(path: str) -> Place:
    """Where a path leads."""
    return tuple(map(paths.key, paths.parse(path)))


class News:
    """The changes of one storage, in the order of their keys. Not for two threads at once."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock
        self._last = 0
        self._told: OrderedDict[int, None] = OrderedDict()

    def begin(self) -> None:
        """From here on: what was committed before is no news."""
        self._last = 0
        self._told.clear()
        self.read(thorough=True)

    def read(self, thorough: bool) -> list[Event]:
        """What is new. Unless ``thorough``, what other processes did may be left for the next time."""
        oldest = first_of(self._clock() - _OVERLAP)
        rows = self._storage.database.read_blocking(_rows, oldest if thorough else max(self._last, oldest))
        found = [row for row in rows if row.id not in self._told]
        for row in found:
            self._told[row.id] = None
            self._last = max(self._last, row.id)
        for key in sorted(self._told):
            if key >= oldest:
                break
            del self._told[key]
        return [_event(row) for row in found]

    def as_seen(self, asked: list[tuple[Agent, Place, Event]]) -> list[dict[str, Any] | None]:
        """What each of these is told: an agent, the place that they watch, and an event that touches it."""
        seen: list[dict[str, Any] | None] = self._storage.database.read_blocking(self._as_seen, asked)
        return seen

    def _as_seen(self, connection: Any, asked: list[tuple[Agent, Place, Event]]) -> list[dict[str, Any] | None]:
        look = _Look(connection, self._storage)
        return [_told(look, *each) for each in asked]


def _told(look: _Look, agent: Agent, watched: Place, event: Event) -> dict[str, Any] | None:
    source = event.source if event.source is not None and look.lists(agent, event.source) else None
    news = {"type": event.type, "user": event.user, "at": event.at}
    if look.knows(agent, event):
        # To those who watch only where it came from it is news all the same, and they may know where it is now.
        return {"action": event.action, "path": event.path, "source": source, **news}
    if source is not None and _is_in(event.source_place, watched):
        return {"action": "delete", "path": source, "source": None, **news}
    return None


def _is_in(place: Place | None, watched: Place) -> bool:
    return place is not None and place[: len(watched)] == watched


class _Look:
    """What agents may know, at one moment; each looked up once."""

    def __init__(self, connection: Any, storage: Storage) -> None:
        self._connection = connection
        self._storage = storage
        self._granted: dict[tuple[policy.Actor, int], frozenset[Permissions]] = {}
        self._found: dict[str, int | None] = {}
        self._rows: dict[int, list[Any]] = {}

    def knows(self, agent: Agent, event: Event) -> bool:
        """Whether ``agent`` may know of the item of an event, which may be deleted, and that it is or was there."""
        item_id = self._at(event.path) if event.item_id is None else event.item_id
        if item_id is None or not self._permissions(agent, item_id) & _KNOWING:
            return False
        return self._is_at(item_id, event.place) or self.lists(agent, event.path)

    def lists(self, agent: Agent, path: str) -> bool:
        """Whether ``agent`` may see what is in the directory of ``path``, at which something was."""
        found = self._at(paths.join(paths.parse(path)[:-1]))
        return found is not None and Permissions.READ_TREE_DIRECTORY in self._permissions(agent, found)

    def _is_at(self, item_id: int, place: Place) -> bool:
        return place == tuple(paths.key(row.name) for row in reversed(self._upwards(item_id)[:-1]))

    def _upwards(self, item_id: int) -> list[Any]:
        if item_id not in self._rows:
            self._rows[item_id] = tree.upwards(self._connection, item_id)
        return self._rows[item_id]

    def _at(self, path: str) -> int | None:
        if path not in self._found:
            parts = paths.parse(path)
            rows = tree.resolve(self._connection, parts)
            there = len(rows) == len(parts)
            self._found[path] = (rows[-1].id if rows else ROOT_ID) if there else None
        return self._found[path]

    def _permissions(self, agent: Agent, item_id: int) -> frozenset[Permissions]:
        key = (agent.actor, item_id)
        if key not in self._granted:
            self._granted[key] = self._look_up(agent, self._upwards(item_id))
        return self._granted[key]

    def _look_up(self, agent: Agent, rows: list[Any]) -> frozenset[Permissions]:
        if not rows:
            return policy.NONE  # it is gone for good
        roles: dict[int, tuple[str, ...]] = {}
        if agent.user_id is not None:
            now = self._storage.now()
            roles = assignments.of_user(self._connection, agent.user_id, [row.id for row in rows], now)
        chain = [policy.Node(row.id, row.creator_id is None, row.id == ROOT_ID, roles.get(row.id, ())) for row in rows]
        return policy.effective(self._storage.rules, agent.actor, chain).permissions


def _rows(connection: Any, after: int) -> list[Any]:
    found: list[Any] = []
    while True:
        rows: Iterable[Any] = connection.rows(_AFTER, {"after": after})
        page = list(rows)
        found += page
        if len(page) < _PAGE:
            return found
        after = page[-1].id


def _event(row: Any) -> Event:
    path, source, item_id = row.path, None, row.item_id
    if row.action in ("move", "copy"):
        path = json.loads(row.details)["to"]
        if row.action == "move":
            source = row.path
        else:
            item_id = None
    return Event(
        action=row.action,
        path=path,
        place=place_of(path),
        item_id=item_id,
        type=row.item_type or tree.FILE,
        user=row.user_name,
        at=row.at.astimezone(UTC),
        source=source,
        source_place=None if source is None else place_of(source),
    )
