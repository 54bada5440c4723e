"""The policy against a naive second implementation: not one decision may differ."""

from __future__ import annotations

import random
from datetime import UTC, datetime, time

from role_worlds import DAY, NAMES, ROOT, World, assign, random_assigned, random_world
from twisted.trial.unittest import TestCase

from fluxon.cloud.constraints import Constraint
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.policy import ADMIN, STRANGER, Actor, Node, Rules, decide

DECISIONS = 100_000
#: Decisions in one world; it is changed after every tenth.
EACH = 100
SEED = 4


def rules_of(world: World) -> Rules:
    def named(names: set[str]) -> frozenset[Permissions]:
        return frozenset(Permissions[name] for name in names)

    roles = {role: named(names) for role, names in world.roles.items()}
    return Rules(roles, world.default, named(world.anonymous), named(world.root))


def chain_of(world: World, user: object, item: int, now: int) -> list[Node]:
    moment = datetime.fromtimestamp(now, UTC)
    chain = []
    place: int | None = item
    while place is not None:
        roles = tuple(
            each.role
            for each in world.assigned
            if each.item == place
            and each.user == user
            and Constraint(_moment(each.expires), _time(each.begin), _time(each.end)).is_active(moment)
        )
        chain.append(Node(place, world.creators[place] not in world.users, place == ROOT, roles))
        place = world.parents[place]
    return chain


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _time(seconds: int | None) -> time | None:
    return None if seconds is None else time(seconds // 3600, seconds // 60 % 60, seconds % 60)


def change(chance: random.Random, world: World, now: int) -> None:
    """Something happens: an assignment, its end, a move, or a user leaves."""
    kind = chance.randrange(8)
    if kind < 3:
        assign(world, random_assigned(chance, world, now))
    elif kind < 5 and world.assigned:
        world.assigned.remove(chance.choice(world.assigned))
    elif kind < 7:
        item = chance.choice([each for each in world.parents if each != ROOT])
        world.parents[item] = chance.choice([each for each in world.parents if each not in world.below(item)])
    else:
        world.users.discard(chance.choice([1, 2, 3]))


class TestSecondImplementation(TestCase):
    def test_decisions_are_equal(self) -> None:
        """100,000 random questions, over trees, models and assignments that change: the same answer to each."""
        chance = random.Random(SEED)
        asked = allowed = 0
        different = []
        while asked < DECISIONS:
            now = 1_700_000_000 + chance.randrange(3 * DAY)
            world = random_world(chance, now)
            rules = rules_of(world)
            for number in range(EACH):
                if number % 10 == 9:
                    change(chance, world, now)
                who = chance.choice(["admin", "stranger", 1, 1, 2, 2, 3, 3])
                # Mostly about what hangs deepest, where there is most to get wrong.
                item = chance.choice(list(world.parents)[-10:])
                item = chance.choice([item, item, item, ROOT])
                actor = {"admin": ADMIN, "stranger": STRANGER}.get(str(who)) or Actor(who)
                name = chance.choice(NAMES)
                answer = decide(rules, actor, chain_of(world, who, item, now), Permissions[name]).allowed
                if answer != world.may(who, item, name, now):
                    different.append((world, who, item, name, now))
                asked += 1
                allowed += answer
        self.assertEqual(asked, DECISIONS)
        self.assertEqual(different, [])
        # Were nearly all answers the same, equal ones would say little.
        self.assertGreater(allowed, DECISIONS // 5)
        self.assertGreater(asked - allowed, DECISIONS // 5)
