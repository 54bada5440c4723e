"""What a client watches, and who is told: for both clients. Pure.

Rules of this module:

- A watch belongs to one connection of the server; when that is lost it is begun again on the next one, and its function
  is told that something may have been missed.
- A change that comes before the answer to its watch waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fluxon.connect.cloud.items import CloudChange, read

#: Changes that may wait for the answer to their watch: more come in no read that holds it.
_MAX_EARLY = 1_000

#: Told of each change, one at a time and in order.
Watching = Callable[[CloudChange], object]


class CloudWatch:
    """Something that is watched; to be given to ``unwatch``."""

    __slots__ = ("function", "number", "path")

    def __init__(self, path: str, function: Watching) -> None:
        self.path = path
        self.function = function
        #: The server's name for it on the present connection; None while there is none.
        self.number: int | None = None

    def __repr__(self) -> str:
        return f"<watches {self.path!r}>"

    def change(self, action: str) -> CloudChange:
        """What this side has to say of the watch itself."""
        return CloudChange(action, self.path, None, "directory", "", datetime.now(UTC))


class Watches:
    """The watches of one client, for any thread. ``deliver`` has functions called, in the order in which it is told."""

    def __init__(self, deliver: Callable[[CloudWatch, CloudChange], None]) -> None:
        self._deliver = deliver
        # Re-entrant: a function that is told may begin or end watches.
        self._lock = threading.RLock()
        self._all: list[CloudWatch] = []
        self._numbered: dict[int, CloudWatch] = {}
        self._early: dict[int, list[CloudChange]] = {}
        self._early_count = 0
        #: Counts the connections that there were: a number that one has given means nothing on another.
        self.connection = 0

    def connected(self) -> list[CloudWatch]:
        """There is a new connection, on which nothing is watched yet: what has to be begun again."""
        with self._lock:
            self.connection += 1
            self._numbered.clear()
            self._early.clear()
            self._early_count = 0
            for watch in self._all:
                watch.number = None
            return list(self._all)

    def begun(self, watch: CloudWatch, number: int, connection: int) -> bool:
        """The server calls ``watch`` by ``number``; False if that was on another connection than the present one."""
        with self._lock:
            if connection != self.connection:
                return False
            watch.number = number
            self._numbered[number] = watch
            if watch not in self._all:
                self._all.append(watch)
            early = self._early.pop(number, [])
            self._early_count -= len(early)
            for change in early:
                self._deliver(watch, change)
            return True

    def ended(self, watch: CloudWatch) -> int | None:
        """Nobody is to be told any more; the server's number for it, if it has one."""
        with self._lock:
            if watch in self._all:
                self._all.remove(watch)
            number, watch.number = watch.number, None
            if number is not None:
                self._numbered.pop(number, None)
            return number

    def __contains__(self, watch: CloudWatch) -> bool:
        with self._lock:
            return watch in self._all

    def changed(self, arguments: dict[str, Any]) -> None:
        """The arguments of ``Changed``."""
        change: CloudChange = read(CloudChange, arguments)
        number = arguments["watch"]
        with self._lock:
            watch = self._numbered.get(number)
            if watch is not None:
                self._deliver(watch, change)
            elif self._early_count < _MAX_EARLY:
                self._early.setdefault(number, []).append(change)
                self._early_count += 1
