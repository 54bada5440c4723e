"""An example of ``docs/examples`` as a reader has it: its folder, copied out of the tree, and commands typed there.

Rules kept here: every command is a child process; only ports are changed, to ones that are free.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from children import Child
from pages import ROOT
from terminal import Terminal
from twisted.trial.unittest import SynchronousTestCase

#: What is another each time: the ports of an example's programs, and when something was done.
_OF_THIS_TIME = re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=localhost:)\d+|\b\d{4}-\d\d-\d\d \d\d:\d\d\b")


class Example:
    """``docs/examples/NAME``, alone in the test's folder."""

    def __init__(self, case: SynchronousTestCase, name: str) -> None:
        self.case = case
        #: Where the folder ``docs`` is, as in the source.
        self.top = Path.cwd()
        self.folder = self.top / "docs" / "examples" / name
        ignored = shutil.ignore_patterns("__pycache__", "data")
        shutil.copytree(ROOT / "docs" / "examples" / name, self.folder, ignore=ignored)
        self._terminal = Terminal(case, self.top)
        #: Of the commands that ``run`` waits for.
        self.environment = self._terminal.environment

    def run(self, line: str, folder: Path | None = None) -> list[str]:
        """Type a command, and wait for its end, which has to be a good one; the lines that it printed."""
        done = self._done(line, folder or self.top)
        self.case.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def test(self, line: str) -> None:
        """Type the command of the example's own tests."""
        done = self._done(line, self.folder)
        self.case.assertRegex(done.stderr, r"Ran [1-9]\d* tests? in .*\n\nOK\n$")

    def _done(self, line: str, folder: Path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self._terminal.words(line),
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        self.case.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def words(self, line: str) -> list[str]:
        """A command as it is really run."""
        return self._terminal.words(line)

    def start(self, line: str, **environment: str) -> Child:
        """Type a command, in the example's folder, that goes on."""
        variables = [f"{name}={value}" for name, value in environment.items()]
        child = Child(line, ["env", *variables, *self._terminal.words(line)], self.folder)
        self.case.addCleanup(child.discard)
        return child

    def check_output(self, said: Sequence[str], shown: str) -> None:
        """What the README shows was said: every line, in that order, whatever stands between them."""
        rest = iter([_OF_THIS_TIME.sub("0", each) for each in said])
        for line in shown.splitlines():
            found = _OF_THIS_TIME.sub("0", line)
            self.case.assertTrue(any(found == each for each in rest), f"{line!r} is not in\n" + "\n".join(said))
