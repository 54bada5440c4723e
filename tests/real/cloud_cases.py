"""Tests of the cloud storage on every database: a class of tests is joined with one of the cases below.

Each case has a database of its own with two users, an open storage, and nothing in it but ``/``. All calls block.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import database_servers
from twisted.internet.task import Clock
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from fluxon.cloud import assignments
from fluxon.cloud.agent import ADMIN, Agent, stranger
from fluxon.cloud.authorization_models import (
    AnonymousPermissions,
    DefaultRole,
    Permissions,
    RoleBasedAccessControl,
    RootPermissions,
)
from fluxon.cloud.constraints import ALWAYS, Constraint
from fluxon.cloud.entries import CloudOptions
from fluxon.cloud.objects import Objects
from fluxon.cloud.storage import Storage
from fluxon.database import models, schema
from fluxon.database.apis import MySQLDatabase, PostgreSQLDatabase, SQLiteDatabase
from fluxon.security import passwords

#: When the tests' clock begins.
BEGIN = datetime(2026, 8, 1, 12, tzinfo=UTC)


class Model(RoleBasedAccessControl):
    """The seed's, without a default role."""

    class owner(RoleBasedAccessControl.Role):
        permissions = list(Permissions)

    class collaborator(RoleBasedAccessControl.Role):
        permissions = [
            Permissions.READ_FILE,
            Permissions.WRITE_FILE,
            Permissions.READ_TREE_DIRECTORY,
            Permissions.CREATE_FILE,
        ]

    class viewer(RoleBasedAccessControl.Role):
        permissions = [Permissions.READ_FILE, Permissions.READ_TREE_DIRECTORY]

    class dropbox(RoleBasedAccessControl.Role):
        permissions = [Permissions.CREATE_FILE]

    class nothing(RoleBasedAccessControl.Role):
        permissions = []

    DefaultRole(None)
    AnonymousPermissions(permissions=[])
    RootPermissions(permissions=[Permissions.CREATE_SUB_DIRECTORY])


class CloudCase(SynchronousTestCase):
    """An open storage."""

    dialect = "sqlite"
    model: Any = Model
    options = CloudOptions()

    def make_database(self, declared: Any) -> Any:
        raise NotImplementedError

    def setUp(self) -> None:
        self.patch(threadable, "ioThread", None)
        # A smaller hash than the real one: nobody logs in here.
        self.patch(passwords, "MEMORY_KIB", 64)
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

        class User(models.AuthenticatedUser):
            username = models.CharField(max_length=40, unique=True)
            password = models.PasswordField()

        self.User = User
        self.database = self.make_database([User])
        self.addCleanup(self.database.close)
        schema.create_tables(self.database)
        self.clock = Clock()
        self.clock.advance(BEGIN.timestamp())
        self.storage = self.make_storage()
        self.jane, self.mike = self.add_user("Jane"), self.add_user("Mike")
        self.admin, self.stranger = ADMIN, stranger("192.0.2.9")

    def make_storage(self, **options: Any) -> Storage:
        """An open storage on the case's database and folder."""
        made = CloudOptions(**options) if options else self.options
        storage = Storage(self.database, Objects(self.folder / "cloud"), self.model, made, self.clock.seconds)
        storage.open()
        self.addCleanup(storage.close)
        return storage

    def add_user(self, name: str) -> Agent:
        """A new user, who acts from an address."""
        values = {"username": name, "password": "x" * 20}
        return Agent(self.User.Insert(**values), name, "192.0.2.1")

    def assign(self, path: str, agent: Agent, role: str, limits: Constraint = ALWAYS) -> None:
        """Give a user a role at an item."""
        item_id = self.storage.stat(ADMIN, path).id

        def work(connection: Any) -> None:
            now = self.storage.now()
            assignments.assign(connection, self.storage.draw, item_id, agent.user_id, role, limits, now)

        self.database.write_blocking(work)

    def refused(self, error: type[Exception], call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Assert that a call fails so; the error."""
        return self.assertRaises(error, call, *args, **kwargs)

    def names(self, agent: Agent, path: str) -> list[str]:
        """What an agent sees in a directory."""
        return [entry.name for entry in self.storage.listing(agent, path).entries]

    def objects_on_disk(self) -> int:
        """How many objects there are."""
        return sum(1 for path in (self.folder / "cloud" / "objects").glob("*/*") if path.is_file())

    def together(self, *calls: Callable[[], Any]) -> list[Any]:
        """Each call in a thread of its own, all at once; results or errors, in order."""
        outcomes: list[Any] = [None] * len(calls)
        barrier = threading.Barrier(len(calls))

        def run(number: int, call: Callable[[], Any]) -> None:
            barrier.wait()
            try:
                outcomes[number] = call()
            except Exception as error:
                outcomes[number] = error

        threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes


class SQLiteCloud(CloudCase):
    """On SQLite."""

    def make_database(self, declared: Any) -> Any:
        return SQLiteDatabase(self.folder / "database.sqlite3", models=declared)


class PostgreSQLCloud(CloudCase):
    """On PostgreSQL."""

    dialect = "postgresql"

    def make_database(self, declared: Any) -> Any:
        return PostgreSQLDatabase(database_servers.postgresql(), models=declared)


class MySQLCloud(CloudCase):
    """On MariaDB or MySQL."""

    dialect = "mysql"

    def make_database(self, declared: Any) -> Any:
        return MySQLDatabase(database_servers.mysql(), models=declared)
