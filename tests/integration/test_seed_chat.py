"""The chat program that the project began with, typed in by the naming rule, as a user runs it: real processes.

``seed_chat`` holds it word for word: the views as they were written (plain ones beside one that awaits), the same with
no ``await`` at all, and the same with ``await`` everywhere.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from children import Child
from twisted.trial.unittest import SynchronousTestCase

PROGRAM = Path(__file__).with_name("seed_chat")
PASSWORD = "Emm@'s_password123"


class SeedChatTests(SynchronousTestCase):
    """One conversation, with each kind of views."""

    def start(self, name: str) -> Child:
        child = Child(name, [sys.executable, "-u", f"{name}.py"], Path("chat").absolute())
        self.addCleanup(child.discard)
        return child

    def program(self, views: str) -> Child:
        """The server, with these views."""
        folder = Path("chat")
        folder.mkdir()
        for name in ("models", "router", "server", "client"):
            shutil.copy(PROGRAM / f"{name}.py", folder / f"{name}.py")
        shutil.copy(PROGRAM / f"{views}.py", folder / "views.py")
        self._say_port("server", "0")
        server = self.start("server")
        server.expect("schema_00001")
        self._say_port("client", server.expect(r"listening on tcp 127\.0\.0\.1:(\d+)")[1])
        return server

    def _say_port(self, name: str, port: str) -> None:
        # The only word that a test has to change: 8080 may be taken on its machine.
        path = Path("chat", f"{name}.py")
        path.write_text(path.read_text().replace("port=8080", f"port={port}"))

    def ask(self, client: Child, *lines: str) -> str:
        for line in lines:
            client.say(line)
        # The prompts stand in the same line, before the answer.
        return client.expect(r"(?:\w+: )*(?:\w+: )(.*)")[1]

    def converse(self, views: str) -> None:
        server = self.program(views)
        emma, mike, zoe = self.start("client"), self.start("client"), self.start("client")
        signed_up = "{'response': 'signed up successfully'}"
        self.assertEqual(self.ask(emma, "create_user", "Emma", PASSWORD, "emma@example.com"), signed_up)
        self.assertEqual(self.ask(mike, "create_user", "Mike", PASSWORD, "mike@example.com"), signed_up)
        for name, password, email, why in (
            ("E!", PASSWORD, "zoe@example.com", "invalid username"),
            ("Zoe", PASSWORD, "zoe", "invalid email"),
            ("Zoe", "short", "zoe@example.com", "invalid password"),
            ("Emma", PASSWORD, "zoe@example.com", "username or email already exists"),
            ("Zoe", PASSWORD, "emma@example.com", "username or email already exists"),
        ):
            self.assertEqual(self.ask(zoe, "create_user", name, password, email), f"{{'response': '{why}'}}")

        self.assertEqual(self.ask(emma, "send_message", "hello Mike", "Mike"), "sent!")
        mike.expect(re.escape("[Emma] hello Mike"))
        self.assertEqual(self.ask(mike, "send_message", "hello Emma", "Emma"), "sent!")
        emma.expect(re.escape("[Mike] hello Emma"))
        self.assertEqual(self.ask(zoe, "send_message", "let me in", "Emma"), "login needed")
        self.assertEqual(self.ask(emma, "send_message", "is there anybody", "Nobody"), "None")

        self.assertEqual(self.ask(zoe, "login", "Mike", "Wr0ng_password"), "{'response': 'wrong username or password'}")
        self.assertEqual(self.ask(zoe, "send_message", "still me", "Emma"), "login needed")
        mike.say("exit")
        self.assertEqual(mike.end_of_input(), 0)
        self.assertEqual(self.ask(emma, "send_message", "gone?", "Mike"), "Mike is offline!")
        self.assertEqual(self.ask(zoe, "login", "Mike", PASSWORD), "{'response': 'logged in successfully'}")
        self.assertEqual(self.ask(emma, "send_message", "back again", "Mike"), "sent!")
        zoe.expect(re.escape("[Emma] back again"))
        self.assertEqual(server.stop(), 0)
        self.assertFalse([line for line in server.transcript if "Traceback" in line], server.transcript)

    def test_as_it_was_written(self) -> None:
        """Plain create_user and login, and a send_message that awaits."""
        self.converse("views_seed")

    def test_without_await(self) -> None:
        """Every view a plain ``def``: the same calls block in their threads."""
        self.converse("views_plain")

    def test_with_await(self) -> None:
        """Every view an ``async def``, with the login not awaited, as it was written."""
        self.converse("views_await")
