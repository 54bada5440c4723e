"""Which user has which role at which item: the SQL of it.

Rules kept here:

- What one user has along the way up, or at the items of a listing, is one statement that finds each item by its key:
  neither other items nor other users' roles add to its cost.
- Whether an assignment counts now is ``Constraint``'s question, asked of the rows, so that it has one answer on every
  database.
- The stored roles and permissions follow the model when a storage opens. A role that the model lacks keeps its row and
  its assignments, and permits nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import sqlalchemy
from sqlalchemy import bindparam

from fluxon.cloud.batches import any_of, by_size
from fluxon.cloud.constraints import Constraint
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.tables import ASSIGNED_ROLES, CONSTRAINTS, PERMISSIONS, ROLE_PERMISSIONS, ROLES


@attrs.frozen
class Assignment:
    """One row: a user has a role at an item."""

    id: int
    item_id: int
    user_id: Any
    role: str
    constraint: Constraint


_assigned, _roles, _limits = ASSIGNED_ROLES.c, ROLES.c, CONSTRAINTS.c

_rows = sqlalchemy.select(
    _assigned.id,
    _assigned.item_id,
    _assigned.user_id,
    _roles.name.label("role"),
    _limits.expires_at,
    _limits.valid_from,
    _limits.valid_until,
).select_from(
    ASSIGNED_ROLES.join(ROLES, _roles.id == _assigned.role_id).outerjoin(
        CONSTRAINTS, _limits.assigned_role_id == _assigned.id
    )
)


_of_user = _assigned.user_id == bindparam("user")
_of_item = _assigned.item_id == bindparam("item")
_of_role = _assigned.role_id == bindparam("role")

_OF_USER = by_size(lambda size: _rows.where(_of_user, any_of(_assigned.item_id, size)))
_EVERYWHERE = _rows.where(_of_user).limit(bindparam("limit", type_=sqlalchemy.Integer))
_OF_ALL = by_size(lambda size: _rows.where(any_of(_assigned.item_id, size)))
_AT_ITEM = (
    _rows.where(_of_item, _assigned.id > bindparam("after"))
    .order_by(_assigned.id)
    .limit(bindparam("limit", type_=sqlalchemy.Integer))
)

_ROLE = sqlalchemy.select(_roles.id).where(_roles.name == bindparam("name"))
_FIND = sqlalchemy.select(_assigned.id).where(_of_user, _of_item, _of_role)
_OWN = sqlalchemy.select(_assigned.id, _roles.name.label("role")).select_from(
    ASSIGNED_ROLES.join(ROLES, _roles.id == _assigned.role_id)
)
_OWN = _OWN.where(_of_user, _of_item).order_by(_roles.name)
_INSERT = sqlalchemy.insert(ASSIGNED_ROLES)
_RENEW = (
    sqlalchemy.update(ASSIGNED_ROLES)
    .where(_assigned.id == bindparam("key"))
    .values({_assigned.assigned_at: bindparam("at"), _assigned.assigned_by: bindparam("by")})
)
_DELETE = sqlalchemy.delete(ASSIGNED_ROLES).where(_assigned.id == bindparam("key"))
_LIMIT = sqlalchemy.insert(CONSTRAINTS)
_UNLIMIT = sqlalchemy.delete(CONSTRAINTS).where(_limits.assigned_role_id == bindparam("key"))


def of_user(connection: Any, user_id: Any, item_ids: Sequence[int], now: datetime) -> dict[int, tuple[str, ...]]:
    """The names of the roles that a user has now at each of these items, where there are any."""
    return names_of(rows_of_user(connection, user_id, item_ids), now)


def rows_of_user(connection: Any, user_id: Any, item_ids: Sequence[int]) -> list[Any]:
    """What was assigned to a user at these items, for ``names_of``; what does not count now too."""
    return _OF_USER.rows(connection, item_ids, {"user": user_id})


def everywhere(connection: Any, user_id: Any, limit: int) -> list[Any]:
    """As ``rows_of_user``, at whatever item: ``limit`` of them at most."""
    return connection.rows(_EVERYWHERE, {"user": user_id, "limit": limit})  # type: ignore[no-any-return]


def is_limited(row: Any) -> bool:
    """Whether it depends on the time if this assignment counts."""
    return not (row.expires_at is row.valid_from is row.valid_until is None)


def names_of(rows: Iterable[Any], now: datetime) -> dict[int, tuple[str, ...]]:
    """The names of the roles that count now, by item."""
    found: dict[int, tuple[str, ...]] = {}
    for row in rows:
        if _counts(row, now):
            found[row.item_id] = (*found.get(row.item_id, ()), row.role)
    return {item_id: tuple(sorted(roles)) for item_id, roles in found.items()}


def of_everybody(connection: Any, item_ids: Sequence[int], now: datetime) -> dict[Any, dict[int, tuple[str, ...]]]:
    """For each user who has roles now at one of these items, what ``of_user`` says of them."""
    found: dict[Any, dict[int, tuple[str, ...]]] = {}
    for row in _OF_ALL.rows(connection, item_ids):
        if _counts(row, now):
            roles = found.setdefault(row.user_id, {})
            roles[row.item_id] = tuple(sorted((*roles.get(row.item_id, ()), row.role)))
    return found


def at_item(connection: Any, item_id: int, after: int = 0, limit: int = 1_000) -> list[Assignment]:
    """The assignments at an item, by their keys, from the one behind ``after`` on; those that do not count too."""
    return [_assignment(row) for row in connection.rows(_AT_ITEM, {"item": item_id, "after": after, "limit": limit})]


def assign(
    connection: Any,
    draw: Callable[[], int],
    item_id: int,
    user_id: Any,
    role: str,
    constraint: Constraint,
    now: datetime,
    by: Any = None,
) -> bool:
    """Give a user a role at an item; False if they had it, which is then limited by ``constraint`` and nothing else.

    ``role`` is one that ``synchronise`` stored; ``draw`` makes the key of a new row.
    """
    role_id = connection.rows(_ROLE, {"name": role})[0].id
    found = connection.rows(_FIND, {"user": user_id, "item": item_id, "role": role_id})
    if found:
        key = found[0].id
        connection.run(_RENEW, {"key": key, "at": now, "by": by})
        connection.run(_UNLIMIT, {"key": key})
    else:
        key = draw()
        values = {"id": key, "item_id": item_id, "user_id": user_id, "role_id": role_id}
        connection.run(_INSERT, {**values, "assigned_at": now, "assigned_by": by})
    if not constraint.is_none:
        connection.run(_LIMIT, {"assigned_role_id": key, **attrs.asdict(constraint)})
    return not found


def names_at(connection: Any, item_id: int, user_id: Any) -> list[str]:
    """The names of the roles that are assigned to a user at this very item, whether they count now or not."""
    return [row.role for row in connection.rows(_OWN, {"user": user_id, "item": item_id})]


def unassign(connection: Any, item_id: int, user_id: Any, role: str | None = None) -> list[str]:
    """Take a role at an item from a user, every one without ``role``; the names of those they had."""
    taken = []
    for row in connection.rows(_OWN, {"user": user_id, "item": item_id}):
        if role in (None, row.role):
            # Its limits go with it: the database cascades.
            connection.run(_DELETE, {"key": row.id})
            taken.append(row.role)
    return taken


def _counts(row: Any, now: datetime) -> bool:
    return not is_limited(row) or _limits_of(row).is_active(now)


def _limits_of(row: Any) -> Constraint:
    return Constraint(row.expires_at, row.valid_from, row.valid_until)


def _assignment(row: Any) -> Assignment:
    return Assignment(row.id, row.item_id, row.user_id, row.role, _limits_of(row))


_STORED_ROLES = sqlalchemy.select(_roles.id, _roles.name)
_STORED_PERMISSIONS = sqlalchemy.select(PERMISSIONS.c.id, PERMISSIONS.c.name)
_STORED_PAIRS = sqlalchemy.select(ROLE_PERMISSIONS.c.role_id, ROLE_PERMISSIONS.c.permission_id)
_ADD_ROLE = sqlalchemy.insert(ROLES)
_ADD_PERMISSION = sqlalchemy.insert(PERMISSIONS)
_ADD_PAIR = sqlalchemy.insert(ROLE_PERMISSIONS)
_DELETE_PAIR = sqlalchemy.delete(ROLE_PERMISSIONS).where(
    ROLE_PERMISSIONS.c.role_id == bindparam("role"), ROLE_PERMISSIONS.c.permission_id == bindparam("permission")
)


def synchronise(connection: Any, roles: Mapping[str, Collection[Permissions]], draw: Callable[[], int]) -> None:
    """Make the stored roles and what they permit those of the model. Within one transaction, when a storage opens.

    The policy goes by the model; the copy is for whoever reads the database.
    """
    permission_ids = _stored(
        connection, _STORED_PERMISSIONS, _ADD_PERMISSION, [each.name for each in Permissions], draw
    )
    role_ids = _stored(connection, _STORED_ROLES, _ADD_ROLE, list(roles), draw)
    have = {(row.role_id, row.permission_id) for row in connection.rows(_STORED_PAIRS)}
    want = {(role_ids[role], permission_ids[each.name]) for role, granted in roles.items() for each in granted}
    for role_id, permission_id in have - want:
        connection.run(_DELETE_PAIR, {"role": role_id, "permission": permission_id})
    for role_id, permission_id in sorted(want - have):
        connection.run(_ADD_PAIR, {"role_id": role_id, "permission_id": permission_id})


def _stored(connection: Any, select: Any, insert: Any, names: Iterable[str], draw: Callable[[], int]) -> dict[str, int]:
    keys = {row.name: row.id for row in connection.rows(select)}
    for name in names:
        if name not in keys:
            keys[name] = draw()
            connection.run(insert, {"id": keys[name], "name": name})
    return keys
