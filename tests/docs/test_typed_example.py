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
    ("user.nickname or", "user.nicknme or"),
    ("request.server.database.transaction(", "request.server.database.transacton("),
)

#: What a checker, and so an editor, knows of names: if one of these becomes Any, completion is lost.
KNOWN = """
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, assert_type
from uuid import UUID

from fluxon.cloud.authorization_models import DefaultRole, Permissions, RoleBasedAccessControl
from fluxon.cloud.filesystem import Filesystem
from fluxon.database import models
from fluxon.database.attributes import Attribute, Relation
from fluxon.database.database import Database
from fluxon.endpoint import AsyncServer
from fluxon.routing import AuthenticatedUser, Event, Request

from models import User


class Everything(models.Model):
    big = models.BigIntegerField()
    raw = models.BinaryField()
    yes = models.BooleanField()
    day = models.DateField()
    moment = models.DateTimeField()
    price = models.DecimalField(max_digits=8, decimal_places=2)
    email = models.EmailField()
    length = models.FloatField()
    number = models.IntegerField()
    few = models.PositiveIntegerField()
    text = models.TextField()
    hour = models.TimeField()
    key = models.UUIDField()
    perhaps: models.Column[int | None] = models.IntegerField(null=True)
    owner = models.ForeignKey(to_table=User)


async def say(request: Request[User]) -> None:
    assert_type(request.user, User | None)
    assert request.user is not None
    assert_type(request.user.id, int)
    assert_type(request.user.username, str)
    assert_type(request.user.joined, datetime)
    assert_type(request.user.nickname, str | None)
    assert_type(User.username, Attribute)
    assert_type(Everything.owner, Relation)
    any_request: Request[Any] = request


async def hear(event: Event[User]) -> None:
    assert_type(event.user, User | None)
    assert_type(event.server, AsyncServer)
    assert_type(event.server.cloud, Filesystem)
    assert_type(event.server.database, Database)


class Files(RoleBasedAccessControl):
    class reader(RoleBasedAccessControl.Role):
        permissions = [Permissions.READ_FILE]

    DefaultRole(reader)


async def whoever(request: Request) -> None:
    assert_type(request.user, AuthenticatedUser | None)
    assert request.user is not None
    assert_type(request.user.username, Any)


def row(of: Everything) -> None:
    assert_type(of.big, int)
    assert_type(of.raw, bytes)
    assert_type(of.yes, bool)
    assert_type(of.day, date)
    assert_type(of.moment, datetime)
    assert_type(of.price, Decimal)
    assert_type(of.email, str)
    assert_type(of.length, float)
    assert_type(of.number, int)
    assert_type(of.few, int)
    assert_type(of.text, str)
    assert_type(of.hour, time)
    assert_type(of.key, UUID)
    assert_type(of.perhaps, int | None)
"""


class TypedExampleTests(SynchronousTestCase):
    """A copy of ``docs/examples/typed``."""

    def setUp(self) -> None:
        shutil.copytree(EXAMPLE, "typed")
        Path("typed", "known.py").write_text(KNOWN)
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

    def pyright(self) -> subprocess.CompletedProcess[str]:
        if find_spec("basedpyright") is None:
            self.skipTest("basedpyright is not installed: pip install basedpyright")
        command = [sys.executable, "-m", "basedpyright", "--level", "error", "."]
        Path("typed/pyrightconfig.json").write_text(f'{{"typeCheckingMode": "standard", "extraPaths": ["{ROOT}"]}}')
        return subprocess.run(command, cwd="typed", capture_output=True, text=True, timeout=100)

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
        for word in ("usrname", "paylod", "log_in", "ownr", "nicknme", "transacton"):
            self.assertIn(f'"{word}"', found)

    def test_pyright(self) -> None:
        """The same for the checker of editors, where it is installed."""
        done = self.pyright()
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_a_row_that_is_taken_for_another(self) -> None:
        """A column that may be empty is no text; both checkers say so where it is used as one."""
        views = Path("typed/views.py")
        text = views.read_text()
        self.assertIn("user.nickname or user.username", text)
        views.write_text(text.replace("user.nickname or user.username", "user.nickname.upper()"))
        (found,) = self.mypy()
        self.assertIn('"upper"', found)
        said = self.pyright()
        self.assertIn('"upper" is not a known attribute of "None"', said.stdout)

    def test_it_runs(self) -> None:
        """Its own tests pass."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "unittest"]
        done = subprocess.run(command, cwd="typed", env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Ran 1 test", done.stderr)
