"""Databases whose schema is updated again and again: what the contracts of updates share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import database_servers
from twisted.python import threadable

from fluxon.database import models, schema
from fluxon.database.apis import MySQLDatabase, PostgreSQLDatabase, SQLiteDatabase
from fluxon.database.query import where
from fluxon.database.schema.kinds import changes_of
from fluxon.errors import Conflict

ModelType = type(models.Model)


def model(title: str, /, *bases: Any, meta: dict[str, Any] | None = None, **fields: Any) -> Any:
    """A model made on the spot."""
    body = fields if meta is None else {**fields, "Meta": type("Meta", (), meta)}
    return ModelType(title, bases or (models.Model,), body)


def user_model(**fields: Any) -> Any:
    """A user with a name, and what else is given."""
    return model("User", models.AuthenticatedUser, **{"name": models.CharField(unique=True), **fields})


class SchemaCase:
    """Saves models, updates to them, and looks at everything. A database's class says how to open it."""

    def place(self: Any) -> Any:
        """What names a new, empty database."""
        raise NotImplementedError

    def open(self: Any, place: Any) -> Any:
        """The adapter on it, without models."""
        raise NotImplementedError

    def setUp(self: Any) -> None:
        self.patch(threadable, "ioThread", None)  # this thread may block
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.files = self.folder / "database_schema"
        self.where = self.place()
        self.database: Any = None
        self.addCleanup(self.release)

    def release(self: Any) -> None:
        """Close the database of the models before."""
        if self.database is not None:
            self.database.close()
            self.database.unbind()

    def use(self: Any, *declared: Any) -> Any:
        """From here on, these are the program's models."""
        self.release()
        self.database = self.open(self.where)
        self.database.bind(list(declared))
        return declared[0]

    def update(self: Any, number: int | None = None, **options: Any) -> Any:
        """Save the models, and update to them (or to ``number``); the tables are then those of the file."""
        if number is None:
            schema.save_schema(self.database, self.files)
        done = schema.update_schema(self.database, self.files, number, **options)
        if done.applied and number is None:
            self.assertEqual(schema.check(self.database, self.files), [])
        return done

    def ask(self: Any, query: str) -> list[tuple[Any, ...]]:
        """Rows of plain SQL, on a connection of its own."""
        with self.database.administration() as connection:
            if isinstance(self.database, SQLiteDatabase):
                return connection.raw.execute(query).fetchall()
            return connection.answer(query)

    def state(self: Any) -> Any:
        """Everything that an update may change, as it is now."""
        changes = changes_of(self.database)
        with changes.connection() as connection:
            tables = dict(changes.tables(connection))
        quote = self.database.statements.ddl_dialect.identifier_preparer.quote_identifier
        return tables, {name: sorted(map(repr, self.ask(f"SELECT * FROM {quote(name)}"))) for name in tables}

    def refused(self: Any, *parts: str, number: int | None = None, drop: Sequence[str] = ()) -> None:
        """The update is refused with a text that has these parts, and changes nothing."""
        before = self.state()
        error = self.assertRaises(Conflict, self.update, number, drop=drop)
        for part in parts:
            self.assertIn(part, error.text)
        self.assertEqual(self.state(), before)

    def with_users(self: Any) -> Any:
        """Two users, a third who is gone, and schema 1."""
        user = self.use(user_model(mail=models.CharField(null=True)))
        self.update()
        user.Insert([{"name": name, "mail": f"{name}@mail.com"} for name in "abc"])
        user.Delete(where[user.id == 3])
        return user

    def kept(self: Any, updated: Any, table: str, column: str) -> list[tuple[Any, ...]]:
        """What the update's copy has in a column."""
        (copy,) = [each for each in updated.copies if each.endswith(f"_{table}")]
        return sorted(self.ask(f"SELECT {column} FROM {copy}"))


class SQLiteSchema:
    """An SQLite file."""

    def place(self: Any) -> Path:
        return self.folder / "data.sqlite3"

    def open(self, place: Path) -> SQLiteDatabase:
        return SQLiteDatabase(place)

    def kept(self, updated: Any, table: str, column: str) -> list[tuple[Any, ...]]:
        other = SQLiteDatabase(updated.backup)
        with other.administration() as connection:
            return connection.raw.execute(f"SELECT {column} FROM {table}").fetchall()


class PostgreSQLSchema:
    """A PostgreSQL database."""

    def place(self: Any) -> str:
        return database_servers.postgresql()

    def open(self, place: str) -> PostgreSQLDatabase:
        return PostgreSQLDatabase(place)


class MySQLSchema:
    """A MariaDB or MySQL database."""

    def place(self: Any) -> str:
        return database_servers.mysql()

    def open(self, place: str) -> MySQLDatabase:
        return MySQLDatabase(place)
