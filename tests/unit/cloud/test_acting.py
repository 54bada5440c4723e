"""Who is meant and who acts: never guessed."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from twisted.trial.unittest import TestCase

from fluxon.cloud.acting import ABSENT, agent_of, named
from fluxon.cloud.agent import ADMIN
from fluxon.cloud.users import Named

Row = namedtuple("Row", "id username")
Mail = namedtuple("Mail", "id email")
Bare = namedtuple("Bare", "id")


class TestNamed(TestCase):
    def test_the_three_ways(self) -> None:
        """A row, a key, a name; and nobody, said expressly, is a stranger."""
        self.assertEqual(named(Row(3, "jane")), Named(3))
        self.assertEqual(named(user_id=3), Named(3))
        self.assertEqual(named(username="jane"), Named(name="jane"))
        self.assertIsNone(named(None))
        self.assertEqual(named(None, username="jane"), Named(name="jane"))

    def test_what_names_nobody(self) -> None:
        """Left out, named twice, or of a wrong type: the program is wrong, and is told at once."""
        wrong: list[tuple[Any, ...]] = [
            (),
            (ABSENT, None, None),
            (Row(3, "jane"), 3),
            (ABSENT, 3, "jane"),
            ("jane",),
            (7,),
            (ABSENT, None, 7),
        ]
        for given in wrong:
            self.assertRaises(TypeError, named, *given)
        self.assertIn("…", repr(ABSENT))


class TestAgent(TestCase):
    def test_only_what_is_left_out_is_the_administration(self) -> None:
        """``by=request.user`` of a stranger must not act as Admin."""
        self.assertIs(agent_of(), ADMIN)
        stranger = agent_of(None)
        self.assertTrue(stranger.actor.is_stranger)
        self.assertFalse(stranger.admin)

    def test_users(self) -> None:
        """The audit log gets the name that they log in by; the key where there is none."""
        for user, name in ((Row(3, "jane"), "jane"), (Mail(3, "jane@mail.com"), "jane@mail.com"), (Bare(3), "3")):
            agent = agent_of(user)
            self.assertEqual((agent.user_id, agent.name, agent.admin), (3, name, False))
        self.assertRaises(TypeError, agent_of, "jane")
