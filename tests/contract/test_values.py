"""Whatever a field takes comes back as it was, of the same type, and is found by it: on every database."""

from __future__ import annotations

import string
import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import database_servers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models, schema
from fluxon.database.apis import MySQLDatabase, PostgreSQLDatabase, SQLiteDatabase
from fluxon.database.query import where
from fluxon.limits import MAX_INT, MIN_INT

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
integers = st.integers(MIN_INT, MAX_INT)
floats = st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(
    datetime(1, 1, 2),
    datetime(9999, 12, 30),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-11, minutes=-30))]),
)
documents = st.recursive(
    st.none() | st.booleans() | integers | floats | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)

#: Of each column: what it takes.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "short": text,
    "long": st.text(string.ascii_letters + "äß\U0001f600'\"\\%_\n", max_size=300),
    "number": integers,
    "positive": st.integers(0, MAX_INT),
    "ratio": floats,
    "price": st.decimals(Decimal("-99999999999999.9999"), Decimal("99999999999999.9999"), places=4),
    "ready": st.booleans(),
    "day": st.dates(),
    "clock": st.times(),
    "moment": moments,
    "data": st.binary(max_size=50),
    "document": documents.filter(lambda value: value is not None),
    "token": st.uuids(),
}


class RoundTrips:
    """The suite; a class at the end joins it with a database."""

    def make_database(self: Any, declared: list[Any]) -> Any:
        raise NotImplementedError

    def setUp(self: Any) -> None:
        class Everything(models.Model):
            short = models.CharField(max_length=20, null=True)
            long = models.TextField(null=True)
            number = models.IntegerField(null=True)
            positive = models.PositiveIntegerField(null=True)
            ratio = models.FloatField(null=True)
            price = models.DecimalField(max_digits=18, decimal_places=4, null=True)
            ready = models.BooleanField(null=True)
            day = models.DateField(null=True)
            clock = models.TimeField(null=True)
            moment = models.DateTimeField(null=True)
            data = models.BinaryField(null=True)
            document = models.JSONField(null=True)
            token = models.UUIDField(null=True)

        self.Everything = Everything
        self.database = self.make_database([Everything])
        self.addCleanup(self.database.close)
        schema.create_tables(self.database)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(st.fixed_dictionaries({}, optional=VALUES))
    @example({"short": "a ", "long": "A"})
    @example({"short": "", "data": b"", "document": {}})
    @example({"short": "e\u0301", "long": "\u00e9"})
    @example({"ratio": 5e-324, "number": MIN_INT, "positive": MAX_INT})
    @example({"ratio": 1.7976931348623157e308, "document": {"": [0.1, 1e300, -0.0, MAX_INT]}})
    @example({"token": uuid.UUID(int=0), "document": "null", "short": "null"})
    def test_values(self: Any, values: dict[str, Any]) -> None:
        """Stored, read and searched for, each value by itself and all of them together."""
        Everything = self.Everything
        key = Everything.Insert(values)
        self.assertTrue(key)
        row = Everything.Get(key)
        for name in VALUES:
            want, have = values.get(name), getattr(row, name)
            self.assertEqual(have, want, name)
            self.assertIs(type(have), type(want), name)
            if name in values and name != "document":
                condition = (getattr(Everything, name) == want) & (Everything.id == key)
                self.assertEqual(Everything.Count(where[condition]), 1, name)
                self.assertEqual(
                    Everything.Count(where[~(getattr(Everything, name) != want) & (Everything.id == key)]), 1
                )
            if name in values and name in ("short", "long"):
                attribute = getattr(Everything, name)
                for part in (want[:3], want[3:], want):
                    self.assertEqual(
                        Everything.Count(where[attribute.contains(part) & (Everything.id == key)]), 1, name
                    )
                self.assertEqual(Everything.Count(where[attribute.startswith(want) & (Everything.id == key)]), 1, name)
        self.assertEqual(Everything.Delete(where[Everything.id == key]), 1)

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(st.data())
    def test_order(self: Any, data: Any) -> None:
        """Sorted as Python sorts them, the empty ones first; and no two values that differ are one."""
        Everything = self.Everything
        name = data.draw(st.sampled_from(["number", "ratio", "price", "day", "clock", "moment"]))
        values = data.draw(st.lists(VALUES[name] | st.none(), max_size=6))
        Everything.Insert([{name: value} for value in values])
        rows = Everything.Check(columns=[name], order_by=name)
        there = sorted(each for each in values if each is not None)
        self.assertEqual([row[0] for row in rows], [None] * (len(values) - len(there)) + there)
        for value in there:
            attribute = getattr(Everything, name)
            self.assertEqual(Everything.Count(where[attribute == value]), there.count(value))
            self.assertEqual(Everything.Count(where[attribute < value]), sum(each < value for each in there))
        Everything.Delete()


class OnSQLite(RoundTrips, SynchronousTestCase):
    """SQLite."""

    def make_database(self, declared: list[Any]) -> Any:
        return SQLiteDatabase(Path("database.sqlite3").absolute(), models=declared)


class OnPostgreSQL(RoundTrips, SynchronousTestCase):
    """PostgreSQL."""

    def make_database(self, declared: list[Any]) -> Any:
        return PostgreSQLDatabase(database_servers.postgresql(), models=declared)


class OnMySQL(RoundTrips, SynchronousTestCase):
    """MariaDB or MySQL."""

    def make_database(self, declared: list[Any]) -> Any:
        return MySQLDatabase(database_servers.mysql(), models=declared)
