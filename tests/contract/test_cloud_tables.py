"""The cloud's tables on every database: made beside the project's, and unharmed by what happens to those."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from every_database import MySQLCase, PostgreSQLCase, SQLiteCase
from sqlalchemy import bindparam
from twisted.internet import threads

from fluxon.cloud.tables import AUDIT_LOGS, ITEMS, QUOTAS, tables_for
from fluxon.database import models, schema

_NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)

_ADD_ITEM = sqlalchemy.insert(ITEMS)
_ADD_QUOTA = sqlalchemy.insert(QUOTAS)
_ADD_ACTION = sqlalchemy.insert(AUDIT_LOGS)
_ITEMS = sqlalchemy.select(ITEMS.c.id, ITEMS.c.name, ITEMS.c.creator_id).order_by(ITEMS.c.id)
_QUOTAS = sqlalchemy.select(QUOTAS.c.user_id, QUOTAS.c.used)
_ACTIONS = sqlalchemy.select(AUDIT_LOGS.c.user_id, AUDIT_LOGS.c.user_name)
_FIND = sqlalchemy.select(ITEMS.c.id).where(ITEMS.c.name_key == bindparam("key"))


class Tables:
    """The suite; a class at the end joins it with a database."""

    def declare(self: Any) -> list[Any]:
        class User(models.AuthenticatedUser):
            username = models.CharField(max_length=20, unique=True)
            password = models.PasswordField()

        return [User]

    def renamed(self: Any) -> list[Any]:
        """The same project a year later: its users have another name, and a column more."""

        class Member(models.AuthenticatedUser):
            username = models.CharField(max_length=20, unique=True)
            password = models.PasswordField()
            nickname = models.CharField(max_length=30, default="")

            class Meta:
                renamed_from = "User"

        return [Member]

    def make_tables(self: Any) -> None:
        schema.save_schema(self.database, self.folder / "schema")
        schema.update_schema(self.database, self.folder / "schema")
        self.make()

    def make(self: Any) -> None:
        model = self.database.user_model
        self.database.make_tables(tables_for(self.database.table(model)))

    def fill(self: Any, connection: Any) -> None:
        def add(**values: Any) -> None:
            row = dict.fromkeys(ITEMS.c.keys()) | {
                "name_size": 1,
                "type": "directory",
                "size": 0,
                "version": 0,
                "created_at": _NOW,
                "modified_at": _NOW,
            }
            connection.run(_ADD_ITEM, row | values)

        add(id=1, name="", name_key="")
        add(id=2, parent_id=1, name="Jane", name_key="jane", creator_id=self.jane)
        add(id=3, parent_id=2, name="x", name_key="x", creator_id=self.mike)
        quota = {"item_id": None, "bytes_limit": None, "used": 7, "replaced": 0}
        connection.run(_ADD_QUOTA, {"id": 1, "user_id": self.jane, **quota})
        action = dict.fromkeys(("user_key", "action", "item_type", "path", "place", "outcome"), "")
        action |= {"item_id": 2, "address": None, "details": None}
        connection.run(_ADD_ACTION, {"id": 1, "at": _NOW, "user_id": self.jane, "user_name": "Jane", **action})

    async def filled(self: Any) -> None:
        user = self.User
        self.jane = await self.ask(user.Insert, username="Jane", password="Jane123@abc")
        self.mike = await self.ask(user.Insert, username="Mike", password="Mike123@abc")
        await threads.deferToThread(self.database.write_blocking, self.fill)

    async def rows(self: Any, statement: Any) -> list[tuple[Any, ...]]:
        found = await self.database.read(lambda connection: connection.rows(statement))
        return [tuple(row) for row in found]

    async def test_made_twice(self: Any) -> None:
        """Tables that are there are left as they are, with what is in them."""
        await self.filled()
        await threads.deferToThread(self.make)
        self.assertEqual(len(await self.rows(_ITEMS)), 3)

    async def test_users_deleted(self: Any) -> None:
        """What they made stays and is nobody's; their quota goes; the log keeps their names."""
        await self.filled()
        self.assertEqual(await self.ask(self.User.Delete, self.User.username == "Jane"), 1)
        self.assertEqual(await self.rows(_ITEMS), [(1, "", None), (2, "Jane", None), (3, "x", self.mike)])
        self.assertEqual(await self.rows(_QUOTAS), [])
        self.assertEqual(await self.rows(_ACTIONS), [(None, "Jane")])

    async def test_keys_are_compared_by_byte(self: Any) -> None:
        """No database finds a key by another that only looks like it to a dictionary."""
        await self.filled()
        for key, found in (("jane", 1), ("Jane", 0), ("j\u00e4ne", 0), ("jane ", 0)):
            rows = await self.database.read(lambda connection, key=key: connection.rows(_FIND, {"key": key}))
            self.assertEqual(len(rows), found, key)

    async def test_schema_updates(self: Any) -> None:
        """The table of users gets another name and another column: every row stays, and every reference works."""
        await self.filled()
        folder = self.folder / "schema"
        models_then = self.database.models
        self.database.unbind()
        self.database.bind(self.renamed())
        member = self.database.user_model
        await threads.deferToThread(schema.save_schema, self.database, folder)
        await threads.deferToThread(schema.update_schema, self.database, folder)
        await self.still_referring(member, self.jane, 2)
        self.database.unbind()
        self.database.bind(models_then)
        await threads.deferToThread(schema.update_schema, self.database, folder, 1, drop=["Member.nickname"])
        await self.still_referring(self.User, self.mike, 3)

    async def still_referring(self: Any, model: Any, user: int, item: int) -> None:
        """``item`` has the creator ``user``, who is then deleted."""
        self.assertIn((item, user), [(row[0], row[2]) for row in await self.rows(_ITEMS)])
        self.assertEqual(await self.ask(model.Delete, model.id == user), 1)
        self.assertIn((item, None), [(row[0], row[2]) for row in await self.rows(_ITEMS)])


class SQLiteTables(Tables, SQLiteCase):
    """On SQLite."""


class PostgreSQLTables(Tables, PostgreSQLCase):
    """On PostgreSQL."""


class MySQLTables(Tables, MySQLCase):
    """On MariaDB or MySQL."""
