"""The guides of models and queries do what they say: each is run from its first block to its last."""

from __future__ import annotations

from datetime import date
from typing import Any

from pages import Page, run_block
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import schema
from fluxon.database.apis import SQLiteDatabase

MODELS = "docs/models.rst"
QUERIES = "docs/queries.rst"


class Guides(SynchronousTestCase):
    """Both share the school that the first one declares."""

    def close(self, names: dict[str, Any]) -> None:
        names["db"].close()
        names["db"].unbind()

    def test_models(self) -> None:
        """The guide of models, whole."""
        names: dict[str, Any] = {"date": date}
        found = [run_block(self, block, names) for block in Page(self, MODELS).fragments()]
        self.addCleanup(self.close, names)
        self.assertGreater(sum(found), 9)

    def test_queries(self) -> None:
        """The guide of queries, whole, on the school of the guide of models; its two views answer alike."""
        names: dict[str, Any] = {"date": date}
        run_block(self, Page(self, MODELS).in_order()[0], names)
        school = [names[each] for each in ("User", "Teacher", "Course", "Student", "Enrollment")]
        names["db"] = SQLiteDatabase("school.sqlite3", models=school)
        self.addCleanup(self.close, names)
        schema.create_tables(names["db"])
        found = [run_block(self, block, names) for block in Page(self, QUERIES).fragments()]
        self.assertGreater(sum(found), 20)
