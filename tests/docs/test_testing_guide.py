"""The guide to testing: its files are tests of a generated project, and all of them pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import database_servers
from pages import Page
from terminal import Terminal
from twisted.trial.unittest import SynchronousTestCase

import fluxon
from fluxon.startproject import generate


class TestingGuideTests(SynchronousTestCase):
    """One project, with the guide's files in its ``tests`` folder."""

    def test_the_guide(self) -> None:
        """pytest runs all kinds: unittest's, plain functions, trial's, and the one on a database server."""
        generate("AsyncServer", "chat", cloud=True)
        page = Page(self, "docs/testing.rst")
        shown = page.files()
        for line in (each for block in page.commands() for each in block):
            Terminal(self, Path("chat").absolute()).type(line)
        expected = 0
        for name, text in shown.items():
            (Path("chat/tests") / name).write_text(text)
            expected += text.count("def test_")
        self.assertGreater(expected, 15)
        root = str(Path(fluxon.__file__).parent.parent)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{name}" for name in shown)],
            cwd="chat",
            env={**os.environ, "PYTHONPATH": root, "DATABASE_URL": database_servers.postgresql()},
            capture_output=True,
            text=True,
            timeout=100,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{expected} passed", done.stdout)
