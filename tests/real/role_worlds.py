"""Random clouds of items, users and roles, and a second, naive answer to who may do what in them.

``World.may`` shares nothing with ``fluxon.cloud``: it works on names and numbers, computes every item of the tree from
the top downwards, and counts seconds of the day. Tests compare it with the engine's answers, which come from below.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

NAMES = [
    "CREATE_FILE",
    "READ_FILE",
    "WRITE_FILE",
    "DELETE_FILE",
    "CREATE_SUB_DIRECTORY",
    "DELETE_SUB_DIRECTORY",
    "READ_TREE_DIRECTORY",
    "ASSIGN_ROLES",
    "READ_METADATA",
    "MOVE",
]
ROOT = 1
DAY = 86_400


@dataclass
class Assigned:
    item: int
    user: int
    role: str
    expires: int | None = None  # seconds since the epoch
    begin: int | None = None  # seconds of the day
    end: int | None = None


@dataclass
class World:
    """``creators`` has None for what Admin made, and the number of a user who may be gone."""

    parents: dict[int, int | None] = field(default_factory=dict)
    creators: dict[int, int | None] = field(default_factory=dict)
    users: set[int] = field(default_factory=set)
    assigned: list[Assigned] = field(default_factory=list)
    roles: dict[str, set[str]] = field(default_factory=dict)
    default: str | None = None
    anonymous: set[str] = field(default_factory=set)
    root: set[str] = field(default_factory=set)

    def may(self, who: int | str, item: int, name: str, now: int) -> bool:
        """``who`` is a user's number, "admin" or "stranger"."""
        if who == "admin":
            return True
        if who == "stranger":
            return name in self.anonymous
        assert isinstance(who, int)
        granted = self._table(who, now)[item]
        return name in granted or (item == ROOT and name in self.root)

    def _table(self, user: int, now: int) -> dict[int, set[str]]:
        table: dict[int, set[str]] = {}
        default = set() if self.default is None else self.roles[self.default]
        waiting = [ROOT]
        while waiting:
            item = waiting.pop()
            own = [each.role for each in self.assigned if (each.item, each.user) == (item, user) and counts(each, now)]
            parent = self.parents[item]
            if own:
                table[item] = {name for role in own for name in self.roles.get(role, ())}
            elif self.creators[item] not in self.users or parent is None:
                table[item] = default
            else:
                table[item] = table[parent]
            waiting += [child for child, above in self.parents.items() if above == item]
        return table

    def below(self, item: int) -> set[int]:
        """``item`` and everything in it."""
        found = {item}
        while more := {child for child, above in self.parents.items() if above in found} - found:
            found |= more
        return found


def counts(assigned: Assigned, now: int) -> bool:
    if assigned.expires is not None and assigned.expires <= now:
        return False
    if assigned.begin is None and assigned.end is None:
        return True
    begin, end = assigned.begin or 0, assigned.end or 0
    # From begin to end, forwards around the clock; open ends are midnight.
    length = (end - begin) % DAY or DAY
    return (now % DAY - begin) % DAY < length


def random_world(chance: random.Random, now: int, items: int = 16) -> World:
    """Some users, roles (one of which the model lost), items at any depth and assignments at some of them."""
    roles = {f"role{number}": set(chance.sample(NAMES, chance.randrange(len(NAMES)))) for number in range(4)}
    world = World(users={1, 2, 3}, roles=roles)
    world.default = chance.choice([None, *roles])
    world.anonymous = set(chance.sample(NAMES, chance.choice([0, 0, 2])))
    world.root = set(chance.sample(NAMES, chance.choice([0, 1, 3])))
    world.parents[ROOT], world.creators[ROOT] = None, None
    for item in range(ROOT + 1, ROOT + items):
        world.parents[item] = chance.choice(list(world.parents)[-6:])
        world.creators[item] = chance.choice([None, 1, 1, 2, 2, 3, 3])
    for _ in range(chance.randrange(2 * items)):
        assign(world, random_assigned(chance, world, now))
    return world


def random_assigned(chance: random.Random, world: World, now: int) -> Assigned:
    made = Assigned(chance.choice(list(world.parents)), chance.choice([1, 2, 3]), chance.choice([*world.roles, "lost"]))
    kind = chance.randrange(6)
    if kind == 0:
        made.expires = now + chance.choice([-DAY, -1, 0, 1, DAY])
    elif kind == 1:
        made.begin, made.end = chance.sample([0, 1, 3600, 43_200, 80_000, DAY - 1, now % DAY, (now + 1) % DAY], 2)
        if made.begin == made.end:
            made.end = None
    elif kind == 2:
        made.begin = chance.randrange(DAY)
    elif kind == 3:
        made.end = chance.randrange(1, DAY)
    return made


def assign(world: World, assigned: Assigned) -> None:
    """A second assignment of one role to one user at one item replaces the first."""
    unassign(world, assigned.item, assigned.user, assigned.role)
    world.assigned.append(assigned)


def unassign(world: World, item: int, user: int, role: str) -> None:
    world.assigned = [each for each in world.assigned if (each.item, each.user, each.role) != (item, user, role)]
