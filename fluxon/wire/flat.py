"""Small flat values, written without the encoder: a text, a number, a word, or a dict of one or two of them.

Rules of this module:

- Byte for byte what cbor2 writes (hypothesis compares them); None for anything else, which ``encoding`` writes.
- Most answers are one of these, and a call of the encoder costs twice what writing them does. With three entries it is
  the other way round.
"""

from __future__ import annotations

from typing import Any

_UNSIGNED, _TEXT = 0x00, 0x60

#: What is longer is rare enough to be left to the encoder.
_SHORT = 256


def _heads(major: int) -> list[bytes]:
    """Of what counts up to 255 (RFC 8949, section 3)."""
    return [bytes((major | count,)) if count < 24 else bytes((major | 24, count)) for count in range(_SHORT)]


_NUMBERS = _heads(_UNSIGNED)
_TEXTS = _heads(_TEXT)
_WORDS = {None: b"\xf6", False: b"\xf4", True: b"\xf5"}
_MAPS = (b"\xa0", b"\xa1", b"\xa2")


#: Keys as they are written. A program's are few, and declared in it; if they are made of data, these are not all.
_keys: dict[str, bytes] = {}
_KEPT = 1_000


def flat(value: Any) -> bytes | None:
    """``value`` as CBOR if it is small and flat, None if not. Raises ``UnicodeEncodeError`` for a text that is none."""
    kind = type(value)
    if kind is not dict:
        return _scalar(value, kind)
    count = len(value)
    if count >= len(_MAPS):
        return None
    written = _MAPS[count]
    for key, each in value.items():
        name = _keys.get(key) or _key(key)
        kind = type(each)
        if kind is str:  # ``_scalar``, without the call
            text = each.encode()
            if len(text) >= _SHORT or name is None:
                return None
            written += name + _TEXTS[len(text)] + text
        else:
            other = _scalar(each, kind)
            if other is None or name is None:
                return None
            written += name + other
    return written


def _key(key: Any) -> bytes | None:
    written = _scalar(key, str) if type(key) is str else None
    if written is not None and len(_keys) < _KEPT:
        _keys[key] = written
    return written


def _scalar(value: Any, kind: type) -> bytes | None:
    if kind is str:
        text: bytes = value.encode()
        return _TEXTS[len(text)] + text if len(text) < _SHORT else None
    if kind is int:
        return _NUMBERS[value] if 0 <= value < _SHORT else None
    if kind is bool or value is None:
        return _WORDS[value]
    return None
