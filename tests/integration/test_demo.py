"""``scripts/demo`` from the point on where everything is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
class DemonstrationTests(SynchronousTestCase):
    """It tells the truth both ways: that all happened, and that something did not."""

    def demonstrate(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, ROOT / "scripts" / "demonstration"],
            env={**os.environ, "TMPDIR": os.getcwd(), **environment},
            capture_output=True,
            text=True,
            timeout=100,
        )

    def test_the_whole_story(self) -> None:
        """Both directions, a killed client, a killed server; and nothing is left in the temporary folder."""
        done = self.demonstrate()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for line in (
            "  mike | [emma] Hello Mike, is this thing on?",
            "  emma | [mike] Loud and clear, Emma.",
            "  mike | emma is offline",
            "  emma | welcome back, emma",
            "  emma | [mike] There you are!",
            "  mike | [emma] Did you notice anything?",
        ):
            self.assertIn(line, done.stdout.splitlines())
        self.assertEqual(os.listdir(), [])

    def test_a_server_that_does_not_start(self) -> None:
        """Status 1, and the server's own words."""
        broken = Path("broken").absolute()
        broken.mkdir()
        (broken / "sqlalchemy.py").write_text("raise RuntimeError('this machine has no database today')\n")
        done = self.demonstrate(PYTHONPATH=str(broken))
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("the server's log:", done.stderr)
        self.assertIn("this machine has no database today", done.stderr)
        self.assertNotIn("All of it happened", done.stdout)
