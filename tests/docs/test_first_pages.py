"""The first page and the guide of clients: their servers, and the programs that talk to them."""

from __future__ import annotations

import pytest
from pages import Page
from terminal import Terminal
from twisted.trial.unittest import SynchronousTestCase


@pytest.mark.slow
@pytest.mark.timeout(300)
class FirstPagesTests(SynchronousTestCase):
    def test_index(self) -> None:
        """Three commands, and what the last one prints."""
        page = Page(self, "docs/index.rst")
        page.write_files()
        (commands,), (shown,) = page.commands(), page.shown()
        terminal = Terminal(self)
        said = "".join(terminal.type(line) for line in commands)
        self.assertEqual(said, shown)
        terminal.stop_servers()

    def test_clients(self) -> None:
        """Each program runs to its end, and tells what the text says that it should."""
        page = Page(self, "docs/clients.rst")
        page.write_files()
        (shell,) = page.commands()
        terminal = Terminal(self)
        terminal.type("python clock_server.py")
        said = terminal.type("python waiting.py")
        for line in (
            "InvalidPayload - add takes a list of numbers",
            "DeadlineExceeded - ",
            "UnknownView - ",
            "guessed 5",
        ):
            self.assertIn(line, said)
        self.assertEqual(terminal.type("python starts_early.py"), "3\n")
        self.assertIn("[1, 2, 3, 4, 5]", terminal.type("python in_asyncio.py"))
        self.assertIn("guessed 10", terminal.type("python with_deferreds.py"))
        terminal.environment["XDG_CONFIG_HOME"] = str(terminal.folder / "config")
        self.assertEqual([terminal.type(line) for line in shell], ["6\n"])
        terminal.stop_servers()
