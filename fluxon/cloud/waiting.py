"""Bytes of uploads that wait in memory, in order, until they are written and hashed.

Rules of this module:

- All together hold what a ``Budget`` allows, counted by the buffers that are kept alive: a small piece of a large
  buffer is copied, and pieces that are small in any case are joined.
- What is held never changes: it is written and hashed at two moments, and both must find the same bytes.
- ``Waiting`` is for one thread at a time; its upload's lock sees to that.
"""

from __future__ import annotations

import threading
from collections import deque

import attrs

#: A piece below this is joined with others: a view costs some 200 bytes, however little it shows.
SMALL = 4096
#: A piece keeps a buffer alive that is at most so many times its size; else it is copied.
_SHARE = 4
#: Small pieces are joined up to so much.
_JOINED = 64 * 1024

#: Pieces that the system takes in one call, at least.
_AT_ONCE = 512


class Budget:
    """Bytes that may be held in memory, by all uploads together."""

    def __init__(self, size: int) -> None:
        self._mutex = threading.Lock()
        self.left = size

    def take(self, count: int) -> bool:
        """Whether ``count`` bytes more may be held; they count until they are given back."""
        with self._mutex:
            if count > self.left:
                return False
            self.left -= count
            return True

    def give_back(self, count: int) -> None:
        """So many are no longer held."""
        with self._mutex:
            self.left += count


@attrs.frozen
class Batch:
    """The next ``size`` bytes: these ``pieces``, or none of them if the file has them already."""

    pieces: list[memoryview]
    size: int
    charge: int


class Waiting:
    """What of one upload waits."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        # Pieces, small ones that are still joined, and numbers of bytes that are in the file.
        self._queue: deque[memoryview | bytearray | int] = deque()
        # What each of them is charged.
        self._charges: deque[int] = deque()
        self._last: object = None

    def hold(self, data: bytes | bytearray | memoryview) -> bool:
        """Keep ``data`` for ``take``; False, and nothing done, if no more may be held."""
        size = len(data)
        if not size:
            return True
        buffer = data.obj if isinstance(data, memoryview) else data
        if size < SMALL or not isinstance(buffer, bytes) or size * _SHARE < len(buffer):
            return self._hold_copy(data, size)
        # The next piece of the same buffer keeps nothing more alive.
        charge = 0 if buffer is self._last else len(buffer)
        if not self._budget.take(charge):
            return False
        self._last = buffer
        self._put(memoryview(data), charge)
        return True

    def _hold_copy(self, data: bytes | bytearray | memoryview, size: int) -> bool:
        if not self._budget.take(size):
            return False
        last = self._queue[-1] if self._queue else None
        if isinstance(last, bytearray) and len(last) + size <= _JOINED:
            last += data
            self._charges[-1] += size
        else:
            self._put(bytearray(data), size)
        return True

    def _put(self, entry: memoryview | bytearray | int, charge: int) -> None:
        self._queue.append(entry)
        self._charges.append(charge)

    def note_written(self, size: int) -> None:
        """The next ``size`` bytes are in the file, at their place."""
        self._last = None
        if self._queue and isinstance(self._queue[-1], int):
            self._queue[-1] += size
        else:
            self._put(size, 0)

    def take(self, most: int) -> Batch:
        """What comes next, ``most`` bytes at most; to be given to ``done`` when nothing refers to its pieces."""
        queue, charges = self._queue, self._charges
        first = queue[0]
        self._last = None
        if isinstance(first, int):
            size = min(first, most)
            if size < first:
                queue[0] = first - size
            else:
                queue.popleft()
                charges.popleft()
            return Batch([], size, 0)
        pieces: list[memoryview] = []
        left, charge = most, 0
        while queue and left and len(pieces) < _AT_ONCE:
            entry = queue[0]
            if isinstance(entry, int):
                break
            # Not appended to any more: what has a view cannot grow.
            view = memoryview(entry)
            if len(view) > left:
                pieces.append(view[:left])
                queue[0] = view[left:]
                left = 0
            else:
                pieces.append(view)
                left -= len(view)
                queue.popleft()
                charge += charges.popleft()
        return Batch(pieces, most - left, charge)

    def done(self, batch: Batch) -> None:
        """Its bytes are no longer held."""
        self._budget.give_back(batch.charge)

    def clear(self) -> None:
        """Hold nothing any more."""
        self._queue.clear()
        self._last = None
        self._budget.give_back(sum(self._charges))
        self._charges.clear()
