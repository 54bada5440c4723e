"""Sessions over a project's own models and database: what ends them there, and what does not."""

import os
import shutil
import tempfile
from typing import Any

from sqlalchemy.schema import CreateTable
from twisted.internet import reactor
from twisted.python import threadable
from twisted.trial.unittest import TestCase

from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where
from fluxon.errors import NotFound
from fluxon.sessions import DatabaseAccounts, Ending, SQLStore


class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
    email = models.EmailField(null=True)
    password = models.CharField(max_length=200)


class DatabaseAccountsTests(TestCase):
    """A user's row, real SQLite, and the models' own calls."""

    house: Any

    async def setUp(self) -> None:
        threadable.registerAsIOThread()
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.database = SQLiteDatabase(os.path.join(self.folder, "project.db"))
        self.database.bind([User])
        self.addCleanup(self.database.unbind)
        await self.start()
        table = CreateTable(User.declaration.table)
        await self.database.write(lambda connection: connection.define(table))
        self.user_id = await User.Insert(username="ann", password="stored-1")

    async def start(self) -> None:
        """A server process that starts on the file as it is."""
        self.sessions = self.house.process(persistent=SQLStore(self.database), accounts=DatabaseAccounts(self.database))
        await self.database.start(reactor)
        self.addCleanup(self.database.stop)

    async def logged_in(self) -> Any:
        return await self.sessions.login((await self.sessions.resume(None)).session, self.user_id)

    async def test_restart(self) -> None:
        """A server that was stopped and started again still knows who is logged in."""
        _, token = await self.logged_in()
        await self.database.stop()
        await self.start()
        resumed = await self.sessions.resume(token)
        self.assertFalse(resumed.fresh)
        self.assertEqual((resumed.session.user.id, resumed.session.user.username), (self.user_id, "ann"))

    async def test_password(self) -> None:
        """``Update`` of the password ends the session; of anything else it does not."""
        session, token = await self.logged_in()
        await User.Update({User.email: "ann@example.org"}, where[User.id == self.user_id])
        self.house.clock.advance(2)
        self.assertTrue(await self.sessions.verify(session))
        self.assertEqual(session.user.email, "ann@example.org")
        await User.Update({User.password: "stored-2"}, where[User.id == self.user_id])
        self.house.clock.advance(2)
        self.assertFalse(await self.sessions.verify(session))
        self.assertIs(session.ending, Ending.PASSWORD_CHANGED)
        self.assertTrue((await self.sessions.resume(token)).fresh)

    async def test_deleted(self) -> None:
        """A session does not keep its user from being deleted, and ends with them."""
        session, _ = await self.logged_in()
        self.assertEqual(await User.Delete(where[User.id == self.user_id]), 1)
        self.house.clock.advance(2)
        self.assertFalse(await self.sessions.verify(session))
        self.assertIs(session.ending, Ending.USER_DELETED)
        await self.database.write(lambda connection: None)  # answered after the row's deletion, asked for before
        self.assertEqual(await self.sessions.list_user(self.user_id), [])

    async def test_nobody(self) -> None:
        """A user that the table does not have cannot log in."""
        anonymous = (await self.sessions.resume(None)).session
        with self.assertRaises(NotFound):
            await self.sessions.login(anonymous, self.user_id + 1)
