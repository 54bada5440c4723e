"""The typed example: strict checkers have nothing to say of it, and something of its mistakes; and it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from mypy import api
from twisted.trial.unittest import SynchronousTestCase

import fluxon

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "typed"
ROOT = Path(fluxon.__file__).resolve().parent.parent

#: What somebody may mistype in views.py.
MISTAKES = (
    ("User.username)", "User.usrname)"),
    ("request.payload, str", "request.paylod, str"),
    ("await request.login(user.id)", "await request.log_in(user.id)"),
    ("where[Note.owner == _user_of(request).id]", "where[Note.ownr == _user_of(request).id]"),
)


class TypedExampleTests(SynchronousTestCase):
    """A copy of ``docs/examples/typed``."""

    def setUp(self) -> None:
        shutil.copytree(EXAMPLE, "typed")
        self.patch(os, "environ", {**os.environ, "MYPYPATH": str(ROOT)})

    def mypy(self) -> list[str]:
        os.chdir("typed")
        try:
            arguments = [
                "--strict",
                "--config-file=",
                "--cache-dir=../cache",
                "--no-error-summary",
                "--hide-error-context",
            ]
            said, trouble, _ = api.run([*arguments, *sorted(each.name for each in Path().glob("*.py"))])
        finally:
            os.chdir("..")
        self.assertEqual(trouble, "")
        return [line for line in said.splitlines() if ": error:" in line]

    def test_mypy(self) -> None:
        """Strict, with the package's own annotations: clean; a column, an attribute and a method mistyped are found."""
        self.assertEqual(self.mypy(), [])
        views = Path("typed/views.py")
        text = views.read_text().replace(
            "return str(user.username)", "print(User.username)\n    return str(user.username)"
        )
        for old, new in MISTAKES:
            self.assertIn(old, text)
            text = text.replace(old, new)
        views.write_text(text)
        found = "\n".join(self.mypy())
        for word in ("usrname", "paylod", "log_in", "ownr"):
            self.assertIn(f'"{word}"', found)

    def test_pyright(self) -> None:
        """The same for the checker of editors, where it is installed."""
        if find_spec("basedpyright") is None:
            self.skipTest("basedpyright is not installed: pip install basedpyright")
        command = [sys.executable, "-m", "basedpyright", "--level", "error", "."]
        Path("typed/pyrightconfig.json").write_text(f'{{"typeCheckingMode": "standard", "extraPaths": ["{ROOT}"]}}')
        done = subprocess.run(command, cwd="typed", capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_it_runs(self) -> None:
        """Its own tests pass."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "unittest"]
        done = subprocess.run(command, cwd="typed", env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Ran 1 test", done.stderr)
