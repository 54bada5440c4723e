"""The README, block by block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from children import Child
from pages import Page
from terminal import Terminal
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface

README = "README.md"
EMMA = {"username": "emma", "email": "emma@example.com", "password": "Secret123"}


@pytest.mark.slow
@pytest.mark.timeout(300)
class ReadmeTests(SynchronousTestCase):
    """From the first line to the last, in an empty folder."""

    def test_readme(self) -> None:
        """The chat of 25 lines; a project; one with files; an application around the first."""
        page = Page(self, README)
        files, fragments = page.files(), page.fragments()
        see, chat, project, service, cloud = page.commands()
        self.assertEqual(see, ["scripts/demo", "scripts/test"])
        self.chat(chat, files)
        self.project(project, service)
        shared, twice = fragments
        self.files(cloud, shared.text)
        self.twice(twice.text)
        self.application(files["everything.tac"])

    # --- the chat -----------------------------------------------------------------------------------------------------

    def chat(self, commands: list[str], files: dict[str, str]) -> None:
        lines = [
            line
            for name in ("chat_server.py", "chat_client.py")
            for line in files[name].splitlines()[1:]
            if line.strip()
        ]
        self.assertLessEqual(len(lines), 25)  # as the heading says
        self.assertLessEqual(max(map(len, lines)), 110)
        for name in ("chat_server.py", "chat_client.py"):
            Path(name).write_text(files[name])
        install, serve, join = commands
        terminal = Terminal(self)
        terminal.type(install)
        terminal.type(serve)
        emma, mike = terminal.start(join), terminal.start(join)
        emma.say("emma")
        mike.say("mike")
        # What was asked for stands before the answer, since nobody types a line's end here.
        self.write(emma, "mike", "hello")
        mike.expect(r"\[emma\] hello$")
        self.write(mike, "emma", "hi")
        emma.expect(r"\[mike\] hi$")
        emma.say("zoe hello")
        emma.expect("zoe is not there$")
        for each in (emma, mike):
            each.say("")
            self.assertEqual(each.end_of_input(), 0, each.transcript)
        terminal.stop_servers()

    def write(self, sender: Child, receiver: str, text: str) -> None:
        """Until the receiver has joined, which nobody tells the sender."""
        sender.say(f"{receiver} {text}")
        while not sender.expect("(sent|is not there)$").string.endswith("sent"):
            sender.say(f"{receiver} {text}")

    # --- projects -----------------------------------------------------------------------------------------------------

    def project(self, commands: list[str], service: list[str]) -> None:
        terminal = Terminal(self)
        said = {line: terminal.type(line, answers="exit\n") for line in commands}
        self.assertIn("Commands: create_user", said["python client.py"])
        terminal.stop_servers()
        (twistd,) = service
        terminal.type(twistd)
        trust = terminal.folder / "secrets" / "certificate.pem"
        with ConnectionInterface(port=int(terminal.ports["8080"]), secure=True, trust=trust, timeout=60) as connection:
            self.assertEqual(connection.send_request("create_user", EMMA), {"response": "signed up successfully"})
        self.assertIn("2222", terminal.ports)
        terminal.stop_servers()

    def files(self, commands: list[str], view: str) -> None:
        """The view stands in the project as the text shows it, but that it refuses in words of its own."""
        terminal = Terminal(self)
        *make, client = commands
        for line in make[:2]:
            terminal.type(line)
        views = terminal.folder / "views.py"
        kept, _, _ = views.read_text().partition("async def assign_user_as_viewer(")
        views.write_text(kept + view + "\n\n" + _SENT)
        terminal.type(make[2])
        said = terminal.type(client)
        self.assertIn("Mike: may not change it", said)
        terminal.stop_servers()

    # --- an application -----------------------------------------------------------------------------------------------

    def twice(self, fragment: str) -> None:
        views = Path("chat", "views.py")
        views.write_text(views.read_text() + fragment)

    def application(self, program: str) -> None:
        """The server is one of the application's services, and ends with it; and both views answer alike."""
        self.assertIn("port=8080", program)
        Path("everything.tac").write_text(program)
        terminal = Terminal(self)
        child = terminal.start("twistd -n --pidfile= -y everything.tac")
        port = int(child.expect(r"listening on tcp 127\.0\.0\.1:(\d+)").group(1))
        with ConnectionInterface(port=port, timeout=60) as connection:
            self.assertEqual(connection.send_request("whoami"), {"response": None})
            answers: list[Any] = [connection.send_request(view, "emma") for view in ("awaited", "plain")]
            self.assertEqual(answers, [[[1]], [[1]]])
        child.stop()
        self.assertTrue(any("Server Shut Down" in line for line in child.transcript), child.transcript)


_SENT = """
def _sent(request, *names):
    payload = request.payload if isinstance(request.payload, dict) else {}
    return [payload[name] if isinstance(payload.get(name), str) else "" for name in names]
"""
