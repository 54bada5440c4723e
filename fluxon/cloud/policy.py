"""Who may do what, and why: plain values in, a verdict with its reason out.

Rules of this room:

- Nothing here reads a clock, a database or a file. Whoever asks hands in the item and what is above it, and of the
  assignments the actor's own that are active now.
- Admin may do everything. A stranger has the anonymous permissions, everywhere, and nothing else.
- A user has the roles of the nearest item, from the asked one upwards, at which roles are assigned to them; several at
  one item are joined. The walk ends at the first item that Admin made, that one included. If it finds nothing, the user
  has the default role.
- A role that the model lacks grants nothing and still replaces what is above.
- At ``/`` itself every user has the root permissions as well; they go no further down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from fluxon.cloud.permissions import ALL, Permissions

NONE: frozenset[Permissions] = frozenset()


@attrs.frozen(slots=True)
class Actor:
    """Who asks: ``ADMIN``, ``STRANGER``, or a user by the key of their row."""

    user_id: Any = None
    is_admin: bool = False

    @property
    def is_stranger(self) -> bool:
        """Whether it is somebody who has not logged in."""
        return self.user_id is None and not self.is_admin


#: Code of the server that names no user.
ADMIN = Actor(is_admin=True)
#: Whoever has not logged in.
STRANGER = Actor()


@attrs.frozen(slots=True)
class Node:
    """One item, as far as a decision needs it."""

    id: int
    #: An item whose creator is no longer a user counts as Admin's.
    is_admin_made: bool
    is_root: bool = False
    #: Names of the roles that the actor has here by assignments that are active now.
    roles: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class Rules:
    """What an authorization model declares."""

    roles: Mapping[str, frozenset[Permissions]]
    #: The name of the default role, or None: there is none.
    default: str | None = None
    anonymous: frozenset[Permissions] = NONE
    root: frozenset[Permissions] = NONE

    def of(self, roles: Iterable[str]) -> frozenset[Permissions]:
        """All that these roles grant together."""
        found = NONE
        for role in roles:
            granted = self.roles.get(role, NONE)
            found = found | granted if found else granted
        return found


@attrs.frozen(slots=True)
class Grant:
    """What an actor may do at an item, and where it comes from."""

    permissions: frozenset[Permissions]
    #: What an item below has when neither it nor anything between has roles of its own or was made by Admin.
    inherited: frozenset[Permissions]
    #: ``admin``, ``anonymous``, ``role`` or ``default``.
    source: str
    #: The roles that grant it: those assigned, or the default role, or none.
    roles: tuple[str, ...] = ()
    #: The item at which the walk upwards found the roles or, for the default role, ended. None: it did not walk.
    node_id: int | None = None
    #: Whether that item is the asked one.
    is_here: bool = True
    #: Those of ``roles`` that the model lacks.
    unknown: tuple[str, ...] = ()
    #: Whether the root permissions were added.
    at_root: bool = False

    @property
    def reason(self) -> str:
        """Why, for people to read; it names roles and never a path."""
        if self.source == "admin":
            return "Admin may do everything"
        if self.source == "anonymous":
            return "nobody is logged in, so the AnonymousPermissions apply"
        if self.source == "role":
            text = f"{_named(self.roles)} assigned {'here' if self.is_here else 'at a directory above'}"
            if self.unknown:
                text += f"; the model lacks {', '.join(self.unknown)}, which grants nothing"
        else:
            end = "this item" if self.is_here else "a directory above"
            default = f"the DefaultRole {self.roles[0]} applies" if self.roles else "there is no DefaultRole"
            text = f"no role is assigned between here and {end}, which Admin made, so {default}"
            if self.is_here:
                text = f"no role is assigned here, Admin made this item, so {default}"
        return f"{text}; RootPermissions are added" if self.at_root else text


@attrs.frozen(slots=True)
class Verdict:
    """Whether it is allowed, and why."""

    allowed: bool
    reason: str


def effective(rules: Rules, actor: Actor, chain: Sequence[Node]) -> Grant:
    """What ``actor`` may do at the first item of ``chain``, which goes on with its directory and so on up to ``/``.

    A chain may be cut off above the first item that Admin made.
    """
    if actor.is_admin:
        return _ADMIN
    if actor.is_stranger:
        return Grant(rules.anonymous, rules.anonymous, "anonymous")
    item = chain[0]
    for node in chain:
        if node.roles:
            return _at(rules, item, _assigned(rules, node, node is item))
        if node.is_admin_made:
            break
    return _at(rules, item, _default(rules, node, node is item))


def effective_below(rules: Rules, actor: Actor, above: Grant, node: Node) -> Grant:
    """What ``effective`` says of ``node``, given what it said of its directory: to go down a tree without chains."""
    if actor.is_admin or actor.is_stranger:
        return above
    if node.roles:
        return _assigned(rules, node, True)
    if node.is_admin_made:
        return _default(rules, node, True)
    if above.is_here or above.at_root:
        # Not ``attrs.evolve``, which takes five times as long: this is done for each item on the way.
        inherited = above.inherited
        return Grant(inherited, inherited, above.source, above.roles, above.node_id, False, above.unknown)
    return above


def decide(rules: Rules, actor: Actor, chain: Sequence[Node], permission: Permissions) -> Verdict:
    """Whether ``actor`` has ``permission`` at the first item of ``chain``; see ``effective``."""
    return verdict(effective(rules, actor, chain), permission)


def verdict(grant: Grant, permission: Permissions) -> Verdict:
    """Whether ``grant`` has ``permission``."""
    allowed = permission in grant.permissions
    return Verdict(allowed, f"{permission.value} is {'granted' if allowed else 'not granted'}: {grant.reason}")


_ADMIN = Grant(ALL, ALL, "admin")


def _assigned(rules: Rules, node: Node, is_here: bool) -> Grant:
    granted = rules.of(node.roles)
    unknown = tuple([role for role in node.roles if role not in rules.roles])
    return Grant(granted, granted, "role", node.roles, node.id, is_here, unknown)


def _default(rules: Rules, node: Node, is_here: bool) -> Grant:
    roles = () if rules.default is None else (rules.default,)
    granted = rules.of(roles)
    return Grant(granted, granted, "default", roles, node.id, is_here)


def _at(rules: Rules, item: Node, grant: Grant) -> Grant:
    if not item.is_root:
        return grant
    granted = grant.permissions | rules.root
    here, unknown = grant.is_here, grant.unknown
    return Grant(granted, grant.inherited, grant.source, grant.roles, grant.node_id, here, unknown, bool(rules.root))


def _named(roles: tuple[str, ...]) -> str:
    if len(roles) == 1:
        return f"the role {roles[0]} is"
    return f"the roles {', '.join(roles)} are"
