"""The policy against a naive second implementation: not one decision may differ."""

from __future__ import annotations

import random

from role_chains import chain_of, rules_of
from role_worlds import DAY, NAMES, ROOT, World, assign, random_assigned, random_world
from twisted.trial.unittest import TestCase

from fluxon.cloud.permissions import Permissions
from fluxon.cloud.policy import ADMIN, STRANGER, Actor, decide

DECISIONS = 100_000
#: Decisions in one world; it is changed after every tenth.
EACH = 100
SEED = 4


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
