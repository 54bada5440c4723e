"""``twistd fluxon`` as an operator runs it: a child process in some other folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fluxon.startproject import generate

TWISTD = Path(sys.executable).with_name("twistd")


class WrongConfigurationTests(SynchronousTestCase):
    """Whatever is wrong with the command or with the project's file: said in one line, and a non-zero end."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fluxon-plugin-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def twistd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [TWISTD, "-n", "--pidfile=", "fluxon", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertNotIn("Traceback", done.stdout + done.stderr)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done

    def usage_error(self, *arguments: str) -> str:
        """The line that twistd prints below the usage of the command."""
        done = self.twistd(*arguments)
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()[-1]

    def broken(self, text: str, name: str = "router.py") -> str:
        """The one line about a file with ``text`` in it."""
        (self.folder / name).write_text(text)
        done = self.twistd("--config", name)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    def test_no_config(self) -> None:
        """The option that is missing is named."""
        self.assertIn("--config", self.usage_error())

    def test_no_such_file(self) -> None:
        """The path is shown in full: a relative one is usually right in another folder."""
        self.assertIn(str(self.folder / "ruoter.py"), self.usage_error("--config", "ruoter.py"))

    def test_a_folder(self) -> None:
        """The project's folder is not its router."""
        self.assertIn("--config", self.usage_error("--config", "."))

    def test_syntax_error(self) -> None:
        """File and line, as an editor wants them."""
        line = self.broken("import pathlib\nsetup = Setup(\n")
        self.assertIn("router.py", line)
        self.assertIn("2", line)

    def test_import_error(self) -> None:
        """The name that was not found, and the line that asked for it."""
        line = self.broken("import pathlib\nimport no_such_module_anywhere\n")
        self.assertIn("no_such_module_anywhere", line)
        self.assertIn("router.py", line)

    def test_an_exception(self) -> None:
        """Any other exception of the file itself: its kind, its text, its line."""
        line = self.broken("\n\nanswer = 1 / 0\n")
        self.assertIn("ZeroDivisionError", line)
        self.assertIn("3", line)

    def test_nothing_to_run(self) -> None:
        """A file of Python that is no router says what it lacks."""
        self.assertIn("setup", self.broken("answer = 42\n"))

    def test_setup_of_another_kind(self) -> None:
        """``setup`` has to be a Setup; anything else is said at once, not at the first request."""
        self.assertIn("setup", self.broken("setup = {'views': []}\n"))

    def test_port_that_is_no_endpoint(self) -> None:
        """A word that Twisted cannot listen on is refused before anything starts."""
        generate("AsyncServer", self.folder / "chat")
        for port in ("http", "tcp:eighty", "8080:9090", "99999"):
            with self.subTest(port):
                self.assertIn(port, self.usage_error("--config", "chat/router.py", "--port", port))
        self.assertEqual(os.listdir(self.folder / "chat/database_schema"), [])

    def test_manhole_that_is_no_endpoint(self) -> None:
        """The same for the console's port."""
        generate("AsyncServer", self.folder / "chat")
        self.assertIn("--manhole: 'ssh'", self.usage_error("--config", "chat/router.py", "--manhole", "ssh"))
