"""SQLite, PostgreSQL and MariaDB answer the same questions alike.

Rows of few values, which therefore meet, are stored in all three; then conditions, orders and limits are made up at
random, across relations, too, and every database must give the same rows. What is asked is drawn as data (a *recipe*),
since each database has models of its own.
"""

from __future__ import annotations

import operator
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import database_servers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models, schema
from fluxon.database.apis import MySQLDatabase, PostgreSQLDatabase, SQLiteDatabase
from fluxon.database.query import where

TEXTS = [
    "", " ", "a", "A", "a ", " a", "ab", "aB", "b", "%", "_", "a%", "a_b", "/", "//", "/%", "\\", "\\%", "\\\\", "'",
    '"', "a\nb", "\u00e9", "e\u0301", "\u00c9", "\u00df", "ss", "\u1e9e", "i", "I", "\u0130", "\u0131", "\U0001f600",
    "\t", "\uffff", "\U00010000", "\u65e5\u672c", "null", "0", "\u200b", "a\u200b", "\u00a0",
]  # fmt: skip
VALUES: dict[str, list[Any]] = {
    "text": TEXTS,
    "note": TEXTS,
    "number": [-(2**63), -1, 0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1],
    "ratio": [-1e308, -1.5, -0.0, 0.0, 5e-324, 0.1, 1 / 3, 1.0, 2.0**53, 1e308],
    "price": [Decimal(each) for each in ("-999999.99", "-0.01", "0.00", "0.10", "1.00", "999999.99")],
    "ready": [True, False],
    "day": [date(1, 1, 1), date(1582, 10, 10), date(2024, 2, 29), date(9999, 12, 31)],
    "clock": [time(0), time(12, 30, 0, 1), time(23, 59, 59, 999_999)],
    "moment": [
        datetime(1, 1, 2, tzinfo=UTC), datetime(2024, 2, 29, 12, 0, 0, 1, tzinfo=UTC),
        datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(9999, 12, 30, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
    "data": [b"", b"\0", b"a", b"A", b"\xff"],
    "token": [uuid.UUID(int=0), uuid.UUID(int=1), uuid.UUID(int=2**128 - 1)],
}  # fmt: skip
UNORDERED = ("ready", "data", "token")
#: The ways to the columns: of the row itself, and of those that it refers to.
WAYS = [(), ("owner",), ("parent",), ("parent", "owner"), ("parent", "parent"), ("owner", "boss")]

ROWS = 60


def declared() -> list[Any]:
    """The models, made anew for each database."""

    class Kinds(models.Model, abstract=True):
        text = models.CharField(max_length=20, null=True)
        note = models.TextField(null=True)
        number = models.BigIntegerField(null=True)
        ratio = models.FloatField(null=True)
        price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
        ready = models.BooleanField(null=True)
        day = models.DateField(null=True)
        clock = models.TimeField(null=True)
        moment = models.DateTimeField(null=True)
        data = models.BinaryField(null=True)
        token = models.UUIDField(null=True)

    class Owner(Kinds):
        boss = models.ForeignKey("self", null=True, on_delete=models.SET_NULL)

    class Item(Kinds):
        owner = models.ForeignKey(Owner, null=True, on_delete=models.SET_NULL)
        parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL)

    return [Owner, Item]


# --- what is asked ----------------------------------------------------------------------------------------------------

#: The way to a column, and its name.
Column = tuple[tuple[str, ...], str]
columns = st.tuples(st.sampled_from(WAYS), st.sampled_from([*VALUES, "id"]))


def _values(name: str) -> st.SearchStrategy[Any]:
    return st.integers(-1, ROWS + 1) if name == "id" else st.sampled_from(VALUES[name])


@st.composite
def comparisons(draw: Any) -> tuple[Any, ...]:
    """One comparison."""
    column = draw(columns)
    name = column[1]
    kinds = ["==", "!=", "in_", "is_null", "is_not_null", "column"]
    if name not in UNORDERED:
        kinds += ["<", "<=", ">", ">=", "between"]
    if name in ("text", "note"):
        kinds += ["like", "contains", "startswith", "endswith"] * 2
    match kind := draw(st.sampled_from(kinds)):
        case "is_null" | "is_not_null":
            return kind, column
        case "in_":
            return kind, column, draw(st.lists(_values(name), max_size=5))
        case "between":
            return kind, column, draw(_values(name)), draw(_values(name))
        case "column":
            signs = ["==", "!="] if name in UNORDERED else ["==", "!=", "<", ">="]
            other = draw(st.sampled_from(WAYS))
            return kind, column, draw(st.sampled_from(signs)), (other, name)
        case "like":
            return kind, column, "".join(draw(st.lists(st.sampled_from([*TEXTS, "%", "_", "%"]), max_size=4)))[:20]
    return kind, column, draw(_values(name))


conditions = st.recursive(
    comparisons(),
    lambda inner: st.tuples(st.just("~"), inner) | st.tuples(st.sampled_from("&|"), inner, inner),
    max_leaves=5,
)
orders = st.lists(st.tuples(columns.filter(lambda each: each[1] not in UNORDERED), st.booleans()), max_size=3)
limits = st.none() | st.integers(0, 10)

settings_of_a_column = st.sampled_from(["note", "number", "ratio", "price"]).flatmap(
    lambda name: st.tuples(st.just(name), st.none() | _values(name))
)

SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "&": operator.and_, "|": operator.or_,
}  # fmt: skip


def attribute(model: Any, column: Column) -> Any:
    """A column as a program writes it."""
    found = model
    for name in (*column[0], column[1]):
        found = getattr(found, name)
    return found


def condition(model: Any, recipe: tuple[Any, ...]) -> Any:
    """The condition that a recipe describes."""
    kind, *rest = recipe
    if kind == "~":
        return ~condition(model, rest[0])
    if kind in ("&", "|"):
        return SIGNS[kind](condition(model, rest[0]), condition(model, rest[1]))
    column = attribute(model, rest[0])
    if kind == "column":
        return SIGNS[rest[1]](column, attribute(model, rest[2]))
    if kind in SIGNS:
        return SIGNS[kind](column, rest[1])
    return getattr(column, kind)(*rest[1:])


def shown(rows: list[Any]) -> list[tuple[Any, ...]]:
    """Rows, so that two are equal only if each value is of the same type."""
    return [tuple((type(each).__name__, each) for each in row) for row in rows]


#: Open a new, empty database with these models.
PLACES: list[Callable[[list[Any]], Any]] = [
    lambda made: SQLiteDatabase(Path("database.sqlite3").absolute(), models=made),
    lambda made: PostgreSQLDatabase(database_servers.postgresql(), models=made),
    lambda made: MySQLDatabase(database_servers.mysql(), models=made),
]


class Agreement(SynchronousTestCase):
    """One set of rows in three databases."""

    def setUp(self) -> None:
        self.patch(threadable, "ioThread", None)  # this thread may block
        self.items: list[Any] = []
        for place in PLACES:
            owner, item = declared()
            database = place([owner, item])
            self.addCleanup(database.close)
            schema.create_tables(database)
            self.fill(owner, item)
            self.items.append(item)

    def fill(self, owner: Any, item: Any) -> None:
        """The same rows in each."""
        draw = Random(20)

        def row(number: int, **others: list[int]) -> dict[str, Any]:
            values = {name: draw.choice([None, *each]) for name, each in VALUES.items()}
            values["text"] = TEXTS[number % len(TEXTS)]
            return values | {name: draw.choice([None, *each]) for name, each in others.items() if each}

        for number in range(12):
            owner.Insert(row(number, boss=[*range(1, number + 1)]))
        for number in range(ROWS):
            item.Insert(row(number, owner=[*range(1, 13)], parent=[*range(1, number + 1)]))

    def agree(self, ask: Callable[[Any], Any]) -> None:
        """Each database gives what the first does."""
        first, *others = [ask(item) for item in self.items]
        for answer in others:
            self.assertEqual(answer, first)

    @settings(max_examples=150, deadline=None)
    @given(conditions)
    def test_conditions(self, recipe: tuple[Any, ...]) -> None:
        """The same rows meet a condition, and as many are counted."""

        def ask(item: Any) -> Any:
            met = where[condition(item, recipe)]
            return item.Count(met), shown(sorted(item.Check(met), key=lambda row: row.id))

        self.agree(ask)

    @settings(max_examples=100, deadline=None)
    @given(orders, limits, limits, conditions | st.none())
    def test_orders(self, order: Any, fetch: int | None, offset: int | None, recipe: Any) -> None:
        """In the same order, and as many of them, whatever columns are asked for."""

        def ask(item: Any) -> Any:
            by = [attribute(item, column) for column, _ in order]
            by = [each.desc() if down else each.asc() for each, (_, down) in zip(by, order, strict=True)]
            met = {} if recipe is None else {"where": where[condition(item, recipe)]}
            columns = [item.id, *(attribute(item, column) for column, _ in order)]
            unique = list({repr(each): each for each in columns}.values())
            return shown(item.Check(**met, fetch=fetch, offset=offset, order_by=[*by, item.id], columns=unique))

        self.agree(ask)

    @settings(max_examples=40, deadline=None)
    @given(conditions, settings_of_a_column)
    @example(("column", ((), "id"), "!=", (("parent",), "id")), ("note", None))
    def test_changes(self, recipe: tuple[Any, ...], setting: tuple[str, Any]) -> None:
        """The same rows are changed, and deleted; what refers to those is empty then."""
        name, value = setting

        def ask(item: Any) -> Any:
            database = item.declaration.database
            answers: list[Any] = []

            def change() -> None:
                answers.clear()  # it may have to be run again
                answers.append(item.Update({name: value}, where[condition(item, recipe)]))
                answers.append(shown(item.Check(order_by="id")))
                answers.append(item.Delete(where[condition(item, recipe)]))
                answers.append(shown(item.Check(order_by="id")))
                raise _Undone

            self.assertRaises(_Undone, database.transaction, change)
            return answers

        self.agree(ask)


class Circles(SynchronousTestCase):
    """Rows that refer to rows of their own model, and are deleted together."""

    def each(self) -> Iterator[Any]:
        """Models of every database: a tree, two that refer to each other, and friends."""
        self.patch(threadable, "ioThread", None)
        for place in PLACES:

            class Node(models.Model):
                up = models.ForeignKey("self", null=True, on_delete=models.CASCADE)

            class Hen(models.Model):
                egg = models.ForeignKey("Egg", null=True, on_delete=models.SET_NULL)

            class Egg(models.Model):
                hen = models.ForeignKey("Hen", null=True, on_delete=models.CASCADE)

            class Person(models.Model):
                friends = models.ManyToManyField("self", through="Friendship")

            class Friendship(models.Model):
                person = models.ForeignKey(Person, on_delete=models.CASCADE)
                friend = models.ForeignKey(Person, on_delete=models.CASCADE)

            database = place([Node, Hen, Egg, Person, Friendship])
            schema.create_tables(database)
            yield Node, Hen, Egg, Person
            database.close()

    def test_a_tree(self) -> None:
        """All rows that met the condition are counted, also those that went with a row above them."""
        for Node, *_ in self.each():
            Node.Insert([{}, {"up": 1}, {"up": 2}, {"up": 1}, {}, {"up": 5}])
            self.assertEqual(Node.Delete(where[Node.id <= 4]), 4)
            self.assertEqual(Node.Delete(where[Node.id == 5]), 1)
            self.assertEqual(Node.Count(), 0)
            first, second = Node.Insert([{}, {}])
            Node.Update({"up": first}, where[Node.id == second])
            self.assertEqual(Node.Delete(), 2)

    def test_by_way_of_another_model(self) -> None:
        """What a deleted row empties in others of its kind met the condition before, and counts."""
        for _, Hen, Egg, _ in self.each():
            Hen.Insert([{}, {}, {}, {}])
            Egg.Insert([{"hen": 1}, {"hen": 2}])
            Hen.Update({"egg": 1}, where[Hen.id == 2])
            Hen.Update({"egg": 2}, where[Hen.id == 3])
            self.assertEqual(Hen.Delete(where[(Hen.id == 1) | Hen.egg.is_not_null()]), 3)
            self.assertEqual([row.id for row in Hen.Check()], [4])

    def test_linked_rows(self) -> None:
        """The pairs of a row go with it, and all the same its friends are found."""
        for *_, Person in self.each():
            Person.Insert([{}, {}, {}, {}])
            for each in (2, 3):
                Person.friends(each).add(1)
            self.assertEqual(Person.Delete(where[(Person.id == 1) | Person.friends.has(1)]), 3)
            self.assertEqual([row.id for row in Person.Check()], [4])


class _Undone(Exception):
    """Ends a transaction, so that the next has the same rows."""
