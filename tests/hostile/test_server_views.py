"""Views that raise, hang, or return what cannot be sent: only their own request is harmed, while others go on."""

from __future__ import annotations

import time
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase


@pytest.mark.usefixtures("server")
class ViewCase(SynchronousTestCase):
    server: Any

    def visit(self) -> Any:
        visitor = self.server.visit().greet()
        self.addCleanup(visitor.socket.close)
        return visitor


class HarmTests(ViewCase):
    """One request each."""

    def test_beside_others(self) -> None:
        """Of requests sent at once, those beside the bad ones are answered; each bad one gets its own error."""
        expected = {
            "raise_plain": "Internal",
            "raise_async": "Internal",
            "leave": "Internal",
            "leave_plain": "Internal",
            "an_object": "Unserialisable",
            "deep": "Unserialisable",
            "circle": "Unserialisable",
        }
        visitor = self.visit()
        bad = {visitor.put_call(view): code for view, code in expected.items()}
        bad[visitor.put_call("make", 20 * 1024 * 1024)] = "Unserialisable"
        good = [visitor.put_call(view, number) for number, view in enumerate(("echo", "plain_echo") * 5)]
        visitor.flush()
        self.assertEqual([visitor.outcome(tag) for tag in good], list(range(10)))
        self.assertEqual({tag: visitor.code(tag) for tag in bad}, bad)
        self.assertEqual(self.server.result("echo", 1), 1)

    def test_nothing_is_told(self) -> None:
        """An exception's text stays in the server's log, under the incident that the client was told."""
        visitor = self.visit()
        for view in ("raise_plain", "raise_async"):
            error = visitor.result(view)
            self.assertNotIn("hunter2", repr((error.text, error.details)))
            self.assertIn(error.details["incident"], self.server.log)
            self.assertIn(view, self.server.log)
        self.assertIn("hunter2", self.server.log)


class HangTests(ViewCase):
    """Views that never come back. Fewer threads than usual, and short patience."""

    limits = {"view_timeout": 1.0, "view_threads": 8, "drain": 1.0}

    def test_async(self) -> None:
        """DeadlineExceeded in time, or sooner for one who asked for sooner; those that cannot be cancelled, too."""
        visitor = self.visit()
        tags = [visitor.put_call("hang"), visitor.put_call("hang_stubbornly"), visitor.put_call("hang", None, 0.2)]
        visitor.flush()
        self.assertEqual(visitor.code(tags[2]), "DeadlineExceeded")
        self.assertEqual([visitor.code(tag) for tag in tags[:2]], ["DeadlineExceeded"] * 2)
        self.assertEqual(visitor.result("echo", 1), 1)

    def test_threads(self) -> None:
        """Ten hung plain views of one session leave threads to another's, and answer DeadlineExceeded."""
        hung, other = self.visit(), self.visit()
        before = self.server.state()["working"]
        tags = [hung.put_call("hang_thread") for _ in range(10)]
        hung.flush()
        for number in range(20):
            self.assertEqual(other.result("plain_echo", number), number)
        self.assertEqual({hung.code(tag) for tag in tags}, {"DeadlineExceeded"})
        self.assertEqual(other.result("plain_echo", "after"), "after")
        # The threads are still held, so the session's next plain view has none; its async views do not care.
        self.assertEqual(hung.code(hung.call("plain_echo", 1)), "DeadlineExceeded")
        self.assertEqual(hung.result("echo", 1), 1)
        hung.result("release")
        self.assertEqual(hung.result("plain_echo", 2), 2)
        self.assertLessEqual(self.server.until(lambda state: state["working"] <= before)["working"], before)

    def test_reactor_is_free(self) -> None:
        """While plain views sleep, the reactor answers at once: no request waits as long as one of them sleeps."""
        sleeper, other = self.visit(), self.visit()
        tags = [sleeper.put_call("sleep", 0.9) for _ in range(2)]  # as many as have threads
        sleeper.flush()
        slowest = 0.0
        while len(sleeper.outcomes) < 3:
            began = time.monotonic()
            self.assertEqual(other.result("echo", 1), 1)
            slowest = max(slowest, time.monotonic() - began)
            sleeper.socket.settimeout(0.01)
            try:
                sleeper.read()
            except TimeoutError:
                pass
        self.assertLess(slowest, 0.85)
        self.assertEqual([sleeper.outcomes[tag] for tag in tags], [None] * 2)

    def test_place_until_it_ends(self) -> None:
        """What goes on after its deadline counts against its connection: the cap cannot be passed by timeouts."""
        visitor = self.visit()
        tags = [visitor.put_call("hang_stubbornly", None, 0.1) for _ in range(128)]
        visitor.flush()
        self.assertEqual({visitor.code(tag) for tag in tags}, {"DeadlineExceeded"})
        self.assertEqual(visitor.code(visitor.call("echo", 1)), "ResourceExhausted")
        self.assertEqual(self.visit().result("echo", 1), 1)


class CrowdTests(ViewCase):
    """The server as it is by default, with users."""

    users = ("ann",)

    def test_ten_hung(self) -> None:
        """Ten sessions with a plain view each that does not return: others' views and logins do not notice."""
        hung = [self.visit() for _ in range(10)]
        tags = [visitor.call("hang_thread") for visitor in hung]
        other = self.visit()
        times = []
        for number in range(50):
            for view in ("plain_echo", "echo"):
                began = time.monotonic()
                self.assertEqual(other.result(view, number), number)
                times.append(time.monotonic() - began)
        self.assertIsNone(other.result("login", {"username": "ann", "password": "ann"}))
        self.assertEqual(other.result("who"), "ann")
        self.assertLess(sorted(times)[len(times) // 2], 0.25)
        other.result("release")
        outcomes = [visitor.outcome(tag) for visitor, tag in zip(hung, tags, strict=True)]
        self.assertEqual(outcomes, ["released"] * 10)
