"""Whatever a client sends: it is a value, or it is refused. Nothing of it becomes SQL."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where
from fluxon.errors import FluxonError, InvalidPayload

COLUMNS = ["id", "username", "password", "age", "data"]

#: All that the engine may write about this model.
WORDS = {*COLUMNS, "user", "count"} | set(
    "SELECT FROM WHERE AND OR NOT NULL IS LIKE ESCAPE BETWEEN IN ORDER BY ASC DESC LIMIT OFFSET "  # noqa: SIM905
    "INSERT INTO VALUES UPDATE SET DELETE AS DEFAULT".split()
)

#: Names that mean something to SQL, to Python or to this engine, and any text at all.
names = st.one_of(
    st.sampled_from(COLUMNS),
    st.text(max_size=30),
    st.sampled_from(
        [
            'username") VALUES (1); DROP TABLE "user"; --',
            "user.username",
            '"username"',
            "username = 'admin' OR 1=1 --",
            "(SELECT password FROM user)",
            "__class__",
            "_field",
            "declaration",
            "v0",
            ":username",
            "?",
            "%s",
            "%(username)s",
            "rowid",
            "*",
            "USERNAME",
            "username\0",
            "-id",
            "--id",
        ]
    ),
)

#: Whatever the wire can carry.
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.text(max_size=40),
        st.binary(max_size=20),
        st.dates(),
        st.uuids(),
        st.decimals(),
        st.sampled_from(["' OR '1'='1", 'x"; DROP TABLE "user"; --', "username", "\ud800", "\0"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)

payloads = st.one_of(st.dictionaries(names, values, max_size=6), values)


class HostilePayloads(SynchronousTestCase):
    """A table with one row, which must still be there and the same after every attempt.

    Every text that the driver gets is looked at: it is made of this model's own names, and of SQL's words, alone.
    """

    def setUp(self) -> None:
        class User(models.AuthenticatedUser):
            username = models.CharField(max_length=20, unique=True)
            password = models.CharField(max_length=100)
            age = models.IntegerField(null=True)
            data = models.JSONField(null=True)

        self.User: Any = User
        self.database = SQLiteDatabase(Path(tempfile.mkdtemp()) / "database.sqlite3", models=[User])
        self.addCleanup(self.database.close)
        schema.create_tables(self.database)
        User.Insert(username="admin", password="secret")
        self.before = User.Get(1)
        write = self.database.statements.shape

        def watched(shape: Any) -> Any:
            prepared = write(shape)
            found = set("".join(each if each.isalpha() else " " for each in prepared.text).split())
            self.assertLessEqual(found, WORDS, prepared.text)
            self.assertNotIn(";", prepared.text)
            return prepared

        self.database.statements.shape = watched

    def attempt(self, call: Any, *args: Any, **options: Any) -> Any:
        """Make a call that may refuse, but only as our own errors, or TypeError, do."""
        try:
            return call(*args, **options)
        except (FluxonError, TypeError) as error:
            return error

    def unharmed(self) -> None:
        self.assertEqual(self.User.Get(1), self.before)

    @settings(max_examples=150, deadline=None)
    @given(payloads)
    def test_insert(self, payload: Any) -> None:
        """``User.Insert(request.payload)``: a row of real columns, False, or an error that says which were not."""
        answer = self.attempt(self.User.Insert, payload)
        self.unharmed()
        if isinstance(payload, dict) and not set(payload) <= set(COLUMNS):
            self.assertIsInstance(answer, InvalidPayload)
            for name in set(payload) - set(COLUMNS):
                self.assertIn(name[:60], answer.details["fields"])
        self.User.Delete(where[self.User.id != 1])

    @settings(max_examples=150, deadline=None)
    @given(payloads, names, names, st.lists(names, max_size=3), values)
    def test_everything_else(self, payload: Any, column: str, order: str, columns: list[str], value: Any) -> None:
        """Columns, order, values, numbers of rows: what is no column is refused, whatever it says."""
        User = self.User
        self.attempt(User.Update, payload, where[User.id == -1])
        self.attempt(User.Check, columns=columns, order_by=order, fetch=value, offset=value)
        self.attempt(User.Check, columns=[column])
        self.attempt(User.Get, value)
        for compare in (
            lambda: User.username == value,
            lambda: User.age < value,
            lambda: User.username.contains(value),
            lambda: User.username.like(value),
            lambda: User.age.in_(value),
            lambda: User.age.between(value, value),
        ):
            condition = self.attempt(compare)
            if not isinstance(condition, Exception):
                self.attempt(User.Check, where[condition])
                self.attempt(User.Delete, where[condition & (User.id == -1)])
        self.unharmed()
