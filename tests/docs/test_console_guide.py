"""The guide of the console: its table of commands as it is, its sessions as they go."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect
import pytest
from pages import ROOT, Page, blocks_of
from terminal import ENVIRONMENT, Terminal
from twisted.trial.unittest import SynchronousTestCase

from fluxon.console.table import COMMANDS
from fluxon.startproject import generate

GUIDE = "docs/console.rst"


class CommandsTests(SynchronousTestCase):
    """The section "The commands"."""

    def test_every_command_is_shown(self) -> None:
        """In the table's order, as it is written, with the same words."""
        section = (ROOT / GUIDE).read_text("utf-8").partition("The commands\n====")[2].partition("\n\n\n")[0]
        shown = re.findall(r"^``(.+)``\n    (.+)$", section, re.MULTILINE)
        self.assertEqual(shown, [(each.usage, each.help) for each in COMMANDS])


@pytest.mark.slow
@pytest.mark.timeout(300)
class SessionsTests(SynchronousTestCase):
    """A project's server, and OpenSSH as its operator has it."""

    def test_guide(self) -> None:
        """What is typed over SSH, and what is seen on the terminal."""
        page = Page(self, GUIDE)
        generate("AsyncServer", "chat")
        folder = Path("chat").absolute()
        router = folder / "router.py"
        router.write_text(router.read_text().replace("setup = Setup(", "setup = Setup(\n    console_python=True,"))
        self.over_ssh(folder, page.commands())
        start, own, python = page.shown()
        self.on_the_terminal(folder, start, python)
        self.own_commands(own)

    def over_ssh(self, folder: Path, commands: list[list[str]]) -> None:
        """With a home of its own, so that the operator's keys are not ours."""
        home = Path("home").absolute()
        (home / ".ssh").mkdir(parents=True)
        terminal = Terminal(self, folder)
        terminal.type(f"ssh-keygen -q -t ed25519 -f {home}/.ssh/id_ed25519 -N ''")
        ssh = home / "bin" / "ssh"
        ssh.parent.mkdir()
        options = f"-F none -i {home}/.ssh/id_ed25519 -o StrictHostKeyChecking=no -o UserKnownHostsFile={home}/known"
        ssh.write_text(f'#!/bin/sh\nexec /usr/bin/env -u SSH_AUTH_SOCK ssh {options} -o LogLevel=ERROR "$@"\n')
        ssh.chmod(0o700)
        terminal.environment["HOME"] = str(home)
        (folder / "evening.txt").write_text("# what is looked at in the evening\nstatus\nconnections\n")
        said = {}
        for line in (each for block in commands for each in block):
            said[line] = terminal.type(re.sub(r"^ssh ", f"{ssh} ", line))
        self.assertIn('"connections"', said["ssh -p 2222 localhost status --json"])
        terminal.stop_servers()

    def server(self, folder: Path) -> pexpect.spawn:
        """``server.py`` of a folder, in a terminal of its own."""
        child = pexpect.spawn(
            sys.executable,
            ["server.py"],
            cwd=folder,
            env={**ENVIRONMENT, "TERM": "xterm"},
            timeout=60,
            encoding="utf-8",
        )
        self.addCleanup(child.close, force=True)
        return child

    def own_commands(self, shown: str) -> None:
        """The program that declares some, as a server; its operator sees what the page shows."""
        (program,) = [each.text for each in blocks_of(ROOT / GUIDE) if "console_commands=" in each.text]
        declared = program.partition("with MemoryServer")[0]
        folder = Path("own").absolute()
        folder.mkdir()
        text = f"{declared}\nfrom fluxon.endpoint import AsyncServer, run_server\n"
        begun = 'async def begin(server):\n    await User.Insert(username="mike")\n'
        made = (
            text + begun + "import attrs\nrun_server(AsyncServer(port=0, setup=attrs.evolve(setup, on_start=begin)))\n"
        )
        (folder / "server.py").write_text(made)
        child = self.server(folder)
        child.expect_exact("fluxon> ")
        for line in shown.splitlines():
            if line.startswith("fluxon> "):
                child.send(line.removeprefix("fluxon> ") + "\r")
            else:
                child.expect_exact(line)
        child.send("terminate\r")
        child.expect(pexpect.EOF)

    def on_the_terminal(self, folder: Path, start: str, python: str) -> None:
        server = folder / "server.py"
        server.write_text(server.read_text().replace("port=8080", "port=0"))
        child = self.server(folder)
        _, hint, prompt = start.splitlines()
        child.expect("listening on tcp")
        child.expect_exact(hint)
        child.expect_exact(prompt.strip())
        typed, names, asked, answer, leave = python.splitlines()
        child.send(typed.removeprefix("fluxon> ") + "\r")
        child.expect_exact(names.split(":")[0])
        child.expect_exact(">>> ")
        child.send(asked.removeprefix(">>> ") + "\r")
        # Nobody has signed up here; the text has three users.
        self.assertTrue(answer.isdigit())
        child.expect(r"0\r\n")
        child.send(leave.removeprefix(">>> ") + "\r")
        child.expect_exact(prompt.strip())
        child.send("terminate\r")
        child.expect(pexpect.EOF)
        self.assertEqual(os.waitstatus_to_exitcode(child.wait()) if child.status else 0, 0)
