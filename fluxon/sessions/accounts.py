"""What sessions ask about users. They know no model and no column: the wiring says what a user and a password are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred

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
