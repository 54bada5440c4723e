"""What sessions ask about users.

Only ``DatabaseAccounts`` knows what a model and a column are; the rest of this room asks through ``Accounts``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from fluxon.database.database import Database
from fluxon.database.models import PasswordField
from fluxon.security.passwords import password_identity

#: ``digest(purpose, data)``: keyed, so that what a store keeps says nothing about a password (``Secrets.digest``).
Digest = Callable[[str, bytes], bytes]


class Accounts(Protocol):
    """Users by id."""

    def load_user(self, user_id: int) -> Deferred[Any | None]:
        """The user's row as it is now, or None when there is no such user."""

    def credential(self, row: Any) -> bytes:
        """What a user proves who they are with: the stored password. Sessions end when it changes."""


def password_digest(accounts: Accounts, digest: Digest, user: Any) -> bytes:
    """What a session keeps of its user's password field."""
    return digest("session-password", accounts.credential(user))


class DatabaseAccounts(Accounts):
    """The users of ``database``: rows of its ``AuthenticatedUser``.

    The credential is every ``PasswordField`` of that model, and a field called ``password`` of any kind. A model
    with neither has sessions that outlive nothing but their user. A password that ``Authenticate`` hashes anew stays
    the same credential.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def load_user(self, user_id: int) -> Deferred[Any | None]:
        return self._database.load_user(user_id)

    def credential(self, row: Any) -> bytes:
        found = []
        for name, field in self._database.user_model.declaration.fields.items():
            if isinstance(field, PasswordField):
                found.append(password_identity(getattr(row, name)))
            elif name == "password":
                found.append(getattr(row, name))
        return repr(found).encode()
