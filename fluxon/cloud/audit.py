"""The audit log: who did what, when, where, and what came of it.

Rules kept here:

- A row is written in the transaction of what it tells of, and never changed or deleted: there is no statement for it.
- Names, keys and paths are texts, as they were then: the log outlives users and items.
- Keys are in the order of time, so that a time is a range of keys, and pages go by the key of their last row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import sqlalchemy
from sqlalchemy import and_, bindparam, or_, select

from fluxon.cloud import paths
from fluxon.cloud.agent import Agent
from fluxon.cloud.identifiers import first_of
from fluxon.cloud.tables import AUDIT_LOGS, PLACE
from fluxon.limits import MAX_INT

#: What came of an action that was done; any other outcome is the code of the error.
DONE = "ok"

#: What the user's key is for those who are none.
ADMIN_KEY = "admin"
STRANGER_KEY = "anonymous"

_a = AUDIT_LOGS.c
_INSERT = sqlalchemy.insert(AUDIT_LOGS)
_BETWEEN = select(AUDIT_LOGS).where(_a.id >= bindparam("first"), _a.id < bindparam("before"))
_PLACES = {
    "all": None,
    # Within what the index knows of a path: it, and what begins with it and a slash.
    "near": or_(_a.place == bindparam("place"), and_(_a.place >= bindparam("low"), _a.place < bindparam("high"))),
    # Beyond: candidates.
    "far": _a.place == bindparam("place"),
    "item": _a.item_id == bindparam("item"),
}


def _statement(place: Any, by_user: bool) -> Any:
    statement = _BETWEEN if place is None else _BETWEEN.where(place)
    if by_user:
        statement = statement.where(_a.user_key == bindparam("user"))
    return statement.order_by(_a.id.desc()).limit(bindparam("limit"))


_SEARCHES = {
    (name, by_user): _statement(place, by_user) for name, place in _PLACES.items() for by_user in (False, True)
}


@attrs.frozen
class Action:
    """One row. ``user`` is the name as it was then; ``user_id`` is None once they are no user any more."""

    id: int
    user: str
    user_id: Any
    action_type: str
    path: str
    item_id: int | None
    type: str | None
    #: ``ok``, or the code of the error.
    outcome: str
    address: str | None
    #: JSON.
    details: str | None
    timestamp: datetime

    @property
    def allowed(self) -> bool:
        """Whether it was permitted; what was permitted may have failed for another reason."""
        return self.outcome != "PermissionDenied"


@attrs.frozen
class Search:
    """Which rows are wanted: of a path and below it or of one item, of a user, of a time."""

    parts: tuple[str, ...] = ()
    item_id: int | None = None
    user_key: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def write(connection: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows that ``row`` made."""
    connection.run_all(_INSERT, rows)


def row(
    action_id: int,
    agent: Agent,
    action: str,
    path: tuple[str, ...],
    outcome: str,
    now: datetime,
    *,
    is_user: bool = True,
    item: Any = None,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A row to come. ``item`` is the row of what it was about, if it was there; ``is_user``: they are still one."""
    return {
        "id": action_id,
        "at": now,
        "user_id": agent.user_id if is_user else None,
        "user_key": user_key(agent),
        "user_name": agent.name,
        "action": action,
        "item_id": None if item is None else item.id,
        "item_type": None if item is None else item.type,
        "path": paths.join(path),
        "place": place_of(path)[:PLACE],
        "outcome": outcome,
        "address": agent.address,
        "details": json.dumps(details, ensure_ascii=False) if details else None,
    }


def user_key(agent: Agent) -> str:
    """What finds the rows of an agent, also when they are no user any more."""
    if agent.admin:
        return ADMIN_KEY
    return STRANGER_KEY if agent.user_id is None else str(agent.user_id)


def place_of(path: tuple[str, ...]) -> str:
    """A path as it is looked for: names are the same whatever their case."""
    return "/" + "/".join(map(paths.key, path))


def search(connection: Any, wanted: Search, before: int | None, limit: int) -> list[Any]:
    """At most ``limit`` rows, the newest first, that are older than the row ``before``."""
    values: dict[str, Any] = {
        "first": 0 if wanted.since is None else min(first_of(wanted.since.timestamp()), MAX_INT),
        # The last keys are drawn in 2248.
        "before": MAX_INT if wanted.until is None else min(first_of(wanted.until.timestamp()), MAX_INT),
        "limit": limit,
    }
    if before is not None:
        values["before"] = min(before, values["before"])
    if wanted.user_key is not None:
        values["user"] = wanted.user_key
    name, place = _place(wanted)
    return connection.rows(_SEARCHES[name, wanted.user_key is not None], {**values, **place})  # type: ignore[no-any-return]


def is_at(row: Any, parts: tuple[str, ...]) -> bool:
    """Whether a row is of this path or below it: what ``search`` finds of long paths has to be looked at."""
    place, asked = place_of(tuple(row.path[1:].split("/"))), place_of(parts)
    return not parts or place == asked or place.startswith(asked + "/")


def actions(rows: list[Any]) -> Iterator[Action]:
    """The rows as what callers get."""
    for row in rows:
        yield Action(
            id=row.id,
            user=row.user_name,
            user_id=row.user_id,
            action_type=row.action,
            path=row.path,
            item_id=row.item_id,
            type=row.item_type,
            outcome=row.outcome,
            address=row.address,
            details=row.details,
            timestamp=row.at.astimezone(UTC),
        )


def _place(wanted: Search) -> tuple[str, dict[str, Any]]:
    if wanted.item_id is not None:
        return "item", {"item": wanted.item_id}
    if not wanted.parts:
        return "all", {}
    place = place_of(wanted.parts)
    if len(place) < PLACE:
        return "near", {"place": place, "low": place + "/", "high": place + "0"}  # 0 follows the slash
    return "far", {"place": place[:PLACE]}
