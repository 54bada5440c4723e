"""Connections that are kept open between pieces of work.

Rules kept here:

- At most ``size`` at once; who finds none waits a bounded time. The last one used is the next one used.
- A connection that failed is closed, never given to another.
- A server that kept somebody waiting in vain is not asked again for a moment: whoever waits behind is told at once,
  instead of one after the other when the time of each is over.
- One that was idle for long is closed, too: a firewall between may have forgotten it, and nobody would tell.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fluxon.database.servers.failure import UNREACHABLE
from fluxon.errors import ResourceExhausted, Unavailable

#: Seconds to wait for a connection while all are in use: as long as a piece of work may take.
WAIT_SECONDS = 5.0

#: Seconds after which an idle connection is replaced; firewalls forget after minutes.
MAX_IDLE_SECONDS = 60.0


#: A failure that took so long was a silence; and for how long nobody asks again. Seconds.
SILENCE_SECONDS = 1.0


class ConnectionPool:
    """Opens connections with ``open_connection()`` as they are needed."""

    def __init__(self, open_connection: Callable[[], Any], size: int) -> None:
        self._open = open_connection
        self._size = size
        self._idle: list[Any] = []
        self._count = 0
        self._closed = False
        self._silent_until = 0.0
        self._waits = 0
        self._changed = threading.Condition()

    @contextmanager
    def connection(self, *, fresh: bool = False) -> Iterator[Any]:
        """A connection for one piece of work; with ``fresh`` a new one, and the idle ones are closed.

        Raises ``Unavailable`` when the server cannot be reached, ``ResourceExhausted`` when all are in use for long.
        """
        if fresh:
            self.forget_idle()
        connection = self._take()
        try:
            yield connection
        finally:
            self._give_back(connection)

    def figures(self) -> dict[str, int]:
        """How many are open, how many of those idle, how many there may be; and how often somebody had to wait."""
        return {"open": self._count, "idle": len(self._idle), "at most": self._size, "waits so far": self._waits}

    def forget_idle(self) -> None:
        """Close the connections that nobody uses."""
        with self._changed:
            idle, self._idle = self._idle, []
            self._count -= len(idle)
            self._changed.notify(len(idle))
        for each in idle:
            each.close()

    def close(self) -> None:
        """Close what is idle now, and the rest when it is given back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.forget_idle()

    def _take(self) -> Any:
        until = time.monotonic() + WAIT_SECONDS
        waited = False
        with self._changed:
            while True:
                if self._closed:
                    raise Unavailable("the database is closed; start it again first")
                if self._idle:
                    connection = self._idle.pop()
                    if time.monotonic() - connection.idle_since < MAX_IDLE_SECONDS:
                        return connection
                    self._count -= 1
                    connection.close()
                elif self._count < self._size:
                    self._count += 1
                    break
                else:
                    self._waits += not waited
                    waited = True
                    if self._changed.wait(max(until - time.monotonic(), 0.0)) or time.monotonic() < until:
                        continue
                    raise ResourceExhausted(f"all {self._size} connections to the database are in use; try again later")
        begun = time.monotonic()
        try:
            if begun < self._silent_until:
                raise Unavailable(UNREACHABLE)
            return self._open()
        except BaseException:
            now = time.monotonic()
            if now - begun > SILENCE_SECONDS:
                self._silent_until = now + SILENCE_SECONDS
            self._one_less()
            raise

    def _give_back(self, connection: Any) -> None:
        connection.idle_since = time.monotonic()
        with self._changed:
            if not self._closed and connection.doomed is None:
                self._idle.append(connection)
                self._changed.notify()
                return
        self._one_less()
        connection.close()

    def _one_less(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify()
