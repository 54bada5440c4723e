"""Places in the database's queue: a pool for ``FairThreads`` whose threads are the database's.

Rules of this module: what waits for the database holds no other thread meanwhile; all that waits together is one
transaction and one sync, where the database writes in groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from fluxon.database.database import Database


class Decisions:
    """Where actions are decided that need no thread of their own. Used on the reactor thread."""

    #: A session's share of it is all that one client has under way; all of it takes some 30 ms, and nobody who comes
    #: waits for more than that.
    size = 128

    def __init__(self, database: Database) -> None:
        self._database = database
        self._busy = 0

    @property
    def busy(self) -> int:
        """Those in the database's queue, or being decided."""
        return self._busy

    @property
    def waiting(self) -> int:
        """Those beyond ``size``."""
        return max(0, self._busy - self.size)

    def submit(self, function: Callable[..., Any], call: Callable[..., Any], /) -> Deferred[Any]:
        """``function(call, connection)`` in a transaction; fires after its commit."""
        self._busy += 1
        return self._database.write(_with_connection, function, call).addBoth(self._ended)

    def _ended(self, result: Any) -> Any:
        self._busy -= 1
        return result

    def stop(self) -> None:
        """The database's end is its own."""


def _with_connection(connection: Any, function: Callable[..., Any], call: Callable[..., Any]) -> Any:
    return function(call, connection)
