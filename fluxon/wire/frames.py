"""Frames: how a stream of bytes is cut into bodies.

Rules of this room:

- A frame is ``length`` (4 bytes, big endian, of what follows) · ``flags`` (1 byte) · body.
- A length over the limit is refused from its four bytes alone: nothing of the frame is held.
- The bytes of a chunk are never held: they are handed on as they come, as views of what was read.
- Every byte is copied at most twice, however finely the stream is chopped.
- A compressed body declares its raw size, which is checked against the limit, and against ``MAX_RATIO``, before
  anything is allocated.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

import lz4.block

from fluxon.errors import ProtocolError
from fluxon.limits import MAX_FRAME

HEADER = Struct(">IB")
_RAW_SIZE = Struct(">I")
_RAW_SIZE_BYTES = 4

#: Flags.
COMPRESSED = 0x01
RAW = 0x02

#: Set by a splitter on a frame that has room for more items than are taken. On the wire it is no flag.
LARGE = 0x100

#: Bytes of a chunk: enough for one ``sendfile`` to be cheap, little enough for an answer to wait behind it.
MAX_CHUNK = 1024 * 1024
_CHUNK_HEADER = Struct(">IBI")
#: Flags and tag are a part of what the length counts.
_CHUNK_OVERHEAD = 5
MAX_CHUNK_FRAME = MAX_CHUNK + _CHUNK_OVERHEAD

#: How many times its own size a compressed body may unpack to. Rows and texts reach 2 to 10; lz4 could 255, and that
#: would let one read of 64 KiB claim 16 MiB of tiny lists: 2.6 s of decoding and 1.2 GiB of objects.
MAX_RATIO = 16


def frame(body: bytes, flags: int = 0) -> bytes:
    """One frame around ``body``."""
    return HEADER.pack(len(body) + 1, flags) + body


def chunk_header(stream: int, size: int) -> bytes:
    """What stands before ``size`` bytes of a stream."""
    return _CHUNK_HEADER.pack(size + _CHUNK_OVERHEAD, RAW, stream)


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


class Part:
    """Bytes of a RAW frame, as far as they have come. ``size`` is that of the whole chunk in its first part, else 0."""

    __slots__ = ("data", "size", "stream")

    def __init__(self, stream: int, size: int, data: memoryview) -> None:
        self.stream = stream
        self.size = size
        self.data = data


class Splitter:
    """Cuts what arrives into ``(flags, body)`` pairs; the body of a RAW frame is a ``Part``, or several one by one.

    ``limit`` bounds what follows a length, and may be raised; ``chunk_limit`` bounds it for RAW frames. Frames of more
    than ``item_limit`` bytes come with ``LARGE`` among their flags: that is how many items they may hold.
    """

    __slots__ = (
        "_chunk",
        "_held",
        "_item_limit",
        "_left",
        "_limit",
        "_stream",
        "_wanted",
        "begun",
        "chunk_limit",
        "small",
    )

    def __init__(self, limit: int, item_limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._item_limit = item_limit
        #: A length that is not larger is neither too large nor of a LARGE frame: one comparison for both.
        self.small = min(limit, item_limit + 1)
        self.chunk_limit = 0
        self._held: bytearray | None = None
        self._wanted = 0
        # The chunk that is coming in: its stream, its bytes, and those that have not come.
        self._stream = 0
        self._chunk = 0
        self._left = 0
        #: How many frames a read has ended within: tells whether an incomplete frame is still the same one.
        self.begun = 0

    @property
    def limit(self) -> int:
        """The largest length."""
        return self._limit

    @property
    def item_limit(self) -> int:
        """How many items a frame may hold."""
        return self._item_limit

    def take(self, limit: int, item_limit: int) -> None:
        """From now on, these limits hold."""
        self._limit, self._item_limit = limit, item_limit
        self.small = min(limit, item_limit + 1)

    @property
    def held(self) -> int:
        """Bytes that are kept of a frame that has begun and is not complete."""
        return len(self._held) if self._held is not None else 0

    @property
    def between(self) -> bool:
        """Whether what is fed next begins a frame."""
        return self._held is None and not self._left

    @property
    def progress(self) -> tuple[int, int] | None:
        """The incomplete frame's number, and how many of its bytes have come; None when there is none."""
        if self._left:
            return self.begun, self._chunk - self._left
        return (self.begun, len(self._held)) if self._held is not None else None

    def feed(self, data: bytes) -> list[tuple[int, Any]]:
        """The frames that ``data`` completes. Raises ``ProtocolError`` at the first that breaks the rules."""
        frames: list[tuple[int, Any]] = []
        position = 0
        held = self._held
        if held is not None:
            held += data
            if len(held) < self._wanted:
                return frames
            data = bytes(held)
            self._held = None
        elif self._left:
            position = self._go_on(data, frames)
        end = len(data)
        unpack = HEADER.unpack_from
        small = self.small
        while end - position >= 5:
            length, flags = unpack(data, position)
            if flags == RAW:
                after = self._begin_chunk(data, position, length, frames)
                if not after:
                    break
                position = after
                continue
            if not 2 <= length <= small:
                if not 2 <= length <= self._limit:
                    raise self._refuse(length)
                flags |= LARGE
            after = position + 4 + length
            if after > end:
                break
            frames.append((flags, data[position + 5 : after]))
            position = after
        if position < end:
            self._hold(data, position, end)
        return frames

    def _begin_chunk(self, data: bytes, position: int, length: int, frames: list[tuple[int, Any]]) -> int:
        """Where the first part of a chunk ends, 0 if its header is not complete."""
        limit = max(self.limit, self.chunk_limit)
        if not 2 <= length <= limit:
            raise self._refuse(length)
        size = length - _CHUNK_OVERHEAD
        if size < 1:
            raise ProtocolError("a raw chunk without content")
        start = position + _CHUNK_HEADER.size
        if start > len(data):
            return 0
        stream = int.from_bytes(data[start - 4 : start], "big")
        part = memoryview(data)[start : start + size]
        frames.append((RAW, Part(stream, size, part)))
        self._left = size - len(part)
        if self._left:
            self._stream, self._chunk = stream, size
            self.begun += 1
        return start + len(part)

    def _go_on(self, data: bytes, frames: list[tuple[int, Any]]) -> int:
        """Where the next part of the chunk that has begun ends."""
        part = memoryview(data)[: self._left]
        frames.append((RAW, Part(self._stream, 0, part)))
        self._left -= len(part)
        return len(part)

    def _hold(self, data: bytes, position: int, end: int) -> None:
        self._wanted = 4
        here = end - position
        if here >= 4:
            length = int.from_bytes(data[position : position + 4], "big")
            # The flags may allow more than a frame's limit, and may not be there yet.
            limit = self.limit if here > 4 and data[position + 4] != RAW else max(self.limit, self.chunk_limit)
            if not 2 <= length <= limit:
                raise self._refuse(length)
            self._wanted = 4 + length
            if here == 4:
                self._wanted = 5
            elif data[position + 4] == RAW:
                self._wanted = _CHUNK_HEADER.size
        self._held = bytearray(data[position:])
        self.begun += 1

    def _refuse(self, length: int) -> ProtocolError:
        return ProtocolError(f"a frame of {length} bytes; 2 to {self.limit} are taken here")


class NoSplitter(Splitter):
    """What is put in a splitter's place after an offence: where the next frame would begin nobody can say."""

    __slots__ = ()

    @property
    def between(self) -> bool:
        """There are no frames any more."""
        return False

    def feed(self, data: bytes) -> list[tuple[int, Any]]:
        """Raises ``ProtocolError``, always."""
        raise ProtocolError("more after a broken frame")
