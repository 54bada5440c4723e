"""The database in programs: a script without a reactor, a server that stops and starts, several at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy
from twisted.internet import reactor, threads
from twisted.internet.defer import CancelledError, gatherResults
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where
from fluxon.errors import ConfigurationError, InvalidPayload, Unavailable
from fluxon.security.passwords import verify_password

SCRIPT = """
import os, sys, threading
from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where

class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)

path = sys.argv[1]
database = SQLiteDatabase(path, models=[User])
assert threading.active_count() == 1, "constructing started a thread"
assert not os.path.exists(path), "constructing made a file"
assert "twisted.internet.reactor" not in sys.modules, "importing installed a reactor"
schema.create_tables(database)
print(User.Insert(username="Mike"), User.Insert(username="Mike"))
threads = [threading.Thread(target=lambda n=n: User.Insert(username=f"u{n}")) for n in range(8)]
[each.start() for each in threads]
[each.join() for each in threads]
print(User.Count(), User.Check(where[User.username == "Mike"])[0].id)
database.close()
print(User.Count())
assert "twisted.internet.reactor" not in sys.modules
"""


FORK = """
import os, sys
from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase

class Note(models.Model):
    text = models.TextField()

database = SQLiteDatabase(sys.argv[1], models=[Note])
schema.create_tables(database)
print(Note.Insert(text="parent"), Note.Count(), flush=True)
def fork():
    child = os.fork()
    if child == 0:
        for use in (lambda: Note.Insert(text="child"), Note.Count):
            try:
                print(use(), flush=True)
            except RuntimeError as error:
                print("close() the database" in str(error), flush=True)
        os._exit(0)
    os.waitpid(child, 0)

fork()
print(Note.Insert(text="parent"), Note.Count(), flush=True)
database.close()
fork()
print(Note.Insert(text="parent"), Note.Count(), flush=True)
"""

#: Two of it write to one file without pause; each ends when both have been seen to write.
BUSY = """
import sys
from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where

class Note(models.Model):
    text = models.TextField(db_index=True)

database = SQLiteDatabase(sys.argv[1], models=[Note])
schema.create_tables(database)
me, other = sys.argv[2:]
Note.Count()
print("ready", flush=True)
input()
written = 0
while written < 200 or Note.Count(where[Note.text == other]) < 200:
    for _ in range(100):
        Note.Insert(text=me)
    written += 100
    assert written < 10_000, "the other was shut out"
"""


def declare() -> tuple[Any, Any]:
    """Models made anew for each test."""

    class User(models.AuthenticatedUser):
        username = models.CharField(max_length=100, unique=True)
        password = models.PasswordField()

    class Note(models.Model):
        text = models.TextField()

    return User, Note


class Script(SynchronousTestCase):
    """A program of ten lines."""

    def folder(self) -> str:
        """A new one, for this test."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        return folder

    def output(self, script: str) -> str:
        """What a script prints; nothing may go to stderr."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script, self.folder() + "/x.sqlite3"],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=Path(__file__).parents[2],
        )
        self.assertEqual(done.stderr, "")
        return done.stdout

    def test_a_script_needs_no_reactor(self) -> None:
        """It constructs, inserts from threads, closes, opens again, and ends by itself."""
        self.assertEqual(self.output(SCRIPT), "1 False\n9 1\n9\n")

    def test_a_fork_opens_what_was_closed(self) -> None:
        """What its parent had open would lose the child's rows: told, with what to do, and not by hanging."""
        self.assertEqual(self.output(FORK), "1 1\nTrue\nTrue\n2 2\n3\n3\n4 4\n")

    def test_two_that_write_without_pause(self) -> None:
        """Two programs on one file take turns: neither is shut out, or told that the database is locked."""
        path = Path(self.folder()) / "x.sqlite3"
        command = [sys.executable, "-W", "error", "-c", BUSY, str(path)]
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        both = [
            subprocess.Popen([*command, *names], text=True, cwd=Path(__file__).parents[2], **pipes)
            for names in (("one", "other"), ("other", "one"))
        ]
        try:
            self.assertEqual([each.stdout.readline() for each in both], ["ready\n"] * 2)
            for each in both:
                each.stdin.write("go\n")
                each.stdin.flush()
            self.assertEqual([each.communicate(timeout=60) for each in both], [("", "")] * 2)
        finally:
            for each in both:
                each.kill()
                each.wait()


class UnderAReactor(TestCase):
    """The database of a running server."""

    async def setUp(self) -> None:
        self.patch(threadable, "ioThread", threadable.getThreadID())
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.user, self.note = declare()
        self.database = SQLiteDatabase(self.folder / "data.sqlite3", models=[self.user, self.note])
        await self.database.start(reactor)
        self.addCleanup(lambda: self.database.stop())
        await threads.deferToThread(schema.prepare, self.database, self.folder / "database_schema")

    async def test_stop_and_start_again(self) -> None:
        """What was written is there; what waited at the stop was done; both kinds of call work again."""
        waiting = [self.note.Insert(text=str(number)) for number in range(100)]
        await self.database.stop()
        self.assertEqual(sorted(await gatherResults(waiting)), list(range(1, 101)))
        await self.database.start(reactor)
        self.assertEqual(await self.note.Count(), 100)
        self.assertEqual(await threads.deferToThread(self.note.Count), 100)

    async def test_a_file_that_cannot_be_opened(self) -> None:
        """Starting says so; it is no hang and no False; and once it can be opened it is."""
        inside = self.folder / "not-there" / "x.sqlite3"
        user, _ = declare()
        database = SQLiteDatabase(inside, models=[user])
        with self.assertRaises(ConfigurationError):
            await database.start(reactor)
        with self.assertRaises(ConfigurationError):
            await user.Insert(username="x", password="y")
        with self.assertRaises(ConfigurationError):
            await user.Count()
        inside.parent.mkdir()
        await threads.deferToThread(schema.create_tables, database)
        self.assertEqual(await user.Count(), 0)
        await database.stop()

    async def test_no_database_file_is_no_database(self) -> None:
        """A file of something else is told, and left as it is."""
        path = self.folder / "letter.txt"
        path.write_bytes(b"Dear Jane, " * 1000)
        database = SQLiteDatabase(path)
        with self.assertRaises(Unavailable):
            await database.start(reactor)
        self.assertEqual(path.read_bytes(), b"Dear Jane, " * 1000)
        await database.stop()

    async def test_engine_tables(self) -> None:
        """They are made when missing, also late; another name, a second declaration, another version are refused."""

        def table(name: str, version: int = 1) -> sqlalchemy.Table:
            column = sqlalchemy.Column("x", sqlalchemy.Integer, index=True)
            return sqlalchemy.Table(name, sqlalchemy.MetaData(), column, info={"version": version})

        late = table("fluxon_late")
        self.database.install(late)
        self.database.install(late)
        await self.database.write(lambda connection: connection.run(late.insert(), {"x": 5}))
        self.assertRaises(ConfigurationError, self.database.install, table("users"))
        self.assertRaises(ConfigurationError, self.database.install, table("fluxon_late"))
        newer = SQLiteDatabase(f"sqlite:///{self.folder}/data.sqlite3")
        newer.install(table("fluxon_late", version=2))
        with self.assertRaises(ConfigurationError):
            await newer.start(reactor)
        await newer.stop()
        self.assertRaises(ConfigurationError, SQLiteDatabase, "mysql://localhost/x")

    async def test_models_have_one_database(self) -> None:
        """Binding them elsewhere too raises, until the first lets go; so do two users, and unbound models."""
        other = SQLiteDatabase(self.folder / "other.sqlite3")
        with self.assertRaises(ConfigurationError):
            other.bind([self.user])
        second, _ = declare()
        with self.assertRaises(ConfigurationError):
            second.Count()
        with self.assertRaises(ConfigurationError):
            other.bind([second, declare()[0]])
        self.database.unbind()
        other.bind([self.user, self.note])
        self.assertIs(other.user_model, self.user)

    async def test_blocking_calls_are_refused_on_the_reactor(self) -> None:
        """Nothing that would block the reactor can be called there by mistake."""
        for call in (self.database.read_blocking, self.database.write_blocking):
            self.assertRaises(RuntimeError, call, lambda connection: None)
        self.assertRaises(RuntimeError, self.database.close)

    async def test_a_reader_cannot_write(self) -> None:
        """A function given to ``read`` is on a connection that refuses changes."""
        statement = self.note.declaration.table.insert()
        with self.assertRaises(Unavailable):
            await self.database.read(lambda connection: connection.run(statement, {"text": "x"}))
        self.assertEqual(await self.note.Count(), 0)

    async def test_a_reader_may_ask_its_models(self) -> None:
        """A function given to ``read`` can call models: they answer in its own thread, without waiting for it."""
        await self.note.Insert(text="x")
        self.assertEqual(await self.database.read(lambda connection: self.note.Count()), 1)

    async def test_a_cancelled_call(self) -> None:
        """Its Deferred fails at once; the database goes on."""
        call = self.note.Insert(text="x")
        call.cancel()
        with self.assertRaises(CancelledError):
            await call
        self.assertTrue(await self.note.Insert(text="y"))

    async def test_passwords(self) -> None:
        """They are stored as hashes, verified by Authenticate, and a wrong one and a stranger look the same."""
        key = await self.user.Insert(username="Jane", password="Jane123@abc")
        row = await self.user.Get(key)
        self.assertNotIn("Jane123", row.password)
        self.assertTrue(verify_password("Jane123@abc", row.password))
        self.assertEqual((await self.user.Authenticate("Jane", "Jane123@abc")).id, key)
        self.assertEqual((await threads.deferToThread(self.user.Authenticate, "Jane", "Jane123@abc")).id, key)
        for name, password in (("Jane", "wrong"), ("nobody", "Jane123@abc"), (None, None), ("Jane", "x" * 5000)):
            self.assertIsNone(await self.user.Authenticate(name, password))
        await self.user.Update({"password": "New123@abc"}, where[self.user.id == key])
        self.assertIsNone(await self.user.Authenticate("Jane", "Jane123@abc"))
        self.assertTrue(await self.user.Authenticate("Jane", "New123@abc"))
        with self.assertRaises(InvalidPayload):
            await self.user.Insert(username="x", password="x" * 2000)

    async def test_passwords_do_not_hold_up_writers(self) -> None:
        """Inside a transaction they are refused: hashing there would stop every other write."""
        with self.assertRaises(RuntimeError):
            await self.database.transaction(lambda: self.user.Insert(username="x", password="y"))
        with self.assertRaises(RuntimeError):
            await self.database.transaction(lambda: self.user.Authenticate("x", "y"))
        self.assertEqual(await self.user.Count(), 0)
