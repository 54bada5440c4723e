"""Roles of users at items: given, taken, listed and explained, as operations on a storage.

Rules kept here:

- Nobody grants, takes or changes what they do not hold: whoever gives or takes a role needs ``ASSIGN_ROLES`` at the
  item, every permission of the role, and every permission that its user has there before and not after, or after and
  not before. (A role replaces what is above it, so giving one may take, and taking one may give.)
- Who may not assign roles at an item does not learn which users there are.
- Questions of the server's own code about others' rights are the administration's, change nothing, and leave no row in
  the audit log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, time
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from fluxon.cloud import assignments, explaining, paths, refusals
from fluxon.cloud.acts import Changes
from fluxon.cloud.agent import ADMIN, Agent
from fluxon.cloud.constraints import ALWAYS, Constraint
from fluxon.cloud.explaining import Explanation, Holders
from fluxon.cloud.operation import Operation, P
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.place import Place
from fluxon.cloud.policy import STRANGER, Actor, Grant, Node, effective
from fluxon.cloud.users import Named, User
from fluxon.errors import InvalidPayload, NotFound, PermissionDenied

if TYPE_CHECKING:
    from fluxon.cloud.storage import Storage

T = TypeVar("T")

ASSIGNED = "role assigned successfully"
REMOVED = "role removed successfully"
NOTHING = "no such role was assigned"

#: Assignments at one item that are listed: as many as one answer to a client takes.
MAX_LISTED = 10_000


@attrs.frozen
class RoleAt:
    """One assignment, as those are told who may assign roles there."""

    path: str
    user: str
    user_id: Any
    role: str
    expires_at: datetime | None
    valid_from: time | None
    valid_until: time | None


def assign(
    storage: Storage, agent: Agent, path: Any, role: str, user: Named, limits: Constraint = ALWAYS
) -> dict[str, str]:
    """Give a user a role at an item, or other limits to the one they have; the status that ``assign_role`` answers."""

    def work(op: Operation) -> dict[str, str]:
        op.details.update(user=user.text, role=role, **_shown(limits))
        place = op.locate(op.path)
        item = op.require(place, P.ASSIGN_ROLES)
        if role not in storage.rules.roles:
            known = ", ".join(storage.rules.roles) or "none"
            raise refusals.Refused(InvalidPayload(f"there is no role of this name; there are: {known}"))
        assignee = _user(op, user)
        now = _roles_at(op, place, assignee)
        then = {**now, item.id: tuple(sorted({role, *now.get(item.id, ())}))}
        _must_hold(op, place, [role], assignee, now, then)
        by = agent.user_id
        assignments.assign(op.connection, storage.draw, item.id, assignee.id, role, limits, op.now, by)
        op.tell(place.path, item)
        return _status(assignee, place, role, ASSIGNED)

    return storage.act(agent, "assign_role", path, work, changes=Changes.ANYTHING)


def remove(storage: Storage, agent: Agent, path: Any, user: Named, role: str | None = None) -> dict[str, str]:
    """Take a role at an item from a user, every one without ``role``; the status that ``remove_role`` answers."""
    assignee, place, taken = _take(storage, agent, path, user, role)
    return _status(assignee, place, ", ".join(taken) or role or "", REMOVED if taken else NOTHING)


def unassign(storage: Storage, agent: Agent, path: Any, user: Named, role: str | None = None) -> int:
    """The same; how many roles were taken."""
    return len(_take(storage, agent, path, user, role)[2])


def _take(storage: Storage, agent: Agent, path: Any, user: Named, role: str | None) -> tuple[User, Place, list[str]]:
    def work(op: Operation) -> tuple[User, Place, list[str]]:
        op.details.update(user=user.text, role=role)
        place = op.locate(op.path)
        item = op.require(place, P.ASSIGN_ROLES)
        assignee = _user(op, user)
        names = assignments.names_at(op.connection, item.id, assignee.id)
        taken = [each for each in names if role in (None, each)]
        now = _roles_at(op, place, assignee)
        then = {**now, item.id: tuple(each for each in now.get(item.id, ()) if each not in taken)}
        _must_hold(op, place, taken, assignee, now, then)
        if taken:
            assignments.unassign(op.connection, item.id, assignee.id, role)
            op.tell(place.path, item)
        return assignee, place, taken

    return storage.act(agent, "remove_role", path, work, changes=Changes.ANYTHING)


def roles(storage: Storage, agent: Agent, path: Any) -> list[RoleAt]:
    """The assignments at an item, those that do not count at the moment too; ``MAX_LISTED`` at most."""

    def work(op: Operation) -> list[RoleAt]:
        place = op.locate(op.path)
        item = op.require(place, P.ASSIGN_ROLES)
        rows = assignments.at_item(op.connection, item.id, limit=MAX_LISTED)
        names = storage.users.names(op.connection, {row.user_id for row in rows})
        shown = paths.join(place.path)
        return [
            RoleAt(
                shown,
                names.get(row.user_id, str(row.user_id)),
                row.user_id,
                row.role,
                row.constraint.expires_at,
                row.constraint.valid_from,
                row.constraint.valid_until,
            )
            for row in rows
        ]

    return storage.act(agent, "roles", path, work)


def permissions(storage: Storage, agent: Agent, path: Any) -> frozenset[Permissions]:
    """What the agent may do at an item. One at which they may do nothing is answered like one that is not there."""

    def work(op: Operation) -> frozenset[Permissions]:
        place = op.locate(op.path)
        if not place.is_visible:
            raise op.unknown(place)
        return place.grant.permissions

    return storage.act(agent, "permissions", path, work)


def can_assign(storage: Storage, path: Any, user: Named | None) -> bool:
    """Whether a user (None: a stranger) has ``ASSIGN_ROLES`` at an item; False if either is not there."""
    try:
        return P.ASSIGN_ROLES in permissions_of(storage, path, user)
    except NotFound:
        return False


def permissions_of(storage: Storage, path: Any, user: Named | None) -> frozenset[Permissions]:
    """What a user, or None: a stranger, may do at an item. ``NotFound`` if either is not there."""
    return _ask(storage, path, lambda op, place: _grant(op, place, _actor(op, user)).permissions)


def role_names(storage: Storage, path: Any, user: Named | None) -> list[str]:
    """The names of the roles that count for a user at an item, the default role too. A stranger has none."""
    return _ask(storage, path, lambda op, place: list(_grant(op, place, _actor(op, user)).roles))


def explain(storage: Storage, path: Any, user: Named | None, asked: Permissions | None = None) -> Explanation:
    """What a user, or a stranger, may do at an item, and why."""

    def work(op: Operation, place: Place) -> Explanation:
        found = None if user is None else storage.users.get(op.connection, user)
        grant = _grant(op, place, STRANGER if found is None else Actor(found.id))
        above = {row.id: paths.join(place.path[:depth]) for depth, row in enumerate(place.rows)}
        name = "anonymous" if found is None else found.name
        return explaining.explanation(paths.join(place.path), name, grant, above, asked)

    return _ask(storage, path, work)


def who_can(storage: Storage, path: Any, asked: Permissions) -> Holders:
    """Who has a permission at an item. Its cost grows with the number of assignments there and on the way up."""

    def work(op: Operation, place: Place) -> Holders:
        everybody = assignments.of_everybody(op.connection, place.ids, op.now)
        names = storage.users.names(op.connection, everybody)
        chain = _chain(op, place, {})
        return explaining.holders(storage.rules, paths.join(place.path), chain, everybody, names, asked)

    return _ask(storage, path, work)


def _ask(storage: Storage, path: Any, work: Callable[[Operation, Place], T]) -> T:
    parts = paths.parse(path)

    def read(connection: Any) -> T:
        op = Operation(storage, connection, ADMIN, "explain", parts)
        place = op.locate(parts)
        if not place.is_there:
            raise NotFound("there is nothing at this path")
        return work(op, place)

    return storage.database.read_blocking(read)


def _actor(op: Operation, user: Named | None) -> Actor:
    return STRANGER if user is None else Actor(op.storage.users.get(op.connection, user).id)


def _user(op: Operation, user: Named) -> User:
    found = op.storage.users.find(op.connection, user)
    if found is None:
        raise refusals.Refused(NotFound(f"there is no {user.text}"))
    return found


def _grant(op: Operation, place: Place, actor: Actor) -> Grant:
    held = {} if actor.user_id is None else assignments.of_user(op.connection, actor.user_id, place.ids, op.now)
    return effective(op.storage.rules, actor, _chain(op, place, held))


def _roles_at(op: Operation, place: Place, user: User) -> dict[int, tuple[str, ...]]:
    return assignments.of_user(op.connection, user.id, place.ids, op.now)


def _chain(op: Operation, place: Place, held: dict[int, tuple[str, ...]]) -> list[Node]:
    root = op.storage.root.id
    return [Node(row.id, row.creator_id is None, row.id == root, held.get(row.id, ())) for row in reversed(place.rows)]


def _must_hold(
    op: Operation,
    place: Place,
    names: Iterable[str],
    assignee: User,
    now: dict[int, tuple[str, ...]],
    then: dict[int, tuple[str, ...]],
) -> None:
    rules, actor = op.storage.rules, Actor(assignee.id)
    before = effective(rules, actor, _chain(op, place, now)).permissions
    after = effective(rules, actor, _chain(op, place, then)).permissions
    lacking = (rules.of(names) | (before ^ after)) - place.grant.permissions
    if lacking:
        shown = ", ".join(sorted(each.value for each in lacking))
        raise refusals.Refused(
            PermissionDenied(f"this would give or take permissions that you do not have at this path: {shown}")
        )


def _status(user: User, place: Place, role: str, status: str) -> dict[str, str]:
    return {
        "user_assigned": f"username: {user.name}; id: {user.id}",
        "cloud_relative_path": paths.join(place.path),
        "role": role,
        "status": status,
    }


def _shown(limits: Constraint) -> dict[str, str]:
    return {name: value.isoformat() for name, value in attrs.asdict(limits).items() if value is not None}
