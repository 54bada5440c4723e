"""The project's users as sessions see them: rows of its AuthenticatedUser."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed

from fluxon.database.database import Database


class DatabaseAccounts:
    """Users in the database. Sessions end when the ``password`` column changes, if the model has one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load_user(self, user_id: int) -> Deferred[Any | None]:
        """The user's row, read afresh."""
        return self._database.load_user(user_id)

    def credential(self, row: Any) -> bytes:
        """The stored password."""
        return str(getattr(row, "password", "")).encode("utf-8", "surrogatepass")


class NoAccounts:
    """A server without models: everybody stays a stranger."""

    def load_user(self, user_id: int) -> Deferred[Any | None]:
        """None."""
        return succeed(None)

    def credential(self, row: Any) -> bytes:
        """Nothing."""
        return b""
