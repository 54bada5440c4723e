"""Asks that wait because their answers would not be read: in order, and found again by a cancel or a deadline."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from fluxon.wire import Ask


class HeldAsks:
    """A queue that knows its ``size`` in bytes. How much it may hold is its owner's decision."""

    __slots__ = ("_asks", "size")

    def __init__(self) -> None:
        self._asks: deque[Ask] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._asks)

    def __iter__(self) -> Iterator[Ask]:
        return iter(self._asks)

    def append(self, ask: Ask) -> None:
        self._asks.append(ask)
        self.size += ask.size

    def popleft(self) -> Ask:
        ask = self._asks.popleft()
        self.size -= ask.size
        return ask

    def remove(self, ask: Ask) -> bool:
        """Take ``ask`` out; False if it is not here."""
        try:
            self._asks.remove(ask)
        except ValueError:
            return False
        self.size -= ask.size
        return True
