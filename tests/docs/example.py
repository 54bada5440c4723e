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

#: The ports of an example's programs are other ones each time.
_NUMBERS = re.compile(r"\b(127\.0\.0\.1|localhost):\d+")


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

    def run(self, line: str, folder: Path | None = None) -> list[str]:
        """Type a command, and wait for its end, which has to be a good one; the lines that it printed."""
        done = subprocess.run(
            self._terminal.words(line),
            cwd=folder or self.top,
            env=self._terminal.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        self.case.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.case.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def start(self, line: str, **environment: str) -> Child:
        """Type a command, in the example's folder, that goes on."""
        variables = [f"{name}={value}" for name, value in environment.items()]
        child = Child(line, ["env", *variables, *self._terminal.words(line)], self.folder)
        self.case.addCleanup(child.discard)
        return child

    def check_output(self, said: Sequence[str], shown: str) -> None:
        """What the README shows was said: every line, in that order, whatever stands between them."""
        rest = iter([_NUMBERS.sub(r"\1:0", each) for each in said])
        for line in shown.splitlines():
            found = _NUMBERS.sub(r"\1:0", line)
            self.case.assertTrue(any(found == each for each in rest), f"{line!r} is not in\n" + "\n".join(said))
