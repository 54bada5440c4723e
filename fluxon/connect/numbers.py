"""Which numbered calls of the server a client has carried out, so that none is carried out twice.

Rules of this module:

- Numbers come in order, so the largest that came tells of all before it; beside that one, only what has not ended is
  kept.
- One of these for all connections of a session. Safe to use from any thread; nobody is told anything under the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

#: What may come again because it could not be begun; a server has few calls on their way at once.
_REFUSED = 1_000

#: Connections that wait to hear that one call has ended: each that was lost meanwhile left one behind.
_WAITING = 8


class Numbers:
    """The numbered calls of one session."""

    __slots__ = ("_last", "_lock", "_refused", "_under_way")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._under_way: dict[int, list[Callable[[], object]]] = {}
        # Those that could not be begun, and may come again.
        self._refused: set[int] = set()

    @property
    def seen(self) -> int:
        """The largest number up to which everything that came was carried out; 0 before the first."""
        with self._lock:
            open_ones = [*self._under_way, *self._refused]
            return min(open_ones) - 1 if open_ones else self._last

    def arrive(self, number: int, again: Callable[[], object]) -> bool:
        """Whether to carry it out, and then to call ``done``.

        If not it was carried out, or is being: then ``again`` is called as soon as it has been.
        """
        with self._lock:
            if number > self._last or number in self._refused:
                self._last = max(self._last, number)
                self._refused.discard(number)
                self._under_way[number] = []
                return True
            waiting = self._under_way.get(number)
            if waiting is not None:
                waiting.append(again)
                del waiting[:-_WAITING]
                return False
        again()
        return False

    def done(self, number: int) -> None:
        """It was carried out, or the server does not want it any more."""
        with self._lock:
            waiting = self._under_way.pop(number, [])
        for again in waiting:
            again()

    def refused(self, number: int) -> None:
        """It was not carried out after all, and may come again."""
        with self._lock:
            self._under_way.pop(number, None)
            self._refused.add(number)
            if len(self._refused) > _REFUSED:
                self._refused.remove(min(self._refused))
