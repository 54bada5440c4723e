"""``python -m fluxon.database``: what it prints and how it exits."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

import database_servers
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.command_line import main

MODELS = """
from fluxon.database import models

class User(models.AuthenticatedUser):
    name = models.CharField(unique=True)
"""

ROUTER = """
from pathlib import Path
from types import SimpleNamespace
import {models}
from fluxon.database.apis import SQLiteDatabase

here = Path(__file__).parent
setup = SimpleNamespace(
    models={models}, database_api=SQLiteDatabase, database_path=here / "data.sqlite3",
    database_schema_dir=here / "database_schema",
)
"""


class CommandLine(SynchronousTestCase):
    """The commands in the order in which a person types them."""

    def setUp(self) -> None:
        self.patch(threadable, "ioThread", None)
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.patch(sys, "path", list(sys.path))
        known = set(sys.modules)

        def forget() -> None:
            for name in set(sys.modules) - known:
                del sys.modules[name]

        self.addCleanup(forget)
        self.program(1, MODELS)

    def program(self, number: int, text: str) -> None:
        """The program's files, under new names: an import is not made twice."""
        (self.folder / f"models_{number}.py").write_text(text)
        self.router = self.folder / f"router_{number}.py"
        self.router.write_text(ROUTER.format(models=f"models_{number}"))

    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        status = main(["--config", str(self.router), *arguments], out, err)
        return status, out.getvalue(), err.getvalue()

    def test_from_nothing_to_an_updated_database(self) -> None:
        """check, saveschema, updateschema, a change, the plan, a refusal, the drop, and back."""
        self.assertEqual(self.run_command("check")[0], 1)
        self.assertIn("saveschema", self.run_command("schemas")[1])
        status, _, told = self.run_command("updateschema")
        self.assertEqual((status, "saveschema" in told), (1, True))
        self.assertEqual(self.run_command("saveschema"), (0, "saved the models as schema_00001.sql\n", ""))
        self.assertEqual(self.run_command("saveschema"), (0, "nothing changed since schema_00001.sql\n", ""))
        status, text, _ = self.run_command("updateschema")
        self.assertEqual((status, "create table user" in text), (0, True))
        self.assertEqual(self.run_command("check"), (0, "models, schema files and database agree\n", ""))

        self.program(2, MODELS.replace("name = ", "mail = models.CharField(null=True)\n    title = "))
        self.assertEqual(self.run_command("saveschema")[0], 0)
        status, text, _ = self.run_command("updateschema", "--plan")
        self.assertEqual((status, "nothing was done" in text), (0, True))
        self.assertEqual(self.run_command("updateschema")[0], 0)  # the table has no rows: nothing is lost
        self.assertIn("schema_00002.sql  sqlite  <- the database", self.run_command("schemas")[1])
        self.assertEqual(self.run_command("updateschema", "1")[0], 0)
        self.assertIn("schema_00001.sql  sqlite  <- the database", self.run_command("schemas")[1])
        self.assertEqual(self.run_command("updateschema", "9")[0], 1)

    def test_a_setup_that_has_made_its_database(self) -> None:
        """It is that one which is used, closed at the end, and still the models'."""
        more = "setup.database = SQLiteDatabase(here / 'other.sqlite3', models=models_1)\n"
        self.router.write_text(ROUTER.format(models="models_1") + more)
        self.assertEqual(self.run_command("saveschema")[0], 0)
        self.assertEqual(self.run_command("updateschema")[0], 0)
        self.assertTrue((self.folder / "other.sqlite3").exists())
        self.assertFalse((self.folder / "data.sqlite3").exists())
        database = sys.modules["models_1"].User.declaration.database
        self.addCleanup(database.unbind)
        self.assertEqual(database.figures(), {})

    def test_copies_of_a_server(self) -> None:
        """What is dropped on a server was copied there: each copy is told by its name."""
        url = database_servers.postgresql()
        more = "from fluxon.database.apis import PostgreSQLDatabase\nsetup.database_api = PostgreSQLDatabase\n"
        for number, text in ((2, MODELS), (3, MODELS.replace("name = ", "title = "))):
            self.program(number, text)
            self.router.write_text(self.router.read_text() + more + f"setup.database_path = {url!r}\n")
            self.assertEqual(self.run_command("saveschema")[0], 0)
            if number == 2:
                self.assertEqual(self.run_command("updateschema")[0], 0)
                database_servers.fetch(url, "INSERT INTO \"user\" (name) VALUES ('Ann')")
        self.assertIn("--drop user.name", self.run_command("updateschema", "--plan")[1])
        database_servers.fetch(url, "DELETE FROM \"user\" WHERE name <> 'Ann'")
        status, text, _ = self.run_command("updateschema", "--drop", "User.name", "--drop", "User")
        self.assertEqual(status, 1)  # there is no table to lose
        self.program(4, MODELS.replace("name = models.CharField(unique=True)", "age = models.IntegerField(null=True)"))
        self.router.write_text(self.router.read_text() + more + f"setup.database_path = {url!r}\n")
        self.assertEqual(self.run_command("saveschema")[0], 0)
        status, text, _ = self.run_command("updateschema", "--drop", "User.name")
        self.assertEqual(status, 0)
        (copy,) = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith("a copy of a table")]
        self.assertEqual(database_servers.fetch(url, f"SELECT name FROM {copy}"), [("Ann",)])

    def test_a_router_without_what_it_needs(self) -> None:
        """Each missing thing is named, without a traceback."""
        for text, part in (
            ("", "setup"),
            ("from types import SimpleNamespace\nsetup = SimpleNamespace()\n", "database_api"),
            (
                "from types import SimpleNamespace\nfrom fluxon.database.apis import SQLiteDatabase\n"
                "setup = SimpleNamespace(database_api=SQLiteDatabase, database_path='x.sqlite3')\n",
                "database_schema_dir",
            ),
        ):
            self.router = self.folder / f"router_{part}.py"
            self.router.write_text(text)
            status, _, told = self.run_command("saveschema")
            self.assertEqual(status, 1)
            self.assertIn(part, told)
        self.router = self.folder / "nowhere.py"
        self.assertIn("nowhere.py", self.run_command("check")[2])
