"""Calls of models that are wrong whatever is in the database: told before it is asked."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.errors import ConfigurationError


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

    def test_arguments_that_do_not_go_together(self) -> None:
        """Rows and columns of one row at once; an order by what has none."""
        database = SQLiteDatabase("never-opened", models=[Note])
        self.addCleanup(database.unbind)
        self.assertIn("not both", str(self.assertRaises(TypeError, Note.Insert, [{"name": "a"}], name="b")))
        for order in (Note.data, "data", "-data", [Note.name, Note.data]):
            self.assertIn("Note.data has no order", str(self.assertRaises(TypeError, Note.Check, order_by=order)))
