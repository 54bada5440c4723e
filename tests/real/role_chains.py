"""A ``role_worlds.World`` as the engine's policy sees it."""

from __future__ import annotations

from datetime import UTC, datetime, time

from role_worlds import ROOT, World

from fluxon.cloud.constraints import Constraint
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.policy import Node, Rules


def rules_of(world: World) -> Rules:
    def named(names: set[str]) -> frozenset[Permissions]:
        return frozenset(Permissions[name] for name in names)

    roles = {role: named(names) for role, names in world.roles.items()}
    return Rules(roles, world.default, named(world.anonymous), named(world.root))


def chain_of(world: World, user: object, item: int, now: int) -> list[Node]:
    at = datetime.fromtimestamp(now, UTC)
    chain = []
    place: int | None = item
    while place is not None:
        roles = tuple(
            each.role
            for each in world.assigned
            if each.item == place
            and each.user == user
            and Constraint(moment(each.expires), time_of_day(each.begin), time_of_day(each.end)).is_active(at)
        )
        chain.append(Node(place, world.creators[place] not in world.users, place == ROOT, roles))
        place = world.parents[place]
    return chain


def moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def time_of_day(seconds: int | None) -> time | None:
    return None if seconds is None else time(seconds // 3600, seconds // 60 % 60, seconds % 60)
