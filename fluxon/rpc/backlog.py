"""Output that the transport has not taken: in order, in slices, and bounded."""

from __future__ import annotations

from collections import deque

#: Handed to the transport at once; after each slice it may say that it is full. Twisted's own buffer is 64 KiB.
SLICE = 256 * 1024

#: Pieces that the system takes in one call, at least.
MAX_PIECES = 512

#: What is less is joined before it is written: copying costs less than telling where each piece is.
JOINED = 16 * 1024


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

    def add(self, pieces: list[bytes]) -> bool:
        """Put ``pieces`` at the end; False, and nothing done, if too much waits already."""
        if self.behind > self._limit:
            return False
        self._pieces.extend(pieces)
        self.size += sum(map(len, pieces))
        return True

    def take(self) -> list[bytes]:
        """The next slice, in pieces."""
        taken: list[bytes] = []
        left = SLICE
        while self._pieces and left and len(taken) < MAX_PIECES:
            piece = self._pieces.popleft()
            if len(piece) > left:
                whole = memoryview(piece)
                self._pieces.appendleft(whole[left:])
                piece = whole[:left]
            taken.append(piece if isinstance(piece, bytes) else bytes(piece))
            left -= len(piece)
        self.size -= SLICE - left
        return taken

    def clear(self) -> None:
        """Forget all of it."""
        self._pieces.clear()
        self.size = 0


def slices(frames: list[bytes]) -> list[list[bytes]]:
    """Frames in groups of a slice at most; a large one stands for itself."""
    made: list[list[bytes]] = []
    size = SLICE
    for each in frames:
        size += len(each)
        if size > SLICE:
            made.append([])
            size = len(each)
        made[-1].append(each)
    return made
