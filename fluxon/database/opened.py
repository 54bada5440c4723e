"""What adapters that open themselves have in common: opening at the first call, stopping, closing.

Rules kept here:

- At most one opening at a time, whoever calls first; after a stop the next call opens anew, unless it was for good.
- Closing waits for what runs, so it never happens on the reactor's thread.
- A child process opens anew and leaves alone what its parent opened: threads do not follow a fork, and no server lets
  two processes share a connection. (SQLite lets a child open only what its parent had closed.)
"""

from __future__ import annotations

import os
import threading
import weakref
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from fluxon.database.database import Database
from fluxon.errors import Unavailable
from fluxon.workers import ReactorInbox


class Closing(Protocol):
    """Connections and threads that belong together."""

    def figures(self) -> dict[str, Any]:
        """How much is open, and how much waits."""

    def totals(self) -> dict[str, float]:
        """What was done since."""

    def close(self) -> None:
        """End them all. Blocks."""


Opened = TypeVar("Opened", bound=Closing)
T = TypeVar("T")


class OpenedDatabase(Database, Generic[Opened]):
    """A database whose connections and threads are one object, made when first needed."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._opened: Opened | None = None
        self._over = False
        self._lock = threading.Lock()
        _all_databases.add(self)

    def write_blocking(self, work: Callable[..., T], *args: Any) -> T:
        return self._write_blocking(True, work, *args)

    def write_relaxed_blocking(self, work: Callable[..., T], *args: Any) -> T:
        return self._write_blocking(False, work, *args)

    def _write_blocking(self, synced: bool, work: Callable[..., T], *args: Any) -> T:
        active = self._current()
        if active is not None:
            with active.savepoint():
                return work(active, *args)
        self._refuse_reactor_thread()
        return self._write_now(self._within(work, *args), synced)

    @abstractmethod
    def _write_now(self, piece: Callable[[Any], T], synced: bool) -> T:
        """``piece(connection)`` in a transaction; on the disk when it is answered if it is ``synced``. Blocks."""

    @abstractmethod
    def _make_opening(self) -> Opened:
        """Connections and threads, none of them begun."""

    def figures(self) -> dict[str, Any]:
        return {} if self._opened is None else self._opened.figures()

    def totals(self) -> dict[str, float]:
        return {} if self._opened is None else self._opened.totals()

    def stop(self, *, for_good: bool = False) -> Deferred[None]:
        self._over = for_good
        opened = self._take()
        if opened is None:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        inbox = ReactorInbox(self._own_reactor())

        def finish() -> None:
            try:
                opened.close()
            except BaseException:
                inbox.put(stopped, Failure())
            else:
                inbox.put(stopped, None)

        threading.Thread(target=finish, name="fluxon-database-stop", daemon=True).start()
        return stopped

    def close(self) -> None:
        self._refuse_reactor_thread()
        opened = self._take()
        if opened is not None:
            opened.close()

    def _open(self) -> Opened:
        with self._lock:
            if self._opened is None:
                if self._over:
                    raise Unavailable("the server has stopped, and its database is closed")
                self._opened = self._make_opening()
            return self._opened

    def _take(self) -> Opened | None:
        with self._lock:
            opened, self._opened = self._opened, None
            return opened

    def _own_reactor(self) -> Any:
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = reactor
        return self._reactor


_all_databases: weakref.WeakSet[OpenedDatabase[Any]] = weakref.WeakSet()
_left_to_the_parent: list[Any] = []


def _forked() -> None:
    """In the child: begin anew at the next call."""
    for database in list(_all_databases):
        opened, database._opened = database._opened, None
        database._lock = threading.Lock()
        if opened is not None:
            _left_to_the_parent.append(opened)


os.register_at_fork(after_in_child=_forked)
