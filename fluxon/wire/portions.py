"""What a read brings, in portions: between two of them a driver can look at the clock, and let others go first.

A read of 64 KiB can hold 64 Ki items. To decode them takes 3 ms, and what is done with them ten times that: others must
not wait for all of it, and still less for the same of a hundred connections.

Rules of this module:

- Where nobody is pressed, a portion is so many bytes, or one frame: to measure costs nothing.
- Where the driver says so, reads are weighed, and one of many items is put off before any of it is decoded. Counting
  costs as much as decoding does, where items are large and so few; so that is no way to treat everybody always.
- What is put off is kept as it came.
"""

from __future__ import annotations

from typing import Any

from fluxon.errors import ProtocolError
from fluxon.wire.frames import COMPRESSED, LARGE, RAW, Splitter, decompress
from fluxon.wire.items import count, exceeds

#: Bytes of frames that are worked on together: as many small requests as take a millisecond or two.
PORTION = 16 * 1024

#: Items above which a read is heavy: they take 0.2 ms to decode, and 2 ms with a view that returns them.
HEAVY = 4 * 1024

#: Flags and body, as a ``Splitter`` gives them.
Frame = tuple[int, Any]


def unpacked(flags: int, body: bytes, limit: int) -> bytes:
    """The body of a frame that is not RAW. Raises ``ProtocolError``."""
    flags &= ~LARGE
    if not flags:
        return body
    if flags == COMPRESSED:
        return decompress(body, limit)
    raise ProtocolError(f"a frame with unknown flags 0x{flags:02x}")


class Portions:
    """What is put off of the frames of one connection."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        # Made when something has to wait.
        self._frames: list[Frame] | None = None

    def __bool__(self) -> bool:
        return bool(self._frames)

    def take(self, frames: list[Frame], splitter: Splitter, weigh: bool) -> list[Frame]:
        """Those of the ``frames`` of a read that are to be worked on now; the others are put off.

        To ``weigh`` them is to put off all of them if they are heavy.
        """
        if weigh and _is_heavy(frames, splitter):
            self._frames = frames
            return []
        portion = _portion(frames)
        self._frames = frames[portion:] or None
        return frames[:portion]

    def put_off(self, frames: list[Frame]) -> None:
        """All of them, behind what is already."""
        self._frames = [*self._frames, *frames] if self._frames else frames or None

    def next(self) -> list[Frame]:
        """The next portion of what is put off."""
        frames = self._frames or []
        portion = _portion(frames)
        self._frames = frames[portion:] or None
        return frames[:portion]

    def first(self, splitter: Splitter) -> bytes | None:
        """The first body that is put off; None for a part of a stream."""
        if not self._frames or self._frames[0][0] == RAW:
            return None
        body = unpacked(*self._frames[0], splitter.limit)
        self._frames[0] = LARGE, body
        return body

    def drop_first(self) -> None:
        """Nothing more is to be done with it."""
        if self._frames:
            del self._frames[0]

    def drop(self) -> None:
        """Nothing more is to be done with any."""
        self._frames = None


def _portion(frames: list[Frame]) -> int:
    """How many of them are one portion: one at least."""
    left = PORTION
    for index, (flags, body) in enumerate(frames):
        if flags == RAW:
            continue  # its bytes are passed on as they are
        left -= _size(flags, body)
        if left < 0:
            return max(1, index)
    return len(frames)


def _size(flags: int, body: bytes) -> int:
    """Of a body when it is unpacked, as far as it can be believed."""
    return int.from_bytes(body[:4], "big") if flags & COMPRESSED else len(body)


def _is_heavy(frames: list[Frame], splitter: Splitter) -> bool:
    """Whether they have many items. Those that are looked into are no longer compressed."""
    sizes = [_size(flags, body) for flags, body in frames if flags != RAW]
    if sum(sizes) <= HEAVY:
        return False
    left, item_limit = HEAVY, splitter.item_limit
    for index, (flags, body) in enumerate(frames):
        if flags == RAW:
            continue
        if flags:
            body = unpacked(flags, body, splitter.limit)
            frames[index] = LARGE, body
        if len(body) > item_limit and exceeds(body, item_limit):
            continue  # it is refused, which costs little
        left -= count(body, left)
        if left < 0:
            return True
    return False
