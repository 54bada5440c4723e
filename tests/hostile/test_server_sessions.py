"""Tokens that were planted, copied, replayed or made up, and what a login gives away, at a server of its own."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

HELLO = {"version": 1, "seen": 0, "features": []}


class SessionCase(SynchronousTestCase):
    users = ("ann", "bob")
    limits = {"session_freshness": 0.01}
    server: Any

    def visit(self, token: str | None = None) -> Any:
        """A connection that has presented ``token``; ``welcome`` is what it was answered."""
        visitor = self.server.visit()
        self.addCleanup(visitor.socket.close)
        self.present(visitor, token)
        return visitor

    def present(self, visitor: Any, token: str | None) -> None:
        visitor.welcome = visitor.outcome(visitor.ask_command("hello", {**HELLO, "token": token}))

    def log_in(self, visitor: Any, name: str = "ann") -> str:
        """Log ``name`` in; the token that the connection has then."""
        asked = visitor.call("login", {"username": name, "password": name})
        changed: list[str] = []
        while asked not in visitor.outcomes:
            self.assertTrue(visitor.read(changed))
        self.assertIsNone(visitor.outcomes[asked])
        return changed[-1]

    def assert_stranger(self, visitor: Any) -> None:
        self.assertIsNone(visitor.result("who"))


@pytest.mark.usefixtures("server")
class TokenTests(SessionCase):
    """What a token is worth, and to whom."""

    def test_fixation(self) -> None:
        """Who plants the token of a session has nothing of the login on it: neither by it nor on their connection."""
        attacker = self.visit()
        planted = attacker.welcome["token"]
        victim = self.visit(planted)
        self.assertEqual(victim.welcome["session"], attacker.welcome["session"])
        token = self.log_in(victim)
        self.assertEqual(victim.result("who"), "ann")
        self.assertNotEqual(token, planted)
        self.assert_stranger(attacker)
        late = self.visit(planted)
        self.assertEqual((late.welcome["fresh"], late.welcome["authenticated"]), (True, False))
        self.assert_stranger(late)

    def test_replayed_after_logout(self) -> None:
        """A token that was copied while it held is worth nothing after the logout, on new connections and old."""
        victim = self.visit()
        token = self.log_in(victim)
        thief = self.visit(token)
        self.assertEqual(thief.result("who"), "ann")  # a token is who has it; TLS keeps it from others
        victim.result("logout")
        self.assert_stranger(thief)
        self.assertTrue(self.visit(token).welcome["fresh"])

    def test_replayed_after_the_next_login(self) -> None:
        """Nor after its connection has logged in again, as the same or as another."""
        victim = self.visit()
        tokens = [self.log_in(victim), self.log_in(victim), self.log_in(victim, "bob")]
        for token in tokens[:2]:
            self.assert_stranger(self.visit(token))
        self.assertEqual(self.visit(tokens[2]).result("who"), "bob")

    def test_replayed_after_a_new_password(self) -> None:
        """A new password throws everybody out who came by the old one."""
        victim = self.visit()
        token = self.log_in(victim, "bob")
        thief = self.visit(token)
        self.assertEqual(thief.result("who"), "bob")
        victim.result("change_password", "bob")
        self.assert_stranger(thief)
        self.assert_stranger(self.visit(token))

    def test_replayed_bytes(self) -> None:
        """A recorded conversation that is sent again does again what a stranger may, and nothing as its user."""
        recorded: list[bytes] = []
        victim = self.server.visit()
        self.addCleanup(victim.socket.close)
        send, victim.send = victim.send, lambda data: recorded.append(data) or send(data)
        self.present(victim, None)
        self.log_in(victim)
        victim.result("logout")
        self.assertEqual(len([each for each in recorded if b"login" in each]), 1)
        replayed = self.server.visit()
        self.addCleanup(replayed.socket.close)
        without_login = [each for each in recorded if b"login" not in each]
        replayed.send(b"".join(without_login))
        replayed.conversation._next_tag = 1_000
        self.assert_stranger(replayed)

    def test_forged(self) -> None:
        """One byte changed anywhere, parts of two tokens, another server's: each a stranger like any other."""
        token = self.log_in(self.visit())
        other = self.visit().welcome["token"]
        forged = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(len(token))]
        forged += [".".join((*token.split(".")[:3], other.split(".")[3])), token + ".", token.upper(), f" {token}"]
        visitor = self.visit()
        for each in forged:
            self.present(visitor, each)
            self.assertEqual((visitor.welcome["fresh"], visitor.welcome["authenticated"]), (True, False), each)
            self.assert_stranger(visitor)
        self.present(visitor, token)
        self.assertEqual(visitor.result("who"), "ann")


@pytest.mark.usefixtures("server")
class LoginTests(SessionCase):
    """What the answer to a wrong login tells."""

    limits: dict[str, Any] = {}

    def test_unknown_users(self) -> None:
        """The same words, and about the same time, for a user who is not there and one whose password is wrong."""
        visitor = self.visit()
        times: dict[str, list[float]] = {"ann": [], "nobody": []}
        said = set()
        # As many as the throttle leaves to each; by turns, so that what else the machine does meets both.
        for _ in range(5):
            for name, each in times.items():
                began = time.perf_counter()
                error = visitor.result("login", {"username": name, "password": "guess"})
                each.append(time.perf_counter() - began)
                said.add((error.code, error.text, tuple(error.details)))
        self.assertEqual(len(said), 1)
        # A hash that is not made would show as a thirtieth of the time, whatever else the machine does.
        known, unknown = median(times["ann"]), median(times["nobody"])
        self.assertLess(max(known, unknown) / min(known, unknown), 5)

    def test_guessing_is_throttled_alike(self) -> None:
        """The sixth try is refused before anything is hashed, for both alike."""
        visitor = self.visit()
        for name in ("bob", "nobody else"):
            codes = [visitor.result("login", {"username": name, "password": "guess"}).code for _ in range(6)]
            self.assertEqual(codes, ["PermissionDenied"] * 5 + ["ResourceExhausted"], name)
