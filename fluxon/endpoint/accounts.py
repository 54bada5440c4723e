"""A server without models has no users."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed


class NoAccounts:
    """Everybody stays a stranger. With a database it is ``sessions.DatabaseAccounts`` instead."""

    def load_user(self, user_id: int) -> Deferred[Any | None]:
        """None."""
        return succeed(None)

    def credential(self, row: Any) -> bytes:
        """Nothing."""
        return b""
