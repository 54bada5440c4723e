"""``Setup`` and ``AuthenticatedUser``: what a router declares, and what a view is told of its user."""

from __future__ import annotations

import types
from collections import namedtuple
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.apis import AsyncSQLiteDatabase, MySQLDatabase, PostgreSQLDatabase, SQLiteDatabase
from fluxon.errors import ConfigurationError
from fluxon.limits import Limits
from fluxon.routing import AuthenticatedUser, Setup
from fluxon.security import Secrets


class SetupTests(SynchronousTestCase):
    """Every mistake is named when the setup is made; making one opens nothing."""

    def test_opens_nothing(self) -> None:
        """Neither folders nor files are made."""
        Setup(
            mapping={},
            secrets=Secrets("keys"),
            models=types.ModuleType("models"),
            database_schema_dir="schema",
            logs_dir="logs",
            database_path="people.sqlite3",
            database_api=SQLiteDatabase,
        )
        self.assertEqual(list(Path().iterdir()), [])

    def test_paths(self) -> None:
        """Text and paths are both taken; a path of secrets is their folder."""
        setup = Setup(mapping={}, secrets="keys", logs_dir="logs")  # type: ignore[arg-type]
        self.assertEqual((setup.logs_dir, type(setup.secrets)), (Path("logs"), Secrets))

    def test_the_adapter(self) -> None:
        """Its URL says which; a file is SQLite's. Whoever names one has that."""
        for path, adapter in (
            (Path("x.sqlite3"), SQLiteDatabase),
            ("sqlite:///x.sqlite3", SQLiteDatabase),
            ("postgresql://host/x", PostgreSQLDatabase),
            ("mysql+pymysql://host/x", MySQLDatabase),
            ("mariadb://host/x", MySQLDatabase),
        ):
            setup = Setup(mapping={}, secrets=Secrets("keys"), database_path=path)
            self.assertIs(setup.database_api, adapter, path)
        setup = Setup(mapping={}, secrets=Secrets("keys"), database_path="x", database_api=AsyncSQLiteDatabase)
        self.assertIs(setup.database_api, AsyncSQLiteDatabase)

    def test_mistakes(self) -> None:
        """Each is a ``ConfigurationError`` with the keyword to mend."""
        good: dict[str, Any] = {"mapping": {}, "secrets": "keys"}
        for wrong, word in (
            ({"secrets": None}, "secrets="),
            ({"limits": {"view_timeout": 3}}, "limits="),
            ({"models": types.ModuleType("models")}, "database_path="),
            ({"database_path": "oracle://host/x"}, "postgresql://"),
            ({"database_api": SQLiteDatabase}, "database_path="),
            ({"database_api": SQLiteDatabase("x.sqlite3"), "database_path": "x"}, "without ()"),
            ({"logs_dir": 3}, "path"),
            ({"mapping": []}, "mapping="),
        ):
            error = self.assertRaises(ConfigurationError, lambda wrong=wrong: Setup(**{**good, **wrong}))
            self.assertIn(word, error.text)

    def test_a_keyword_that_is_misspelt(self) -> None:
        """Is named, with the one that may have been meant."""
        told = str(self.assertRaises(TypeError, Setup, mapping={}, secrets="keys", on_started=print))
        self.assertEqual(told, "Setup has no keyword 'on_started'; did you mean on_start?")
        self.assertIn("'listeners'", str(self.assertRaises(TypeError, Setup, mapping={}, secrets="keys", listeners={})))
        self.assertIn("'secrets'", str(self.assertRaises(TypeError, Setup, mapping={})))

    def test_what_is_no_clients_business(self) -> None:
        """A function for the server or its operators that is a view as well is refused: anybody could call it."""

        async def purge(server: Any) -> None: ...

        for keywords in ({"on_start": purge}, {"on_stop": purge}, {"console_commands": {"purge": purge}}):
            setup = Setup(mapping={}, secrets="keys", **keywords)
            with self.assertRaises(ConfigurationError) as caught:
                attrs.evolve(setup, mapping={"purge": purge})
            self.assertIn("is a view as well, which every client may ask for", caught.exception.text)

    def test_what_it_is_shown_as(self) -> None:
        """Short, and without the password of a database: it may be printed, or stand in a traceback."""
        setup = Setup(mapping={"a": print}, secrets="keys", database_path="postgresql://me:s3cret@host/x")
        self.assertEqual(repr(setup), "<Setup of 1 views, Secrets('keys')>")

    def test_later_changes_of_the_mapping(self) -> None:
        """The views are those of the moment: a dict that changes later changes no server."""
        mapping = {"a": print}
        setup = Setup(mapping=mapping, secrets=Secrets("keys"), limits=Limits(view_threads=1))
        mapping["b"] = print
        self.assertEqual(list(setup.views), ["a"])


Row = namedtuple("Row", "id username")


class UserTests(SynchronousTestCase):
    """``request.user`` as an object."""

    def test_columns(self) -> None:
        """Columns are attributes; one that is not there is named, with those that are."""
        user = AuthenticatedUser(Row(3, "ann"))
        self.assertEqual((user.id, user.username), (3, "ann"))
        error = self.assertRaises(AttributeError, lambda: user.email)
        self.assertIn("id, username", str(error))

    def test_cannot_be_changed(self) -> None:
        """Setting a column would change nothing in the database, so it raises."""
        user = AuthenticatedUser(Row(3, "ann"))
        self.assertRaises(AttributeError, setattr, user, "username", "bob")
        self.assertRaises(AttributeError, setattr, user, "_row", Row(1, "root"))

    def test_hidden(self) -> None:
        """What begins with an underscore is no column: what the row itself is made of is not handed on."""
        user = AuthenticatedUser(Row(3, "ann"))
        self.assertFalse(hasattr(user, "_fields"))
        self.assertRaises(AttributeError, lambda: AuthenticatedUser.__new__(AuthenticatedUser).username)

    def test_equal_by_id(self) -> None:
        """The same user read twice is the same; a number is no user."""
        ann, later, bob = (AuthenticatedUser(row) for row in (Row(3, "ann"), Row(3, "anna"), Row(4, "bob")))
        self.assertEqual(ann, later)
        self.assertEqual(len({ann, later, bob}), 2)
        self.assertNotEqual(ann, bob)
        self.assertNotEqual(ann, 3)
        self.assertTrue(ann)

    def test_shown_without_columns(self) -> None:
        """What is printed or logged of a user is their id alone."""
        self.assertEqual(repr(AuthenticatedUser(Row(3, "secret"))), "<AuthenticatedUser 3>")
