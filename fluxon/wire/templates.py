"""Asks that come again and again: recognised by their bytes, so that only what changes in them is decoded.

Rules of this module:

- What is recognised means exactly what decoding all of it would give. A CBOR value ends where it ends: with the bytes
  of a known ask before it and behind it, one value between them is that ask, and can be nothing else.
- Whatever is not surely a known ask is left to the general way, which also says what is wrong with it: None for all
  frames of a read if one of them is another message, or is written in another form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct, error
from typing import Any

from fluxon.errors import ProtocolError
from fluxon.wire.codec import AROUND_ASK, SUSPECT, check_value, decode_all, encode
from fluxon.wire.messages import Ask, Template, is_timeout

#: An array of six that begins with 0 and a tag of five bytes: an ask, as ``write_ask`` writes it.
_HEAD = b"\x86\x00\x1a"
_unpack_head = Struct(">3sI").unpack_from
_BEHIND_HEAD = 7

#: What ends an ask: no timeout, or one of eight bytes; no options.
_UNLIMITED = b"\xf6\xa0"
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

    def read(self, bodies: Sequence[bytes]) -> list[Ask] | None:
        """The asks that ``bodies`` are, or None unless each of them is a known one."""
        template = self._last
        before = template.before
        behind = _BEHIND_HEAD + len(before)
        command = self._command
        asks: list[Ask] = []
        values: list[bytes] = []
        try:
            for body in bodies:
                head, tag = _unpack_head(body)
                if not body.startswith(before, _BEHIND_HEAD):  # another one than the last
                    found = self._find(body)
                    if found is None:
                        return None
                    template = self._last = found
                    before = template.before
                    behind = _BEHIND_HEAD + len(before)
                if head != _HEAD:
                    return None
                if body.endswith(_UNLIMITED):
                    timeout, end = None, -2
                else:
                    float64, timeout, options = _unpack_limited(body, len(body) - _LIMITED_SIZE)
                    if float64 != _FLOAT64 or options != _NO_OPTIONS or not is_timeout(timeout):
                        return None
                    end = -_LIMITED_SIZE
                values.append(body[behind:end])
                asks.append(Ask(tag, command, None, timeout, len(body), template))
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
        return asks

    def _find(self, body: bytes) -> Template | None:
        # A fixed argument that has the mark in it is never found, and left to the general way.
        return self._known.get(body[_BEHIND_HEAD : body.find(self._mark, _BEHIND_HEAD) + len(self._mark)])
