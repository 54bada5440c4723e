"""One opening of a server's database: its connections, and the threads that use them for the reactor.

Rules kept here:

- Nothing starts before it is needed: a connection or a thread with the first work.
- The engine's tables are made before anything else is done.
- Hashing has threads of its own: neither reads nor writes wait for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from fluxon.database.servers.pool import ConnectionPool
from fluxon.database.servers.transactions import Transactions
from fluxon.errors import Unavailable
from fluxon.workers import WorkerPool

T = TypeVar("T")

#: Connections of each kind. A server allows some 100 to 150 in all, to several processes.
CONNECTIONS = 8

#: A hash takes a tenth of a second and tens of MiB: two at once, and a few seconds of them waiting.
HASHING_THREADS = 2
MAX_WAITING_HASHES = 100

#: A stop waits so long for what runs; beyond it a piece hangs in code of the program.
STOP_SECONDS = 10.0

#: Reads, and writes, that may wait for a thread: some seconds of them.
MAX_WAITING = 10_000


class ServerOpening:
    """From a database's first call (or ``start``) to ``stop``."""

    def __init__(self, open_connection: Callable[[bool], Any], make_tables: Callable[[], None]) -> None:
        """``open_connection(read_only)`` makes a connection, ``make_tables()`` the engine's tables."""
        self._reading = ConnectionPool(lambda: open_connection(True), CONNECTIONS)
        self._writing = ConnectionPool(lambda: open_connection(False), CONNECTIONS)
        self._work = Transactions(self._reading, self._writing)
        self._make_tables = make_tables
        self._lock = threading.Lock()
        self._pools: dict[str, WorkerPool] = {}
        #: Set while the engine's tables are known to be there.
        self.ready = threading.Event()
        self._tries = 0
        self._failure: Unavailable | None = None

    def make_ready(self) -> None:
        """Have the engine's tables made, once. Blocks. Who waited for another's try shares its failure."""
        if self.ready.is_set():
            return
        tries = self._tries
        with self._lock:
            if self.ready.is_set():
                return
            if self._failure is not None and self._tries != tries:
                raise Unavailable(self._failure.text)
            self._failure = None
            try:
                self._make_tables()
                self.ready.set()
            except Unavailable as error:
                self._failure = error
                raise
            finally:
                self._tries += 1

    def read(self, work: Callable[..., T], *args: Any) -> T:
        """Blocks; see ``Transactions``."""
        self.make_ready()
        return self._work.read(work, *args)

    def write(self, work: Callable[[Any], T], *, synced: bool = True) -> T:
        """Blocks; see ``Transactions``."""
        self.make_ready()
        return self._work.write(work, synced=synced)

    def threads(self, name: str, reactor: Any) -> WorkerPool:
        """The threads for ``reading``, ``writing`` or ``hashing``."""
        pool = self._pools.get(name)
        if pool is None:
            size, waiting = _THREADS[name]
            pool = self._pools[name] = WorkerPool(f"database-{name}", size, reactor, waiting)
        return pool

    def figures(self) -> dict[str, Any]:
        """For ``Database.figures``."""
        found: dict[str, Any] = {}
        for name, connections in (("reading", self._reading), ("writing", self._writing)):
            found |= {f"{name} connections, {what}": count for what, count in connections.figures().items()}
        for name, pool in self._pools.items():
            found |= {f"{name} threads, busy": min(pool.busy, pool.size), f"{name} threads, waited for": pool.waiting}
        return found

    def totals(self) -> dict[str, float]:
        """For ``Database.totals``."""
        return self._work.totals()

    def close(self) -> None:
        """Finish what waits, then close every connection. Blocks."""
        for pool in self._pools.values():
            pool.stop()
        until = time.monotonic() + STOP_SECONDS
        while any(pool.busy for pool in self._pools.values()) and time.monotonic() < until:
            time.sleep(0.005)
        self._reading.close()
        self._writing.close()


_THREADS = {
    "reading": (CONNECTIONS, MAX_WAITING),
    "writing": (CONNECTIONS, MAX_WAITING),
    "hashing": (HASHING_THREADS, MAX_WAITING_HASHES),
}
