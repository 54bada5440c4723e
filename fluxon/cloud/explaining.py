"""What administrators are told of rights: why somebody has them at an item, and who has one.

Rules of this module: nothing here reads anything; it says of plain values what ``fluxon.cloud.policy`` makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from fluxon.cloud.permissions import Permissions
from fluxon.cloud.policy import STRANGER, Actor, Grant, Node, Rules, effective, verdict


@attrs.frozen
class Explanation:
    """What somebody may do at a path, and why. ``str()`` of it is a sentence."""

    path: str
    #: The user's name, or "anonymous".
    user: str
    #: The names of all permissions that they have there.
    permissions: tuple[str, ...]
    #: The roles that count, and the path at which they are assigned, or at which the search for one ended.
    roles: tuple[str, ...]
    found_at: str | None
    reason: str
    #: What was asked for, if anything was, and whether they have it.
    permission: str | None = None
    allowed: bool | None = None

    def __str__(self) -> str:
        place = "" if self.found_at in (None, self.path) else f" ({self.found_at})"
        return f"{self.user} at {self.path}: {self.reason}{place}"


@attrs.frozen
class Holders:
    """Who has a permission at a path."""

    path: str
    permission: str
    #: Names of the users who have it by a role that is assigned to them.
    users: tuple[str, ...]
    #: Names of the users to whom a role is assigned that does not permit it.
    but_not: tuple[str, ...]
    #: Whether every other user has it, by the default role or the root permissions.
    every_other_user: bool
    strangers: bool


def explanation(path: str, user: str, grant: Grant, paths: Mapping[int, str], asked: Permissions | None) -> Explanation:
    """``grant`` in words. ``paths`` are those of the item and of what it is in, by their keys."""
    found = None if asked is None else verdict(grant, asked)
    return Explanation(
        path,
        user,
        names_of(grant),
        grant.roles,
        None if grant.node_id is None else paths.get(grant.node_id),
        grant.reason if found is None else found.reason,
        None if asked is None else asked.value,
        None if found is None else found.allowed,
    )


def holders(
    rules: Rules,
    path: str,
    chain: Sequence[Node],
    assigned: Mapping[Any, Mapping[int, tuple[str, ...]]],
    names: Mapping[Any, str],
    asked: Permissions,
) -> Holders:
    """Who has ``asked`` at the first item of ``chain``, whose nodes have no roles; ``assigned`` has everybody's."""
    have: list[str] = []
    lack: list[str] = []
    for user_id, roles in assigned.items():
        own = [attrs.evolve(node, roles=roles.get(node.id, ())) for node in chain]
        grant = effective(rules, Actor(user_id), own)
        # A role that does not reach down to here leaves them one of the others.
        if grant.source == "role":
            (have if asked in grant.permissions else lack).append(names.get(user_id, str(user_id)))
    others = effective(rules, Actor(_NOBODY), chain)
    strangers = effective(rules, STRANGER, chain)
    return Holders(
        path,
        asked.value,
        tuple(sorted(have)),
        tuple(sorted(lack)),
        asked in others.permissions,
        asked in strangers.permissions,
    )


def names_of(grant: Grant) -> tuple[str, ...]:
    """The names of what is granted, in order."""
    return tuple(sorted(each.value for each in grant.permissions))


#: A user to whom nothing is assigned.
_NOBODY = 0
