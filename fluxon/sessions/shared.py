"""Work that many wait for and that is done once.

Rules of this module:

- Whoever asks for what is under way already waits for that.
- One who gives up waiting (``cancel``) stops neither the work nor the others: work that changes a store is
  carried to its end, so that the store and the memory agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Shared(Generic[T]):
    """Pieces of work under way, by key."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[Deferred[T]]] = {}

    def run(self, key: bytes, start: Callable[[], Deferred[T]]) -> Deferred[T]:
        """What the work of ``key`` answers; ``start()`` begins it if it is not under way."""
        answer: Deferred[T] = Deferred()
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(answer)
            return answer
        self._waiting[key] = [answer]
        start().addBoth(self._done, key)
        return answer

    def _done(self, result: Any, key: bytes) -> None:
        for answer in self._waiting.pop(key):
            answer.callback(result)


def unstoppable(work: Deferred[T]) -> Deferred[T]:
    """What ``work`` answers; cancelling it stops the waiting, not the work."""
    answer: Deferred[T] = Deferred()
    # A callback after a cancel is dropped by Deferred itself, once.
    work.addBoth(answer.callback)
    return answer
