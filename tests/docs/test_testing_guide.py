"""The guide to testing: its files are tests of a generated project, and all of them pass."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import database_servers
from twisted.trial.unittest import SynchronousTestCase

import fluxon
from fluxon.startproject import generate

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "testing.rst"


def files() -> dict[str, str]:
    """The guide's Python blocks, by the names in their first lines."""
    found = re.findall(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", GUIDE.read_text("utf-8"), re.MULTILINE)
    texts = [re.sub(r"^   ", "", each, flags=re.MULTILINE).strip("\n") + "\n" for each in found]
    return {each.partition("\n")[0].removeprefix("# "): each for each in texts}


class TestingGuideTests(SynchronousTestCase):
    """One project, with the guide's files in its ``tests`` folder."""

    def test_the_guide(self) -> None:
        """pytest runs all kinds: unittest's, plain functions, trial's, and the one on a database server."""
        generate("AsyncServer", "chat", cloud=True)
        shown = files()
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
