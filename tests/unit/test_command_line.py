"""``python -m fluxon``: what it answers, and with which exit code."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from fluxon import __version__
from fluxon.__main__ import COMMANDS, main


class CommandLineTests(SynchronousTestCase):
    def run_it(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and complaints."""
        output, complaints = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(complaints):
            code = main(list(arguments))
        return code, output.getvalue(), complaints.getvalue()

    def test_what_there_is(self) -> None:
        """Without arguments, or asked for help: the version and every command."""
        for arguments in ((), ("--help",), ("-h",)):
            self.assertEqual(self.run_it(*arguments), (0, f"fluxon {__version__}\n{COMMANDS}", ""), arguments)

    def test_the_version(self) -> None:
        """One line, for programs."""
        self.assertEqual(self.run_it("--version"), (0, f"fluxon {__version__}\n", ""))

    def test_anything_else(self) -> None:
        """Is named, beside what there is, on standard error."""
        code, output, complaints = self.run_it("startproject", "--help")
        self.assertEqual((code, output), (2, ""))
        self.assertIn("takes no 'startproject'", complaints)
        self.assertIn("python -m fluxon.startproject", complaints)

    def test_as_it_is_typed(self) -> None:
        """The exit code is the process's."""
        for arguments, code in (([], 0), (["nonsense"], 2)):
            done = subprocess.run(
                [sys.executable, "-m", "fluxon", *arguments], capture_output=True, text=True, timeout=60, check=False
            )
            self.assertEqual((done.returncode, "fluxon.connect" in done.stdout + done.stderr), (code, True))
