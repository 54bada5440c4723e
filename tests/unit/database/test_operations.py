"""Calls of models that are wrong whatever is in the database: told before it is asked."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.authentication import login_name
from fluxon.errors import ConfigurationError, InvalidPayload


class Base(models.Model):
    """Has columns, and no table."""

    name = models.CharField()

    class Meta:
        abstract = True


class Note(Base):
    data = models.JSONField(null=True)


class CallTests(SynchronousTestCase):
    """The texts say which model, and what to write instead."""

    def test_models_without_a_table(self) -> None:
        """An abstract model, and one that no database has."""
        self.assertIn("Base is abstract", str(self.assertRaises(TypeError, Base.Check)))
        self.assertIn("SQLiteDatabase(path", str(self.assertRaises(ConfigurationError, Note.Check)))

    def test_columns_that_are_none(self) -> None:
        """What is no name at all is the program's mistake; names of a payload are told, however many, and bounded."""
        database = SQLiteDatabase("never-opened", models=[Note])
        self.addCleanup(database.unbind)
        self.assertIn("Note.id", str(self.assertRaises(TypeError, Note.Insert, {5: "a"})))
        error = self.assertRaises(InvalidPayload, Note.Insert, {Note.name: "a"}, name="b")
        self.assertEqual(error.details["fields"], {"name": "is given twice"})
        error = self.assertRaises(InvalidPayload, Note.Insert, {f"x{number}": 1 for number in range(1000)})
        self.assertEqual(len(error.details["fields"]), 50)

    def test_logging_in_without_name_or_password(self) -> None:
        """A model that nobody can log in with says what it needs."""
        name = models.CharField
        for fields, nameless in (({}, True), ({"username": name()}, True), ({"username": name(unique=True)}, False)):
            user = type(Note)("User", (models.AuthenticatedUser,), fields)
            database = SQLiteDatabase("never-opened", models=[user])
            self.addCleanup(database.unbind)
            error = self.assertRaises(ConfigurationError, user.Authenticate, "a", "b")
            self.assertIn("PasswordField", error.text)
            if nameless:
                self.assertIn("username", self.assertRaises(ConfigurationError, login_name, user.declaration).text)

    def test_arguments_that_do_not_go_together(self) -> None:
        """Rows and columns of one row at once; an order by what has none."""
        database = SQLiteDatabase("never-opened", models=[Note])
        self.addCleanup(database.unbind)
        self.assertIn("not both", str(self.assertRaises(TypeError, Note.Insert, [{"name": "a"}], name="b")))
        for order in (Note.data, "data", "-data", [Note.name, Note.data]):
            self.assertIn("Note.data has no order", str(self.assertRaises(TypeError, Note.Check, order_by=order)))
