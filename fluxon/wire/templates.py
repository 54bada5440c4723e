"""Asks that come again and again: recognised by their bytes, so that only what changes in them is decoded.

Rules of this module:

- What is recognised means exactly what decoding all of it would give. A CBOR value ends where it ends: with the bytes
  of a known ask before it and behind it, one value between them is that ask, and can be nothing else.
- Whatever is not surely a known ask is left to the general way, which also says what is wrong with it: all of a read,
  if one of its frames is another message, or is written in another form.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct, error
from typing import Any

from fluxon.errors import ProtocolError
from fluxon.wire.decoding import AROUND_ASK, SUSPECT, check_value, decode_all
from fluxon.wire.encoding import encode
from fluxon.wire.messages import Ask, Template, is_timeout

#: No flags; an array of six that begins with 0 and a tag of five bytes: an ask, as ``write_ask`` writes it.
_HEAD = b"\x00\x86\x00\x1a"
_LENGTH, _BEFORE = 4, 12

#: What ends an ask: no timeout, or one of eight bytes; no options.
_UNLIMITED = 0xF6
_unpack_limited = Struct(">BdB").unpack_from
_LIMITED_SIZE = 10
_FLOAT64, _NO_OPTIONS = 0xFB, 0xA0

_join = "".join


class Templates:
    """The known asks of one command, whose last argument, ``changing``, is the only part that differs each time."""

    __slots__ = ("_changing", "_command", "_known", "_last", "_mark")

    def __init__(self, command: str, changing: str) -> None:
        self._command = command
        self._changing = changing
        self._mark = encode(changing)
        self._known: dict[bytes, Template] = {}
        #: The one that was seen last: the next ask is often the same.
        self._last = Template(b"", {}, changing, None)

    def add(self, fixed: Mapping[str, Any], meaning: Any) -> None:
        """Know the ask with the arguments ``fixed`` before the last one; its ``Ask`` will have this ``meaning``."""
        head = bytes((0xA0 + len(fixed) + 1,))  # of a map of fewer than 24
        before = encode(self._command) + head + b"".join(encode(part) for item in fixed.items() for part in item)
        before += self._mark
        self._last = self._known[before] = Template(before, dict(fixed), self._changing, meaning)

    def read(self, data: bytes, largest: int, enough: int) -> tuple[list[Ask], int] | None:
        """The asks that the frames in ``data`` are, and where the last of them ends: behind it is less than a frame.

        None unless each frame is a known ask of ``largest`` bytes at most. Only those are read that begin before
        ``enough`` bytes.
        """
        template = self._last
        before, unpack, behind = template.before, template.unpack, template.behind
        command = self._command
        asks: list[Ask] = []
        values: list[bytes] = []
        position, end = 0, len(data)
        try:
            while end - position >= behind and position < enough:
                length, head, tag, beginning = unpack(data, position)
                if head != _HEAD or length > largest:
                    return None
                after: int = position + _LENGTH + length
                if after > end:
                    break
                if beginning != before:  # another one than the last
                    found = self._find(data, position + _BEFORE)
                    if found is None:
                        return None
                    template = self._last = found
                    before, unpack, behind = template.before, template.unpack, template.behind
                if data[after - 1] == _NO_OPTIONS and data[after - 2] == _UNLIMITED:
                    timeout, stop = None, after - 2
                else:
                    stop = after - _LIMITED_SIZE
                    float64, timeout, options = _unpack_limited(data, stop)
                    if float64 != _FLOAT64 or options != _NO_OPTIONS or not is_timeout(timeout):
                        return None
                values.append(data[position + behind : stop])
                asks.append(Ask(tag, command, None, timeout, length - 1, template))
                position = after
            if not asks or (position < enough and _is_more(data, position, end)):
                return None
            for ask, value in zip(asks, decode_all(values, around=AROUND_ASK), strict=True):
                ask.given = value
                if type(value) is dict:
                    # The usual one is flat. What check_value does, without the call:
                    _join(value)
                    for each in value.values():
                        if type(each) in SUSPECT:
                            check_value(each)
                elif type(value) in SUSPECT:
                    check_value(value)
        except (error, ProtocolError, TypeError):
            return None
        return asks, position

    def _find(self, data: bytes, start: int) -> Template | None:
        # A fixed argument that has the mark in it is never found, and left to the general way.
        return self._known.get(data[start : data.find(self._mark, start) + len(self._mark)])


def _is_more(data: bytes, position: int, end: int) -> bool:
    """Whether there is a whole frame, or one that is no message."""
    left = end - position
    return left >= _LENGTH and (
        _LENGTH + int.from_bytes(data[position : position + _LENGTH], "big") <= left
        or (left > _LENGTH and data[position + _LENGTH] != 0)
    )
