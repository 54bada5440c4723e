"""Frames: how a stream of bytes is cut into bodies.

Rules of this room:

- A frame is ``length`` (4 bytes, big endian, of what follows) · ``flags`` (1 byte) · body.
- A length over the limit is refused from its four bytes alone: nothing of the frame is held.
- Every byte is copied at most twice, however finely the stream is chopped.
- A compressed body declares its raw size, which is checked against the limit, and against ``MAX_RATIO``, before
  anything is allocated.
"""

from __future__ import annotations

from struct import Struct

import lz4.block

from fluxon.errors import ProtocolError

HEADER = Struct(">IB")
_RAW_SIZE = Struct(">I")
_RAW_SIZE_BYTES = 4

#: Flags.
COMPRESSED = 0x01
RAW = 0x02

#: How many times its own size a compressed body may unpack to. Rows and texts reach 2 to 10; lz4 could 255, and that
#: would let one read of 64 KiB claim 16 MiB of tiny lists: 2.6 s of decoding and 1.2 GiB of objects.
MAX_RATIO = 16


def frame(body: bytes, flags: int = 0) -> bytes:
    """One frame around ``body``."""
    return HEADER.pack(len(body) + 1, flags) + body


def compress(body: bytes) -> bytes | None:
    """The body of a COMPRESSED frame (raw size, lz4 block), or None when that is not smaller, or too much so."""
    packed = _RAW_SIZE.pack(len(body)) + lz4.block.compress(body, store_size=False)
    return packed if len(packed) < len(body) <= MAX_RATIO * len(packed) else None


def decompress(body: bytes, limit: int) -> bytes:
    """The raw body of a COMPRESSED frame; ``ProtocolError`` if it is damaged or claims more than ``limit`` bytes."""
    if len(body) <= _RAW_SIZE_BYTES:
        raise ProtocolError("a compressed frame without content")
    (size,) = _RAW_SIZE.unpack_from(body)
    if not 0 < size <= limit:
        raise ProtocolError(f"a compressed frame that claims {size} bytes; at most {limit} are taken")
    if size > MAX_RATIO * len(body):
        raise ProtocolError(f"a compressed frame that claims more than {MAX_RATIO} times its size")
    try:
        raw = lz4.block.decompress(memoryview(body)[_RAW_SIZE_BYTES:], uncompressed_size=size)
    except (lz4.block.LZ4BlockError, ValueError) as error:
        raise ProtocolError("a compressed frame that does not unpack") from error
    if len(raw) != size:
        raise ProtocolError("a compressed frame whose declared size is not its size")
    return bytes(raw)


class Splitter:
    """Cuts what arrives into ``(flags, body)`` pairs. ``limit`` bounds what follows a length, and may be raised."""

    __slots__ = ("_held", "_wanted", "begun", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: bytearray | None = None
        self._wanted = 0
        #: How many frames a read has ended within: tells whether an incomplete frame is still the same one.
        self.begun = 0

    @property
    def held(self) -> int:
        """Bytes of a frame that has begun and is not complete."""
        return len(self._held) if self._held is not None else 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that ``data`` completes. Raises ``ProtocolError`` at the first that breaks the rules."""
        held = self._held
        if held is not None:
            held += data
            if len(held) < self._wanted:
                return []
            data = bytes(held)
            self._held = None
        frames: list[tuple[int, bytes]] = []
        position, end = 0, len(data)
        unpack = HEADER.unpack_from
        limit = self.limit
        while end - position >= 5:
            length, flags = unpack(data, position)
            if not 2 <= length <= limit:
                raise self._refuse(length)
            after = position + 4 + length
            if after > end:
                break
            frames.append((flags, data[position + 5 : after]))
            position = after
        if position < end:
            self._hold(data, position, end)
        return frames

    def _hold(self, data: bytes, position: int, end: int) -> None:
        self._wanted = 4
        if end - position >= 4:
            length = int.from_bytes(data[position : position + 4], "big")
            if not 2 <= length <= self.limit:
                raise self._refuse(length)
            self._wanted = 4 + length
        self._held = bytearray(data[position:])
        self.begun += 1

    def _refuse(self, length: int) -> ProtocolError:
        return ProtocolError(f"a frame of {length} bytes; 2 to {self.limit} are taken here")


class NoSplitter(Splitter):
    """What is put in a splitter's place after an offence: where the next frame would begin nobody can say."""

    __slots__ = ()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Raises ``ProtocolError``, always."""
        raise ProtocolError("more after a broken frame")
