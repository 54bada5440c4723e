"""One timer for thousands of things that are each due the same time after they were added.

Rules of this module:

- Nothing is called early. Things that were added within ``_TOGETHER`` of that time are called with the last of them: a
  timer of the reactor's for each would cost a connection a third of a KiB.
- ``_AT_ONCE`` are called in a turn of the reactor at most: as many connections may have come in one moment.
- What was taken out leaves nothing behind; when nothing is left there is no timer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger(namespace="fluxon.rpc")

T = TypeVar("T")

#: The part of the time that a thing may be called late.
_TOGETHER = 1 / 32

_AT_ONCE = 256


class Batch(Generic[T]):
    """Things that are called together: the first was added at ``begun``."""

    __slots__ = ("begun", "due", "things")

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.due = begun
        self.things: set[T] = set()


class Rounds(Generic[T]):
    """Calls ``ring(thing)`` once, ``seconds`` after each was added."""

    def __init__(self, clock: IReactorTime, seconds: float, ring: Callable[[T], object]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._ring = ring
        self._batches: deque[Batch[T]] = deque()
        self._count = 0
        self._call: IDelayedCall | None = None

    def add(self, thing: T) -> Batch[T]:
        """What ``remove`` wants to know."""
        now = self._clock.seconds()
        batch = self._batches[-1] if self._batches else None
        # A clock that was turned back begins another one.
        if batch is None or not batch.begun <= now < batch.begun + self._seconds * _TOGETHER:
            batch = Batch(now)
            self._batches.append(batch)
        batch.due = now + self._seconds
        batch.things.add(thing)
        self._count += 1
        if self._call is None:
            self._call = self._clock.callLater(self._seconds, self._look)
        return batch

    def remove(self, thing: T, batch: Batch[T]) -> None:
        """Do not call it. Nothing happens if it was called."""
        if thing in batch.things:
            batch.things.remove(thing)
            self._took(1)

    def _took(self, count: int) -> None:
        self._count -= count
        if not self._count:
            self._batches.clear()
            if self._call is not None:
                self._call.cancel()
                self._call = None

    def _look(self) -> None:
        self._call = None
        now, left = self._clock.seconds(), _AT_ONCE
        due: list[T] = []
        while self._batches and self._batches[0].due <= now and left:
            things = self._batches[0].things
            while things and left:
                due.append(things.pop())
                left -= 1
            if not things:
                self._batches.popleft()
        self._took(len(due))
        if self._batches:
            self._call = self._clock.callLater(max(0.0, self._batches[0].due - now), self._look)
        for thing in due:
            try:
                self._ring(thing)
            except Exception:  # of one: the others have theirs
                _log.failure("what was due for {thing} failed", thing=thing)
