"""The first minutes, as the page tells them: an empty folder, a wheel, and what somebody types into three terminals."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import installed
import pexpect
import pytest
from pages import Page
from twisted.trial.unittest import SynchronousTestCase

PAGE = "docs/first_minutes.rst"

#: What the page promises.
MOST_COMMANDS, MOST_LINES, MOST_SECONDS = 5, 10, 180

_TYPED = re.compile(r"create_user |send ")
#: What only appears when somebody else has written.
_HEARD = re.compile(r"\[\w+\] ")


@pytest.mark.slow
@pytest.mark.timeout(400)
class FirstMinutesTests(SynchronousTestCase):
    """Pseudo-terminals for all of it. Libraries are lent instead of fetched, and the port is one that is free."""

    wheel: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(tempfile.mkdtemp(prefix="fluxon-first-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.wheel = installed.build(folder).wheel

    def setUp(self) -> None:
        self.typed: list[str] = []
        # The wheel, where pip would fetch it from an index.
        self.environment = {**installed.environment(), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheel.parent)}

    def type(self, line: str) -> Any:
        """A command, in a terminal of its own that it ends with."""
        self.typed.append(line)
        terminal = pexpect.spawn(
            "/bin/sh", ["-c", f"exec {line}"], env=self.environment, encoding="utf-8", timeout=100, dimensions=(24, 200)
        )
        self.addCleanup(terminal.close, True)
        return terminal

    def run_to_its_end(self, line: str) -> None:
        terminal = self.type(line)
        terminal.expect(pexpect.EOF)
        terminal.close()
        self.assertEqual(terminal.exitstatus, 0, terminal.before)

    def session(self, terminal: Any, lines: list[str]) -> Iterator[None]:
        """What one person types and sees. Before each line that somebody else must write first, others have a turn."""
        for line in lines:
            if _HEARD.match(line):
                yield
            if _TYPED.match(line):
                self.typed.append(line)
                terminal.sendline(line)
                terminal.expect_exact(f"{line}\r\n")  # as the terminal shows it
            else:
                terminal.expect_exact(f"{line}\r\n")

    def test_the_page(self) -> None:
        """Each client sees the other's message; no more commands, lines and seconds than the page says."""
        self.assertEqual(os.listdir(), [])
        page = Page(self, PAGE)
        ((make, install, generate, serve, join),) = page.commands()
        emma_sees, mike_sees = (text.splitlines() for text in page.shown())
        began = time.monotonic()
        self.run_to_its_end(make)
        installed.lend_libraries(Path(".venv").absolute())
        self.run_to_its_end(install)
        self.run_to_its_end(generate)
        server_file, client_file = Path("chat/server.py"), Path("chat/client.py")
        server_file.write_text(server_file.read_text().replace("port=8080", "port=0"))
        server = self.type(serve)
        server.expect(r"listening on tcp 127\.0\.0\.1:(\d+)")
        client_file.write_text(client_file.read_text().replace("default=8080", f"default={server.match[1]}"))

        emma, mike = self.session(self.type(join), emma_sees), self.session(self.type(join), mike_sees)
        waiting = [emma, mike]
        while waiting:
            waiting = [each for each in waiting if next(each, self) is not self]

        took = time.monotonic() - began
        server.sendintr()
        server.expect(pexpect.EOF)
        commands = {line for line in self.typed if not _TYPED.match(line)}
        print(f"{len(commands)} commands, {len(self.typed)} typed lines, {took:.0f} seconds")
        self.assertLessEqual(len(commands), MOST_COMMANDS)
        self.assertLessEqual(len(self.typed), MOST_LINES)
        self.assertLess(took, MOST_SECONDS)
