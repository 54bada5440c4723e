"""A model's calls on the reactor's thread: promises, kept by threads of the storage's pool."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor, threads
from twisted.python import threadable
from twisted.trial.unittest import TestCase

from fluxon.blocking import Pending
from fluxon.cloud.authorization_models import Permissions, RoleBasedAccessControl
from fluxon.cloud.objects import Objects
from fluxon.cloud.storage import Storage
from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase
from fluxon.errors import ConfigurationError, InvalidPayload, NotFound
from fluxon.workers import WorkerPool


class Model(RoleBasedAccessControl):
    class viewer(RoleBasedAccessControl.Role):
        permissions = [Permissions.READ_FILE]


class TestOnTheReactor(TestCase):
    async def setUp(self) -> None:
        self.patch(threadable, "ioThread", threadable.getThreadID())
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

        class User(models.AuthenticatedUser):
            username = models.CharField(max_length=40, unique=True)
            password = models.PasswordField()

        self.database = SQLiteDatabase(self.folder / "database.sqlite3", models=[User])
        await self.database.start(reactor)
        self.addCleanup(self.database.stop)
        self.storage: Any = await threads.deferToThread(self.opened, User)
        self.pool = WorkerPool("file", 2, reactor)
        self.addCleanup(self.pool.stop)
        self.addCleanup(Model.unbind)

    def opened(self, User: Any) -> Storage:
        schema.create_tables(self.database)
        User.Insert(username="Mike", password="x" * 20)
        storage = Storage(self.database, Objects(self.folder / "cloud"), Model)
        storage.open()
        self.addCleanup(storage.close)
        return storage

    async def test_awaited(self) -> None:
        """The same calls with the same answers, to be awaited; one that is not awaited is not mistaken for True."""
        Model.bind(self.storage, self.pool)
        status = await Model.assign_role(role=Model.viewer, path="/", username="Mike")
        self.assertEqual(status["status"], "role assigned successfully")
        asked = Model.can_assign_roles("/", username="Mike")
        self.assertIsInstance(asked, Pending)
        self.assertRaises(TypeError, bool, asked)
        self.assertIs(await asked, False)
        self.assertEqual(await Model.get_user_role("/", username="Mike"), ["viewer"])

    async def test_errors(self) -> None:
        """Wrong arguments raise at once, what the storage says when it is awaited."""
        Model.bind(self.storage, self.pool)
        self.assertRaises(InvalidPayload, Model.assign_role, role="chief", path="/", username="Mike")
        waiting = Model.assign_role(role=Model.viewer, path="/", username="Nobody")
        await self.assertFailure(waiting, NotFound)

    async def test_without_threads(self) -> None:
        """A storage that was bound without threads serves threads, and tells the reactor's what it lacks."""
        Model.bind(self.storage)
        self.assertIn("WorkerPool", str(self.assertRaises(ConfigurationError, Model.get_user_role, "/", None)))
        self.assertEqual(await threads.deferToThread(Model.get_user_role, "/", None), [])
