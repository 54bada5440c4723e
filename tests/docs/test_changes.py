"""What ``docs/changes`` holds for the next release, and what a release makes of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import fluxon

ROOT = Path(__file__).resolve().parents[2]
CHANGES = ROOT / "docs" / "changes"
BESIDES = {"README.md", "template.md"}


class ChangesTests(SynchronousTestCase):
    """A copy of what towncrier reads."""

    def setUp(self) -> None:
        self.root = Path("copy").absolute()
        self.changes = self.root / "docs" / "changes"
        shutil.copytree(CHANGES, self.changes)
        for name in ("pyproject.toml", "CHANGELOG.md"):
            shutil.copy(ROOT / name, self.root / name)

    def towncrier(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "towncrier", "build", "--dir", str(self.root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_names_that_are_refused(self) -> None:
        """An unknown category, none at all, and a subject that is none: the draft fails and names it."""
        for name in ("groups.improved.md", "groups.md", "Some groups.added.md"):
            with self.subTest(name):
                wrong = self.changes / name
                wrong.write_text("Something.\n")
                done = self.towncrier("--draft")
                wrong.unlink()
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(name.removesuffix(".added.md"), done.stderr)
        self.assertEqual(self.towncrier("--draft").returncode, 0)

    def test_a_release(self) -> None:
        """Each change stands under its category, in the order of subjects; the folder is left with its README."""
        (self.changes / "aaa.security.md").write_text("The first\nof these.\n")
        (self.changes / "aab.security.md").write_text("The second.\n")
        done = self.towncrier("--yes", "--date", "2030-01-02")
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (self.root / "CHANGELOG.md").read_text("utf-8")
        head, heading, released = text.partition(f"## {fluxon.__version__} (2030-01-02)\n")
        self.assertTrue(heading, text)
        self.assertIn("- The first\n  of these.\n- The second.\n", released.partition("### Security\n\n")[2])
        self.assertIn("towncrier", head)
        self.assertEqual({each.name for each in self.changes.iterdir()}, BESIDES)
        # A release after it goes above it.
        (self.changes / "groups.mended.md").write_text("Later.\n")
        self.assertEqual(self.towncrier("--yes", "--version", "9.9.9").returncode, 0)
        later = (self.root / "CHANGELOG.md").read_text("utf-8")
        self.assertTrue(later.endswith(heading + released))
        self.assertLess(later.index("- Later."), later.index(heading))
