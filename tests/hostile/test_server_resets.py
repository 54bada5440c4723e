"""Asks that are given up at once, as fast as they can be sent: what that makes the server do is bounded.

What HTTP/2 servers call rapid reset: no answer is waited for, so neither is the cap on requests in flight.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from fluxon.wire.messages import write_ask, write_cancel

MIB = 1024 * 1024
STORM = 20_000


@pytest.mark.usefixtures("server")
class ResetTests(SynchronousTestCase):
    """One connection, 20,000 asks each with its Cancel behind it; nothing is read meanwhile but what must be."""

    users = ("ann",)
    server: Any

    def storm(self, view: str, payload: Any = None) -> dict[str, int]:
        """What the server had begun and ended, each time more; at the end nothing is under way."""
        before, counted = self.server.state(collect=True), self.server.result("counted")
        with self.server.visit() as visitor:
            visitor.greet()
            most = {"resident": 0, "working": 0, "answering": 0, "backlog": 0}
            for start in range(0, STORM, 500):
                visitor.send(
                    b"".join(
                        write_ask(tag, "call", {"view": view, "payload": payload}, None, {}) + write_cancel(tag)
                        for tag in range(start, start + 500)
                    )
                )
                heard = 0
                visitor.socket.settimeout(0.01)
                try:
                    while heard < 4 * MIB and (data := visitor.socket.recv(262_144)):
                        heard += len(data)
                except TimeoutError:
                    pass
                state = self.server.state()
                most = {key: max(each, state[key]) for key, each in most.items()}
        self.assertLess(most["resident"] - before["resident"], 16 * MIB)
        self.assertLessEqual(max(most["working"], most["answering"]), 128 + 1)
        after = self.server.until(lambda state: state["working"] == 0 and state["peers"] == 1)
        self.assertEqual((after["working"], after["peers"]), (0, 1))
        self.assertLessEqual(after["timers"], before["timers"] + 2)
        now = self.server.result("counted")
        return {key: now[key] - counted[key] for key in now}

    def test_views_that_wait(self) -> None:
        """Each is begun and ended by its Cancel; none is left."""
        counted = self.storm("count")
        self.assertEqual(counted["ended"], 0)
        self.assertLessEqual(counted["begun"], STORM)

    def test_views_that_ask_the_database(self) -> None:
        """What they asked is not read for nobody, and others' questions are answered all the same."""
        self.storm("count", "database")
        self.assertEqual(self.server.result("who"), None)

    def test_plain_views(self) -> None:
        """A thread that works cannot be stopped, so its place stays taken: few of them ever begin."""
        counted = self.storm("count_plain")
        self.assertEqual(counted["begun"], counted["ended"])
        self.assertLess(counted["begun"], STORM)

    def test_logins(self) -> None:
        """Passwords are hashed for nobody who has left, and no more of them than the throttle lets begin."""
        self.storm("login", {"username": "ann", "password": "guess"})
        with self.server.visit() as visitor:
            visitor.greet()
            # It counted what was tried: the storm was a storm of tries. Where its end took long, the wait for the next
            # try may be over; the try after that has to wait longer.
            tries = [visitor.result("login", {"username": "ann", "password": "guess"}) for _ in range(3)]
            refused = [each for each in tries if getattr(each, "code", "") == "ResourceExhausted"]
            self.assertGreaterEqual(len(refused), 2)
            self.assertGreaterEqual(refused[0].details["retry_after"], 1)
