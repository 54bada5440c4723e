"""``InsertOrUpdate`` on every database: what is found, what is changed of it, and many who add the same row at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from every_database import MySQLCase, PostgreSQLCase, SQLiteCase, SQLiteThreadCase
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from fluxon.database import models
from fluxon.errors import AlreadyExists, Conflict, InvalidPayload
from fluxon.security import passwords


class InsertOrUpdate:
    """The suite; a class at the end joins it with a database."""

    def declare(self: Any) -> list[Any]:
        class User(models.AuthenticatedUser):
            username = models.CharField(max_length=20, unique=True)
            password = models.PasswordField(null=True)
            email = models.CharField(max_length=40, unique=True, null=True)
            visits = models.IntegerField(default=1)
            made = models.DateTimeField(auto_now_add=True)
            changed = models.DateTimeField(auto_now=True)

        class Seen(models.Model):
            user = models.ForeignKey(User)
            page = models.CharField(max_length=20)
            until = models.IntegerField(default=0)

            class Meta:
                unique_together = [("user", "page")]

        class Profile(models.Model):
            user = models.OneToOneField(User, primary_key=True)
            motto = models.CharField(max_length=20)

        return [User, Seen, Profile]

    async def test_one_column(self: Any) -> None:
        """The first time the row is added, with defaults; then what is given is changed, and nothing else."""
        put = self.User.InsertOrUpdate
        key = await self.ask(put, {"username": "ann", self.User.email: "a@x"}, by="username")
        before = await self.ask(self.User.Get, key)
        self.assertEqual((before.username, before.email, before.visits), ("ann", "a@x", 1))
        self.assertEqual(await self.ask(put, username="ann", visits=5, by=self.User.username), key)
        after = await self.ask(self.User.Get, key)
        self.assertEqual((after.email, after.visits, after.made), ("a@x", 5, before.made))
        self.assertIsInstance(after.changed, datetime)
        self.assertGreater(after.changed, before.changed)
        other = await self.ask(put, username="bob", by="username")
        self.assertNotEqual(other, key)
        self.assertEqual(await self.ask(self.User.Count), 2)

    async def test_several_columns_and_keys(self: Any) -> None:
        """A unique_together, in any order; a key of one's own; the database's, by which the row is added as well."""
        ann, bob = [await self.ask(self.User.Insert, username=each) for each in ("ann", "bob")]
        first = await self.ask(self.Seen.InsertOrUpdate, user=ann, page="a", until=3, by=["page", "user"])
        self.assertEqual(
            await self.ask(self.Seen.InsertOrUpdate, user=ann, page="a", until=7, by=[self.Seen.user, self.Seen.page]),
            first,
        )
        await self.ask(self.Seen.InsertOrUpdate, user=bob, page="a", by=["user", "page"])
        rows = await self.ask(self.Seen.Check, order_by="user", columns=["user", "until"])
        self.assertEqual([tuple(each) for each in rows], [(ann, 7), (bob, 0)])
        # Nothing to change but what finds it: it is there.
        self.assertEqual(await self.ask(self.Seen.InsertOrUpdate, user=ann, page="a", by=["user", "page"]), first)
        self.assertEqual(await self.ask(self.Profile.InsertOrUpdate, user=ann, motto="one", by="user"), ann)
        self.assertEqual(await self.ask(self.Profile.InsertOrUpdate, user=ann, motto="two", by="user"), ann)
        self.assertEqual((await self.ask(self.Profile.Get, ann)).motto, "two")
        self.assertEqual(await self.ask(self.User.InsertOrUpdate, id=ann, visits=9, username="ann", by="id"), ann)
        self.assertEqual((await self.ask(self.User.Get, ann)).visits, 9)

    async def test_what_is_refused(self: Any) -> None:
        """Columns that rows may share, a value that is missing, and what a constraint forbids either way."""
        put = self.User.InsertOrUpdate
        for by in ("visits", [], ["username", "visits"]):
            error = await self.fails(TypeError, put, username="ann", visits=1, by=by)
            self.assertIn("what no two rows share", str(error))
        error = await self.fails(InvalidPayload, put, visits=1, by="username")
        self.assertEqual(error.details["fields"], {"username": "is missing"})
        await self.fails(InvalidPayload, put, username="ann", nothing=1, by="username")
        await self.ask(put, username="ann", email="a@x", by="username")
        await self.fails(Conflict, put, username="bob", email="a@x", by="username")
        await self.ask(put, username="bob", email="b@x", by="username")
        await self.fails(AlreadyExists, put, username="bob", email="a@x", by="username")
        await self.fails(Conflict, self.Seen.InsertOrUpdate, user=99, page="a", by=["user", "page"])
        self.assertEqual(await self.ask(self.User.Count), 2)

    async def test_at_once(self: Any) -> None:
        """Of many who add the same row one does, and the others change it: nobody is refused, and it is there once."""
        waiting = [
            deferToThread(self.User.InsertOrUpdate, username="ann", visits=number, by="username")
            for number in range(20)
        ]
        keys = await gatherResults(waiting)
        self.assertEqual(len(set(keys)), 1)
        self.assertEqual(await self.ask(self.User.Count), 1)

    async def test_in_a_transaction_and_with_a_password(self: Any) -> None:
        """It is a part of it; a password is hashed, once, as ``Insert`` does it."""
        self.patch(passwords, "MEMORY_KIB", 64)

        def work() -> None:
            self.User.InsertOrUpdate(username="ann", visits=2, by="username")
            raise ValueError

        await self.fails(ValueError, self.database.transaction, work)
        self.assertEqual(await self.ask(self.User.Count), 0)
        for password in ("Ann123@abc", "New123@abc"):
            await self.ask(self.User.InsertOrUpdate, username="ann", password=password, by="username")
            self.assertIsNotNone(await self.ask(self.User.Authenticate, "ann", password))


class OnSQLite(InsertOrUpdate, SQLiteCase):
    """SQLite, on the reactor's thread."""


class OnSQLiteInAThread(InsertOrUpdate, SQLiteThreadCase):
    """SQLite, in a thread."""


class OnPostgreSQL(InsertOrUpdate, PostgreSQLCase):
    """PostgreSQL, on the reactor's thread."""


class OnMySQL(InsertOrUpdate, MySQLCase):
    """MariaDB or MySQL, in a thread."""
