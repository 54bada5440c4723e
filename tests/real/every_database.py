"""Tests of models on every database: a class of tests is joined with one of the cases below.

Each case has a database of its own with the tables of ``declare()``, and ``ask``, which makes a call the way of the
reactor's thread (awaited) or of another (blocking).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import database_servers
from twisted.internet import reactor, threads
from twisted.python import threadable
from twisted.trial.unittest import TestCase

from fluxon.blocking import Pending
from fluxon.database import schema
from fluxon.database.apis import MySQLDatabase, PostgreSQLDatabase, SQLiteDatabase


class _DatabaseCase(TestCase):
    """A started database with its tables."""

    in_thread = False
    dialect = "sqlite"

    def declare(self) -> list[Any]:
        """The models, made anew for each test."""
        raise NotImplementedError

    def make_database(self, models: Any) -> Any:
        raise NotImplementedError

    async def setUp(self) -> None:
        self.patch(threadable, "ioThread", threadable.getThreadID())
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        models = self.declare()
        for model in models:
            setattr(self, model.__name__, model)
        self.database = self.make_database(models)
        await self.database.start(reactor)
        self.addCleanup(self.database.stop)
        await threads.deferToThread(self.make_tables)

    def make_tables(self) -> None:
        """Blocks."""
        schema.create_tables(self.database)

    async def ask(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.in_thread:
            return await threads.deferToThread(call, *args, **kwargs)
        answer = call(*args, **kwargs)
        self.assertIsInstance(answer, Pending)
        return await answer

    async def fails(self, error: type[Exception], call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Assert that a call fails so, at once or later."""
        try:
            result = await self.ask(call, *args, **kwargs)
        except error as caught:
            return caught
        return self.fail(f"it answered {result!r}")


class SQLiteCase(_DatabaseCase):
    """SQLite, asked on the reactor's thread."""

    def make_database(self, models: Any) -> Any:
        return SQLiteDatabase(self.folder / "database.sqlite3", models=models)


class SQLiteThreadCase(SQLiteCase):
    """SQLite, asked in a thread."""

    in_thread = True


class PostgreSQLCase(_DatabaseCase):
    """PostgreSQL, asked on the reactor's thread."""

    dialect = "postgresql"

    def make_database(self, models: Any) -> Any:
        return PostgreSQLDatabase(database_servers.postgresql(), models=models)


class MySQLCase(_DatabaseCase):
    """MariaDB or MySQL, asked in a thread."""

    in_thread = True
    dialect = "mysql"

    def make_database(self, models: Any) -> Any:
        return MySQLDatabase(database_servers.mysql(), models=models)
