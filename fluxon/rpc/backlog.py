"""Output that the transport has not taken: in order, in slices, and bounded."""

from __future__ import annotations

from collections import deque

#: Handed to the transport at once; after each slice it may say that it is full. Twisted's own buffer is 64 KiB.
SLICE = 256 * 1024


class Backlog:
    """A queue of bytes. One answer may be large, and a slow reader take its time with it: ``limit`` bounds what waits
    behind the piece that is being sent.
    """

    __slots__ = ("_limit", "_pieces", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: deque[bytes | memoryview] = deque()
        #: Bytes in it.
        self.size = 0

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def behind(self) -> int:
        """Bytes that wait behind the piece that is being sent."""
        return self.size - len(self._pieces[0]) if self._pieces else 0

    def add(self, piece: bytes) -> bool:
        """Put ``piece`` at the end; False, and nothing done, if too much waits already."""
        if self.behind > self._limit:
            return False
        self._pieces.append(piece)
        self.size += len(piece)
        return True

    def take(self) -> bytes:
        """The next slice."""
        piece = self._pieces.popleft()
        if len(piece) > SLICE:
            whole = memoryview(piece)
            self._pieces.appendleft(whole[SLICE:])
            piece = whole[:SLICE]
        self.size -= len(piece)
        return piece if isinstance(piece, bytes) else bytes(piece)

    def clear(self) -> None:
        """Forget all of it."""
        self._pieces.clear()
        self.size = 0


def pieces(frames: list[bytes]) -> list[bytes]:
    """Small frames joined to slices; a large one stands for itself."""
    made: list[bytes] = []
    joined: list[bytes] = []
    size = 0
    for each in frames:
        if joined and size + len(each) > SLICE:
            made.append(b"".join(joined))
            joined, size = [], 0
        joined.append(each)
        size += len(each)
    if joined:
        made.append(b"".join(joined))
    return made
