"""Conditions: their grouping, their refusals, and the text that Core writes for them."""

from __future__ import annotations

import tempfile
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where
from fluxon.errors import InvalidPayload


class Item(models.Model):
    """A model to compare columns of."""

    name = models.CharField(max_length=20)
    size = models.IntegerField(null=True)
    ready = models.BooleanField(default=False)
    secret = models.PasswordField(null=True)
    notes = models.JSONField(null=True)


class Other(models.Model):
    """A model whose columns are not Item's."""

    name = models.CharField(max_length=20)


class Conditions(SynchronousTestCase):
    """What ``where[...]`` takes."""

    def setUp(self) -> None:
        # Never opened: only its statements are looked at.
        self.database = SQLiteDatabase(tempfile.gettempdir() + "/never-opened", models=[Item, Other])
        self.addCleanup(self.database.unbind)

    def text(self, condition: Any) -> str:
        """The WHERE that Core writes, on one line."""
        shape = ("count", Item.declaration, condition.shape)
        written = " ".join(self.database.statements.shape(shape).text.split())
        return written.partition("WHERE ")[2].replace('"item".', "").replace('"', "")

    def test_parentheses_are_kept(self) -> None:
        """``a & (b | c)`` must not become ``a & b | c``, which matches rows of other owners."""
        a, b, c = Item.name == "x", Item.size == 1, Item.size == 2
        self.assertEqual(self.text(a & (b | c)), "name = ? AND (size = ? OR size = ?)")
        self.assertEqual(self.text((a & b) | c), "name = ? AND size = ? OR size = ?")
        self.assertEqual(self.text(~(a | b) & c), "NOT (name = ? OR size = ?) AND size = ?")
        self.assertEqual((a & (b | c)).values, ("x", 1, 2))

    def test_values_never_reach_the_text(self) -> None:
        """A value that looks like SQL, or like a column's name, is a value."""
        hostile = Item.name == 'x" OR "name" = "name'
        self.assertEqual(self.text(hostile), "name = ?")
        self.assertEqual(hostile.values, ('x" OR "name" = "name',))

    def test_every_operator(self) -> None:
        """Each comparison means what it says."""
        self.assertEqual(self.text(Item.size != 1), "size != ?")
        self.assertEqual(self.text(Item.size <= 1), "size <= ?")
        self.assertEqual(self.text(Item.size == None), "size IS NULL")  # noqa: E711
        self.assertEqual(self.text(Item.size != None), "size IS NOT NULL")  # noqa: E711
        self.assertEqual(self.text(Item.size.between(1, 5)), "size BETWEEN ? AND ?")
        self.assertEqual(self.text(Item.name == Item.name), "name = name")
        self.assertEqual(self.text(Item.name.contains("50%_/")), "name LIKE ? ESCAPE '/'")
        self.assertEqual(Item.name.contains("50%_/").values, ("%50/%/_//%",))
        self.assertEqual(self.text(Item.size.in_([])), "0 = 1")

    def test_lists_share_few_shapes(self) -> None:
        """A list's length is rounded up, so that lists of all lengths do not fill the cache."""
        shapes = {Item.size.in_(range(length)).shape for length in range(1, 1000)}
        self.assertEqual(len(shapes), 11)
        self.assertEqual(Item.size.in_([1, 2, 3]).values, (1, 2, 3, 3))

    def test_conditions_are_never_true_or_false(self) -> None:
        """``and`` would drop the password test of a login; ``not`` would make it always true."""
        a, b = Item.name == "x", Item.size == 1
        self.assertRaises(TypeError, lambda: where[a and b])
        self.assertRaises(TypeError, lambda: where[a or b])
        self.assertRaises(TypeError, lambda: where[not a])
        self.assertRaises(TypeError, lambda: where[1 < Item.size < 5])
        self.assertRaises(TypeError, lambda: bool(Item.name))
        self.assertRaises(TypeError, lambda: a & True)
        self.assertRaises(TypeError, lambda: Item.name in [Item.size])

    def test_where_takes_conditions_only(self) -> None:
        """A text, a column, two conditions, None: each is a TypeError."""
        wrong: list[Any] = ["name = 'x'", Item.name, (Item.size == 1, Item.name == "x"), None, True]
        for each in wrong:
            self.assertRaises(TypeError, lambda each=each: where[each])

    def test_values_of_a_wrong_type_are_refused(self) -> None:
        """They come from clients: the error is the client's, and nothing is asked of the database."""
        for make in (
            lambda: Item.name == 5,
            lambda: Item.name == ["x"],
            lambda: Item.size == "1",
            lambda: Item.size == True,  # noqa: E712
            lambda: Item.size < None,
            lambda: Item.size == 2**63,
            lambda: Item.name.contains(5),
            lambda: Item.size.in_("123"),
            lambda: Item.size.in_([None]),
            lambda: Item.size.in_(range(20_000)),
            lambda: Item.name.like("%" * 20_000),
        ):
            self.assertRaises(InvalidPayload, make)

    def test_passwords_and_documents_are_not_compared(self) -> None:
        """A salted hash equals nothing; comparing it would be a test that is never met, or always."""
        for make in (
            lambda: Item.secret == "x",
            lambda: Item.secret != "x",
            lambda: Item.secret.in_(["x"]),
            lambda: Item.secret.contains("x"),
            lambda: Item.notes == {},
            lambda: Item.ready < True,
            lambda: Item.size.contains("1"),
        ):
            self.assertRaises(TypeError, make)

    def test_columns_of_another_model_are_refused(self) -> None:
        """Without a join, such a condition would multiply tables."""
        self.assertRaises(TypeError, self.text, Other.name == "x")

    def test_conditions_are_bounded(self) -> None:
        """A client's list turned into a chain of ``|`` ends in an error, not in the database's parser."""
        condition = Item.size == 0
        with self.assertRaises(InvalidPayload):
            for number in range(600):
                condition |= Item.size == number

    def test_nesting_is_bounded_and_what_is_allowed_is_written(self) -> None:
        """The deepest condition that is taken can be written; a deeper one is refused, not a RecursionError."""
        condition = Item.size == 0
        with self.assertRaises(InvalidPayload):
            for number in range(200):
                written = condition
                condition = (condition & (Item.size == number)) | (Item.name == "x")
        self.assertIn("size = ?", self.text(written))
        self.assertEqual((~~written).shape, written.shape)
