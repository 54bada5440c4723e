"""One ask for many connections: encoded once, and compressed once, whoever is asked.

Rules of this module: all are asked under one tag, so the frame is the same bytes for all of them, and held once however
many have not taken it. Its tags come from the upper half of those that there are; a conversation's own begin at 0, so
they meet after two thousand million asks at the earliest, and are looked at even then.
"""

from __future__ import annotations

import itertools
from typing import Any

from fluxon.limits import MAX_TAG
from fluxon.wire.frames import COMPRESSED, HEADER, compress, frame
from fluxon.wire.messages import MAX_TIMEOUT, retagged, write_ask, write_tell

_FIRST_TAG = 2**31
_numbers = itertools.count()


class Shared:
    """A frame for many."""

    __slots__ = ("_packed", "frame")

    def __init__(self, written: bytes) -> None:
        #: As it is sent where nothing is compressed.
        self.frame = written
        self._packed: bytes | None = None

    @property
    def size(self) -> int:
        """What a receiver's limit on frames is about."""
        return len(self.frame) - 4

    @property
    def packed(self) -> bytes:
        """As it is sent where it is compressed, if that pays."""
        if self._packed is None:
            packed = compress(self.frame[HEADER.size :])
            self._packed = self.frame if packed is None else frame(packed, COMPRESSED)
        return self._packed


class SharedAsk(Shared):
    """``command`` with ``arguments``, to be answered within ``timeout`` seconds by everybody who is asked.

    Raises ``Unserialisable`` for what cannot cross.
    """

    __slots__ = ("tag",)

    def __init__(self, command: str, arguments: dict[str, Any], timeout: float | None) -> None:
        self.tag = _FIRST_TAG + next(_numbers) % (MAX_TAG + 1 - _FIRST_TAG)
        limit = None if timeout is None else min(timeout, MAX_TIMEOUT)
        super().__init__(write_ask(self.tag, command, arguments, limit, {}))

    def under(self, tag: int) -> bytes:
        """``frame`` with another tag."""
        return retagged(self.frame, tag)


class SharedTell(Shared):
    """``command`` with ``arguments``, that nobody answers. Raises ``Unserialisable`` for what cannot cross."""

    __slots__ = ()

    def __init__(self, command: str, arguments: dict[str, Any]) -> None:
        super().__init__(write_tell(command, arguments, {}))
