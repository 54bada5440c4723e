"""The project's users, as the cloud knows them: a key and a name.

Rules kept here:

- A user is looked up in the transaction that needs them: who was deleted a moment ago gets no role.
- The name is the one they log in by, as text. What cannot be a key or a name is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import sqlalchemy
from sqlalchemy import bindparam

from fluxon.cloud.batches import any_of, by_size
from fluxon.database.authentication import login_name
from fluxon.database.database import Database
from fluxon.errors import ConfigurationError, NotFound


@attrs.frozen
class User:
    """One of them."""

    id: Any
    name: str


@attrs.frozen
class Named:
    """Who is meant: by key, or by the name they log in by. One of the two is None."""

    id: Any = None
    name: str | None = None

    @property
    def text(self) -> str:
        """As it was given, for an answer that must not tell whether there is such a user."""
        return f"user {self.name}" if self.name is not None else f"user {self.id}"


class Users:
    """The rows of ``database``'s AuthenticatedUser. Raises ``ConfigurationError`` when it has no such model."""

    def __init__(self, database: Database) -> None:
        model = database.user_model
        if model is None:
            raise ConfigurationError("the cloud needs the project's AuthenticatedUser; declare it in models.py")
        self.table = database.table(model)
        self._key = model.declaration.key
        self._name = login_name(model.declaration)
        column = self.table.c[self._name.name]
        rows = sqlalchemy.select(self.table.c.id, column.label("name"))
        self._by_id = rows.where(self.table.c.id == bindparam("id"))
        self._by_name = rows.where(column == bindparam("name"))
        self._by_ids = by_size(lambda size: rows.where(any_of(self.table.c.id, size)))
        self._rows = by_size(lambda size: sqlalchemy.select(self.table).where(any_of(self.table.c.id, size)))

    def find(self, connection: Any, named: Named) -> User | None:
        """The user who is meant, or None. One statement, whoever it is."""
        if named.name is not None:
            try:
                name = self._name.convert(named.name)
                self._name.check_bounds(name)
            except ValueError:
                name = ""
            rows = connection.rows(self._by_name, {"name": name})
        else:
            try:
                key = self._key.convert(named.id)
            except ValueError:
                key = 0
            rows = connection.rows(self._by_id, {"id": key})
        return User(rows[0].id, str(rows[0].name)) if rows else None

    def names(self, connection: Any, ids: Iterable[Any]) -> dict[Any, str]:
        """The names of the users with these keys, of which None is nobody's."""
        wanted = sorted({each for each in ids if each is not None})
        return {row.id: str(row.name) for row in self._by_ids.rows(connection, wanted)} if wanted else {}

    def rows(self, connection: Any, ids: Iterable[Any]) -> dict[Any, Any]:
        """All columns of the users with these keys, of which None is nobody's."""
        wanted = sorted({each for each in ids if each is not None})
        return {row.id: row for row in self._rows.rows(connection, wanted)} if wanted else {}

    def get(self, connection: Any, named: Named) -> User:
        """The user who is meant; ``NotFound`` if there is none."""
        found = self.find(connection, named)
        if found is None:
            raise NotFound(f"there is no {named.text}")
        return found
