"""What administrators are told of rights agrees with what is decided."""

from __future__ import annotations

import random
from typing import Any

from role_chains import chain_of, rules_of
from role_worlds import NAMES, World, counts, random_world
from twisted.trial.unittest import TestCase

from fluxon.cloud.explaining import explanation, holders
from fluxon.cloud.permissions import Permissions
from fluxon.cloud.policy import Actor, Node, Rules, effective

READ = Permissions.READ_FILE
NOW = 1_700_000_000


class TestExplanation(TestCase):
    def test_of_a_role_above(self) -> None:
        """The sentence has who, where, why, and where the role is assigned."""
        rules = Rules({"viewer": frozenset({READ})})
        grant = effective(rules, Actor(7), [Node(3, False), Node(2, False, roles=("viewer",)), Node(1, True, True)])
        told = explanation("/a/b", "jane", grant, {1: "/", 2: "/a", 3: "/a/b"}, READ)
        self.assertEqual((told.permission, told.allowed, told.permissions), ("READ_FILE", True, ("READ_FILE",)))
        self.assertEqual((told.roles, told.found_at), (("viewer",), "/a"))
        self.assertEqual(
            str(told), "jane at /a/b: READ_FILE is granted: the role viewer is assigned at a directory above (/a)"
        )

    def test_without_a_permission(self) -> None:
        """Asked for nothing in particular it tells of all."""
        grant = effective(Rules({}), Actor(7), [Node(1, True, True)])
        told = explanation("/", "jane", grant, {1: "/"}, None)
        self.assertEqual((told.permission, told.allowed, told.permissions, told.roles), (None, None, (), ()))
        self.assertEqual(
            str(told), "jane at /: no role is assigned here, Admin made this item, so there is no DefaultRole"
        )


class TestHolders(TestCase):
    def test_agrees_with_what_is_decided(self) -> None:
        """Of 3,000 random questions, who has a permission is exactly who would be allowed."""
        chance = random.Random(5)
        told = 0
        while told < 3_000:
            world = random_world(chance, NOW)
            rules = rules_of(world)
            for item in world.parents:
                asked = chance.choice(NAMES)
                found = self.holders(world, rules, item, asked)
                for user in (1, 2, 3):
                    named = f"u{user}"
                    have = named in found.users or (named not in found.but_not and found.every_other_user)
                    self.assertEqual(have, world.may(user, item, asked, NOW), (world, user, item, asked))
                    told += 1
                self.assertEqual(found.every_other_user, world.may(99, item, asked, NOW))
                self.assertEqual(found.strangers, world.may("stranger", item, asked, NOW))
                self.assertEqual(set(found.users) & set(found.but_not), set())

    def holders(self, world: World, rules: Rules, item: int, asked: str) -> Any:
        assigned: dict[int, dict[int, tuple[str, ...]]] = {}
        for each in world.assigned:
            if counts(each, NOW):
                roles = assigned.setdefault(each.user, {})
                roles[each.item] = (*roles.get(each.item, ()), each.role)
        names = {user: f"u{user}" for user in (1, 2, 3)}
        chain = chain_of(world, 99, item, NOW)
        return holders(rules, "/", chain, assigned, names, Permissions[asked])
