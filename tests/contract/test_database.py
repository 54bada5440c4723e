"""What every database keeps to, whichever it is and whichever thread asks.

Each test runs on SQLite, PostgreSQL and MariaDB (or MySQL), and on each of them twice: on the reactor's thread, where a
call answers something to await, and in another thread, where it answers the result.
"""

from __future__ import annotations

import shutil
import tempfile
import types
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import database_servers
import sqlalchemy
from twisted.internet import reactor, threads
from twisted.internet.defer import gatherResults
from twisted.python import threadable
from twisted.trial.unittest import TestCase

from fluxon.blocking import Pending
from fluxon.database import models, schema
from fluxon.database.apis import (
    AsyncMySQLDatabase,
    AsyncSQLiteDatabase,
    MySQLDatabase,
    PostgreSQLDatabase,
    SQLiteDatabase,
)
from fluxon.database.query import where
from fluxon.errors import AlreadyExists, ConfigurationError, Conflict, InvalidPayload


def school() -> Any:
    """The models of the documentation's school, made anew for each test, and one with a column of every kind."""

    class User(models.AuthenticatedUser):
        username = models.CharField(max_length=100, unique=True)
        password = models.CharField(max_length=200)
        email = models.CharField(max_length=130, unique=True)
        user_creation_date = models.DateTimeField(auto_now_add=True)

    class Teacher(models.Model):
        user = models.OneToOneField(to_table=User, primary_key=True)
        name = models.CharField(max_length=100)
        department = models.CharField(max_length=50)

    class Course(models.Model):
        course_name = models.CharField(max_length=100)
        course_code = models.CharField(max_length=10)
        teacher = models.ForeignKey(to_table=Teacher, on_delete=models.CASCADE)

    class Student(models.Model):
        user = models.OneToOneField(to_table=User, primary_key=True)
        name = models.CharField(max_length=100)
        birth_date = models.DateField()
        courses = models.ManyToManyField(to_table=Course, through="Enrollment")

    class Enrollment(models.Model):
        student = models.ForeignKey(to_table=Student, on_delete=models.CASCADE)
        course = models.ForeignKey(to_table=Course, on_delete=models.CASCADE)
        date_enrolled = models.DateField(auto_now_add=True)

    class Everything(models.Model):
        text = models.TextField(null=True)
        number = models.IntegerField(null=True, default=7)
        positive = models.PositiveIntegerField(null=True)
        ratio = models.FloatField(null=True)
        price = models.DecimalField(max_digits=18, decimal_places=4, null=True)
        ready = models.BooleanField(default=False)
        day = models.DateField(null=True)
        clock = models.TimeField(null=True)
        moment = models.DateTimeField(null=True)
        changed = models.DateTimeField(auto_now=True)
        data = models.BinaryField(null=True)
        document = models.JSONField(null=True, default=dict)
        token = models.UUIDField(default=uuid.uuid4)
        parent = models.ForeignKey("self", on_delete=models.SET_NULL, null=True)
        guard = models.ForeignKey("Course", on_delete=models.PROTECT, null=True)

    module = types.ModuleType("models")
    for model in (User, Teacher, Course, Student, Enrollment, Everything):
        setattr(module, model.__name__, model)
    return module


class Contract:
    """The suite. ``ask`` makes a call the way of one thread or the other."""

    async def ask(self: Any, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def make_database(self: Any, module: Any) -> Any:
        return SQLiteDatabase(self.folder / "database.sqlite3", models=module)

    async def setUp(self: Any) -> None:
        self.patch(threadable, "ioThread", threadable.getThreadID())
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.models = school()
        self.database = self.make_database(self.models)
        await self.database.start(reactor)
        self.addCleanup(self.database.stop)
        await threads.deferToThread(schema.create_tables, self.database)

    async def user(self: Any, name: str = "Mike") -> Any:
        """A new user's id."""
        return await self.ask(self.models.User.Insert, username=name, password="Mike@123abc", email=f"{name}@mail.com")

    async def fails(self: Any, error: type[Exception], call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Assert that a call fails so, at once or later."""
        try:
            result = await self.ask(call, *args, **kwargs)
        except error as caught:
            return caught
        return self.fail(f"it answered {result!r}")

    async def test_insert_and_check(self: Any) -> None:
        """The documentation's signup and login: keys as attributes, keywords or texts."""
        User = self.models.User
        first = await self.user()
        second = await self.ask(User.Insert, {User.username: "Jane", User.password: "x", "email": "jane@mail.com"})
        self.assertEqual((first, second), (1, 2))
        condition = where[(User.username == "Mike") & (User.password == "Mike@123abc")]
        found = await self.ask(User.Check, condition, fetch=1, columns=[User.id])
        self.assertEqual(found, [(1,)])
        self.assertEqual(found[0].id, found[0][0])
        self.assertEqual(await self.ask(User.Check, where[User.username == "nobody"]), [])
        (row,) = await self.ask(User.Check, where[User.id == 2])
        self.assertEqual((row.username, row.email), ("Jane", "jane@mail.com"))
        self.assertLess(datetime.now(UTC) - row.user_creation_date, timedelta(minutes=1))

    async def test_insert_answers_false_for_constraints_alone(self: Any) -> None:
        """UNIQUE, NOT NULL, CHECK and foreign keys answer False; the row is not there, and the next insert works."""
        User, Teacher, Everything = self.models.User, self.models.Teacher, self.models.Everything
        await self.user()
        self.assertIs(await self.user(), False)
        self.assertIs(await self.ask(User.Insert, username="Jane", password="x"), False)
        self.assertIs(await self.ask(Teacher.Insert, user=99, name="x", department="y"), False)
        self.assertIs(await self.ask(Teacher.Insert, name="x", department="y"), False)
        self.assertIs(await self.ask(Everything.Insert, parent=5), False)
        self.assertEqual(await self.ask(User.Count), 1)
        self.assertEqual(await self.ask(Teacher.Insert, user=1, name="x", department="y"), 1)

    async def test_a_failure_that_is_no_constraint_raises(self: Any) -> None:
        """A missing table is no duplicate: False would tell a stranger that a name is taken."""
        Everything = self.models.Everything
        drop = sqlalchemy.schema.DropTable(Everything.declaration.table)
        await self.database.write(lambda connection: connection.define(drop))
        error = await self.fails(ConfigurationError, Everything.Insert)
        self.assertIn("updateschema", error.text)
        await self.fails(ConfigurationError, Everything.Check)

    async def test_hostile_names_are_no_sql(self: Any) -> None:
        """A payload's keys are looked up, all of them are told, and none reaches the database."""
        User = self.models.User
        payload = {
            'username", "email") VALUES ((SELECT password FROM user), 1) --': "x",
            "id; DROP TABLE user": 1,
            "__class__": 1,
            "username": 5,
            "email": "x" * 131,
        }
        error = await self.fails(InvalidPayload, User.Insert, payload)
        self.assertEqual(len(error.details["fields"]), 5)
        for columns in (["password) FROM user --"], ["*"], ["id", "id"], []):
            await self.fails(InvalidPayload, User.Check, columns=columns)
        for order in ("id; DROP TABLE user", "-nothing", "(SELECT 1)"):
            await self.fails(InvalidPayload, User.Check, order_by=order)
        await self.fails(TypeError, User.Check, columns="id")
        await self.fails(InvalidPayload, User.Update, {"id = 1 --": 2}, where[User.id == 1])
        self.assertEqual(await self.ask(User.Count), 0)

    async def test_a_value_that_spells_a_column_is_a_value(self: Any) -> None:
        """The original read a user name of ``username`` as the column, and let anybody in."""
        User = self.models.User
        await self.user()
        for name in ("username", '"username"', "user.username", "' OR '1'='1", 'x" OR "1"="1'):
            condition = where[(User.username == name) & (User.password == "Mike@123abc")]
            self.assertEqual(await self.ask(User.Check, condition), [])

    async def test_parentheses_keep_other_owners_out(self: Any) -> None:
        """``owner & (a | b)`` finds no row of another owner."""
        Course = self.models.Course
        for name in ("a", "b"):
            owner = await self.user(name)
            await self.ask(self.models.Teacher.Insert, user=owner, name=name, department="CS")
            for code in ("1", "2", "3"):
                await self.ask(Course.Insert, course_name=name, course_code=code, teacher=owner)
        condition = where[(Course.teacher == 1) & ((Course.course_code == "1") | (Course.course_code == "2"))]
        found = await self.ask(Course.Check, condition, columns=[Course.teacher, "course_code"], order_by="course_code")
        self.assertEqual(found, [(1, "1"), (1, "2")])

    async def test_update(self: Any) -> None:
        """Rows that meet the condition change; a constraint raises; ``auto_now`` moves."""
        User, Everything = self.models.User, self.models.Everything
        await self.user("Jack")
        await self.user("Jane")
        changed = await self.ask(User.Update, {User.email: "new@mail.com"}, where[User.username == "Jack"])
        self.assertEqual(changed, 1)
        self.assertEqual((await self.ask(User.Get, 1)).email, "new@mail.com")
        self.assertEqual((await self.ask(User.Get, 2)).email, "Jane@mail.com")
        await self.fails(AlreadyExists, User.Update, {User.email: "new@mail.com"}, where[User.id == 2])
        await self.fails(InvalidPayload, User.Update, {User.email: None}, where[User.id == 2])
        await self.fails(TypeError, User.Update, {User.email: "x"}, None)
        await self.fails(InvalidPayload, User.Update, {}, where[User.id == 2])
        key = await self.ask(Everything.Insert)
        before = (await self.ask(Everything.Get, key)).changed
        await self.ask(Everything.Update, {"text": "x"})
        self.assertGreater((await self.ask(Everything.Get, key)).changed, before)

    async def test_delete(self: Any) -> None:
        """By condition; all without one; None is a mistake and deletes nothing."""
        User = self.models.User
        for name in "abc":
            await self.user(name)
        await self.fails(TypeError, User.Delete, None)
        self.assertEqual(await self.ask(User.Count), 3)
        self.assertEqual(await self.ask(User.Delete, where[User.id == 2]), 1)
        self.assertEqual(await self.ask(User.Delete), 2)
        self.assertEqual(await self.user("d"), 4)  # a deleted row's number is not given again

    async def test_foreign_keys(self: Any) -> None:
        """CASCADE, SET_NULL and PROTECT do what they say."""
        m = self.models
        user = await self.user()
        await self.ask(m.Teacher.Insert, user=user, name="x", department="y")
        course = await self.ask(m.Course.Insert, course_name="x", course_code="y", teacher=user)
        parent = await self.ask(m.Everything.Insert, guard=course)
        child = await self.ask(m.Everything.Insert, parent=parent)
        await self.fails(Conflict, m.User.Delete)
        self.assertEqual(await self.ask(m.Course.Count), 1)
        await self.ask(m.Everything.Delete, where[m.Everything.id == parent])
        self.assertIsNone((await self.ask(m.Everything.Get, child)).parent)
        await self.ask(m.User.Delete)
        self.assertEqual((await self.ask(m.Teacher.Count), await self.ask(m.Course.Count)), (0, 0))

    async def test_every_kind_of_column(self: Any) -> None:
        """What is stored comes back as it was, of the same type; conditions find it."""
        Everything = self.models.Everything
        there = timezone(timedelta(hours=-5))
        values = {
            "text": "Zoë \U0001f600 'quoted' \"twice\"",
            "number": -(2**63),
            "positive": 2**63 - 1,
            "ratio": 0.1,
            "price": Decimal("99999999999999.9999"),
            "ready": True,
            "day": date(1, 1, 1),
            "clock": time(23, 59, 59, 999999),
            "moment": datetime(2024, 2, 29, 23, 30, 0, 1, tzinfo=there),
            "data": bytes(range(256)),
            "document": {"a": [1, None, {"b": "ü"}]},
            "token": uuid.UUID(int=2**127),
        }
        key = await self.ask(Everything.Insert, values)
        row = await self.ask(Everything.Get, key)
        for name, value in values.items():
            self.assertEqual(getattr(row, name), value, name)
            self.assertIs(type(getattr(row, name)), type(value), name)
            if name != "document":
                condition = getattr(Everything, name) == value
                self.assertEqual(len(await self.ask(Everything.Check, where[condition])), 1, name)
        self.assertEqual(row.moment.tzinfo, UTC)
        self.assertEqual(len(await self.ask(Everything.Check, where[Everything.price > Decimal("99999999999999")])), 1)
        defaults = await self.ask(Everything.Get, await self.ask(Everything.Insert))
        self.assertEqual((defaults.number, defaults.document, defaults.ready), (7, {}, False))
        self.assertNotEqual(defaults.token, row.token)
        emptied = await self.ask(Everything.Insert, number=None, document=None)
        self.assertEqual((await self.ask(Everything.Get, emptied)).number, None)

    async def test_all_bad_values_are_told_at_once(self: Any) -> None:
        """One error lists every bad field; nothing of the values is in it."""
        error = await self.fails(
            InvalidPayload,
            self.models.Everything.Insert,
            number=2**63,
            positive=-1,
            ratio=float("nan"),
            text="\ud800",
            moment=datetime(2020, 1, 1),
            nothing=1,
        )
        wanted = {"number", "positive", "ratio", "text", "moment", "nothing"}
        self.assertEqual(set(error.details["fields"]), wanted)
        for name in wanted:
            self.assertIn(name, error.text)
        self.assertEqual(await self.ask(self.models.Everything.Count), 0)

    async def test_queries(self: Any) -> None:
        """Order, fetch, offset, lists, patterns, ranges, Get and Count."""
        User = self.models.User
        for name in ("anna", "Anna", "ben_1", "benx1", "50%"):
            await self.user(name)

        async def names(condition: Any = None, **options: Any) -> list[str]:
            args = () if condition is None else (where[condition],)
            return [row[0] for row in await self.ask(User.Check, *args, columns=["username"], **options)]

        self.assertEqual(await names(order_by="-id", fetch=2), ["50%", "benx1"])
        self.assertEqual(await names(order_by=User.id.asc(), fetch=2, offset=1), ["Anna", "ben_1"])
        self.assertEqual(await names(order_by=[User.id.desc()], offset=4), ["anna"])
        self.assertEqual(await names(User.username.startswith("A")), ["Anna"])
        self.assertEqual(await names(User.username.contains("n_1")), ["ben_1"])
        self.assertEqual(await names(User.username.endswith("%")), ["50%"])
        self.assertEqual(await names(User.username.like("ben_1"), order_by="id"), ["ben_1", "benx1"])
        self.assertEqual(await names(User.id.in_([1, 3, 99]), order_by="id"), ["anna", "ben_1"])
        self.assertEqual(await names(~User.id.in_([]) & (User.id < 2)), ["anna"])
        self.assertEqual(await names(User.id.between(4, 5), order_by="id"), ["benx1", "50%"])
        self.assertEqual(await names(User.id.is_null()), [])
        self.assertEqual(await names(fetch=0), [])
        self.assertEqual(await self.ask(User.Count, where[User.id > 3]), 2)
        self.assertIsNone(await self.ask(User.Get, 99))
        await self.fails(Conflict, User.Get, where[User.id > 3])
        for options in ({"fetch": -1}, {"offset": -1}, {"fetch": 2**64}):
            await self.fails(InvalidPayload, User.Check, **options)
        for options in ({"fetch": True}, {"fetch": "1"}, {"where": None}, {"where": User.id}):
            await self.fails(TypeError, User.Check, **options)

    async def test_many_rows_at_once(self: Any) -> None:
        """A list of rows is stored whole or not at all."""
        User = self.models.User
        rows = [{"username": str(n), "password": "x", "email": str(n)} for n in range(100)]
        self.assertEqual(await self.ask(User.Insert, rows), list(range(1, 101)))
        self.assertIs(
            await self.ask(User.Insert, [{"username": "new", "password": "x", "email": "new"}, rows[0]]), False
        )
        self.assertEqual(await self.ask(User.Count), 100)

    async def test_transactions(self: Any) -> None:
        """All or nothing; calls inside see what it did; the outside does not, until it is done."""
        User = self.models.User

        def works() -> Any:
            key = User.Insert(username="a", password="x", email="a")
            refused = User.Insert(username="a", password="x", email="a")
            User.Update({"email": "b"}, where[User.id == key])
            return key, refused, User.Get(key).email

        self.assertEqual(await self.ask(self.database.transaction, works), (1, False, "b"))

        def breaks() -> None:
            User.Delete()
            User.Insert(username="c", password="x", email="c")
            raise KeyError("no")

        await self.fails(KeyError, self.database.transaction, breaks)
        self.assertEqual([row.username for row in await self.ask(User.Check)], ["a"])

        async def coroutine() -> None:
            raise AssertionError("never run")

        await self.fails(TypeError, self.database.transaction, coroutine)
        await self.fails(TypeError, self.database.transaction, lambda: coroutine())

    async def test_simultaneous_increments_are_all_kept(self: Any) -> None:
        """Read-modify-write from many sides at once loses no update."""
        Everything = self.models.Everything
        key = await self.ask(Everything.Insert, number=0)

        def increment() -> None:
            Everything.Update({"number": Everything.Get(key).number + 1}, where[Everything.id == key])

        calls = [threads.deferToThread(self.database.transaction, increment) for _ in range(50)]
        calls += [self.database.transaction(increment) for _ in range(50)]
        await gatherResults(calls)
        self.assertEqual((await self.ask(Everything.Get, key)).number, 100)

    async def test_load_user(self: Any) -> None:
        """The user's row by id; None for nobody, and for what cannot be an id."""
        await self.user()
        self.assertIs(self.database.user_model, self.models.User)
        self.assertEqual((await self.database.load_user(1)).username, "Mike")
        for nobody in (2, "1", None, True, 2**70, [1]):
            self.assertIsNone(await self.database.load_user(nobody))


class OnTheReactor(Contract, TestCase):
    """Calls made on the reactor's thread."""

    async def ask(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        answer = call(*args, **kwargs)
        if isinstance(answer, Pending):
            self.assertRaises(TypeError, bool, answer)
        return await answer


class InAThread(Contract, TestCase):
    """Calls made in a thread."""

    async def ask(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if hasattr(call, "__wrapped__") or call.__name__ == "user":
            return await call(*args, **kwargs)
        return await threads.deferToThread(call, *args, **kwargs)


class InMemory(OnTheReactor):
    """A database in memory, and the adapter's other name."""

    def make_database(self, module: Any) -> Any:
        return AsyncSQLiteDatabase(":memory:", models=module)


class OnPostgreSQL:
    """A database of the PostgreSQL server."""

    def make_database(self, module: Any) -> Any:
        return PostgreSQLDatabase(database_servers.postgresql(), models=module)


class OnMySQL:
    """A database of the MariaDB or MySQL server."""

    def make_database(self, module: Any) -> Any:
        return MySQLDatabase(database_servers.mysql(), models=module)


class PostgreSQLOnTheReactor(OnPostgreSQL, OnTheReactor):
    """PostgreSQL, asked on the reactor's thread."""


class PostgreSQLInAThread(OnPostgreSQL, InAThread):
    """PostgreSQL, asked in a thread."""


class MySQLOnTheReactor(OnTheReactor):
    """MariaDB or MySQL, asked on the reactor's thread, by the adapter's other name."""

    def make_database(self, module: Any) -> Any:
        return AsyncMySQLDatabase(database_servers.mysql(), models=module)


class MySQLInAThread(OnMySQL, InAThread):
    """MariaDB or MySQL, asked in a thread."""
