"""Strict CBOR (RFC 8949), from bytes to values.

Rules of this module:

- One form for each type: datetime is tag 0 in UTC, date tag 1004 (RFC 8943), time of day the private tag 61888, Decimal
  tag 4, UUID tag 37. Every other tag, indefinite length, duplicate key, and byte after the value is refused by
  ``decode``; keys that are no text, ``undefined`` and simple values by ``check_value``.
- It raises ``ProtocolError`` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from secrets import token_bytes
from threading import local
from typing import Any, NoReturn
from uuid import UUID

from cbor2 import CBORDecoder, CBORError, CBORSimpleValue, loads, undefined

from fluxon.errors import ProtocolError
from fluxon.limits import MAX_DECIMAL_EXPONENT, MAX_DEPTH, MAX_INT, MIN_INT

#: "HH:MM:SS.ffffff"; no registered tag means a time of day without a date.
TIME_TAG = 61888
DATE_TAG = 1004

#: Digits of a Decimal: so many fit 64 bits whatever they are, so no bignum is ever needed to read one.
MAX_DIGITS = 18
_MAX_COEFFICIENT = 10**MAX_DIGITS - 1

#: What is around a value of ``MAX_DEPTH`` levels: the message's array and the map of an ask's arguments; and inside its
#: last level a tag and the tag's pair, of which the level counts one.
_DECODE_DEPTH = MAX_DEPTH + 3


def _refuse_tag(*_: Any) -> NoReturn:
    raise ValueError("a tag that Fluxon's wire does not use")


# RFC 3339, capitals only. ``fromisoformat`` alone takes much more: week dates, commas, times without colons.
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}")


def _read_datetime(text: Any, _: bool) -> datetime:
    if type(text) is not str or not _DATETIME.fullmatch(text):
        raise ValueError("a date and time must be YYYY-MM-DDTHH:MM:SS.ffffffZ")
    return datetime.fromisoformat(text).astimezone(UTC)


def _read_date(text: Any, _: bool) -> date:
    if type(text) is not str or not _DATE.fullmatch(text):
        raise ValueError("a date must be YYYY-MM-DD")
    return date.fromisoformat(text)


def _read_time(text: Any, _: bool) -> time:
    if type(text) is not str or not _TIME.fullmatch(text):
        raise ValueError("a time must be HH:MM:SS.ffffff")
    return time.fromisoformat(text)


#: Not the caller's: a thread that rounds to six digits would round what it receives.
_EXACT = Context(prec=MAX_DIGITS)


def _read_decimal(pair: Any, _: bool) -> Decimal:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or type(pair[0]) is not int or type(pair[1]) is not int:
        raise ValueError("a decimal is [exponent, coefficient]")
    exponent, coefficient = pair
    if abs(exponent) > MAX_DECIMAL_EXPONENT or abs(coefficient) > _MAX_COEFFICIENT:
        raise ValueError("a decimal is out of bounds")
    return Decimal(coefficient).scaleb(exponent, _EXACT)


def _read_uuid(raw: Any, _: bool) -> UUID:
    if type(raw) is not bytes:
        raise ValueError("a UUID is 16 bytes")
    return UUID(bytes=raw)


# cbor2's own decoders for these tags do arithmetic without bounds (a bignum of 256 KiB in tag 4: 5.6 s), build cycles,
# or make types that do not cross.
_REFUSED = (1, 2, 3, 5, 25, 28, 29, 30, 35, 36, 52, 54, 100, 256, 258, 260, 261, 43000, 55799)
_SEMANTIC: dict[int, Any] = {
    **dict.fromkeys(_REFUSED, _refuse_tag),
    0: _read_datetime,
    4: _read_decimal,
    37: _read_uuid,
    DATE_TAG: _read_date,
    TIME_TAG: _read_time,
}

_join = "".join

#: Types that ``check_value`` looks at: what holds values, and what crosses no wire but has no switch in cbor2.
SUSPECT = frozenset({dict, list, type(undefined), CBORSimpleValue})


def check_value(value: Any) -> None:
    """Raise ``ProtocolError`` for a key that is no text, ``undefined`` or a simple value, anywhere in a decoded value.

    Apart from ``decode`` because a hook for every map of every envelope costs three times as much as looking once at
    the part of a message that an application will see. Recursion is bounded: depth was while decoding.
    """
    kind = type(value)
    if kind is dict:
        try:
            _join(value)  # TypeError at the first key that is no text: the cheapest look at every key
        except TypeError as error:
            raise ProtocolError("a key that is no text") from error
        children = value.values()
    elif kind is list:
        children = value
    else:
        raise ProtocolError("a simple value that Fluxon's wire does not use")
    for child in children:
        if type(child) in SUSPECT:
            check_value(child)


#: Levels that are around the value of an ask's argument, and not around a body: the message's array, and the map.
AROUND_ASK = 2


def _strict(depth: int) -> dict[str, Any]:
    return {
        "max_depth": depth,
        "allow_indefinite": False,
        "allow_duplicate_keys": False,
        "strict_hashable_types": True,
        "tag_hook": _refuse_tag,
        "semantic_decoders": _SEMANTIC,
    }


# By the levels around; several are in a list of their own.
_STRICT_ONE = [_strict(_DECODE_DEPTH - around) for around in range(AROUND_ASK + 1)]
_STRICT_ALL = [_strict(_DECODE_DEPTH - around + 1) for around in range(AROUND_ASK + 1)]

#: What cbor2, and what it is told to call, may raise for bytes that are not strict CBOR.
_NOT_STRICT = (CBORError, ValueError, TypeError, OverflowError, ArithmeticError, RecursionError)

#: Heads of integers of eight bytes.
_UINT64, _NEGATIVE64 = 0x1B, 0x3B

# Without those two, which decode_all looks for; what that costs of 128 bits is nothing.
_FENCE_VALUE = token_bytes(16).replace(b"\x1b", b"\x00").replace(b"\x3b", b"\x00")
_FENCE = b"\x50" + _FENCE_VALUE


def decode_all(bodies: Sequence[bytes], *, around: int = 0) -> list[Any]:
    """The values of several frames' bodies. Raises ``ProtocolError`` if any is not exactly one strict value.

    ``around`` is for values that were taken out of their bodies, and counts the levels that were around them there.

    All are decoded in one go, which costs half of one by one, with a fence after each: 16 bytes that are this process's
    secret. A body that ends early or late pushes a fence out of its place, and nobody can forge one.
    """
    count = len(bodies)
    if count == 1:
        return [_decode_one(bodies[0], around)]
    joined = b"\x9a" + (2 * count).to_bytes(4, "big") + _FENCE.join(bodies) + _FENCE
    try:
        values = loads(joined, **_STRICT_ALL[around])
        if values[1::2] != [_FENCE_VALUE] * count:
            raise ValueError("a value does not end where its frame ends")
        del values[1::2]
        # 64-bit heads are rare; only where one may be can an integer be out of bounds.
        if _UINT64 in joined or _NEGATIVE64 in joined:
            for body, value in zip(bodies, values, strict=True):
                if _UINT64 in body or _NEGATIVE64 in body:
                    _check_integers(value)
    except _NOT_STRICT as error:
        raise _not_strict(error) from error
    return values  # type: ignore[no-any-return]


def decode(body: bytes) -> Any:
    """The one value that ``body`` is. Raises ``ProtocolError``."""
    return _decode_one(body, 0)


class _Source:
    """The file that a decoder reads: one body, all of it at once."""

    body = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, _: int) -> bytes:
        body, self.body = self.body, b""
        return body

    def tell(self) -> int:  # pragma: no cover - a part of what a file is; cbor2 6.3 does not ask
        return 0

    def seek(self, *_: int) -> int:
        # A decoder gives back what it has read and did not need.
        raise ValueError("a value does not end where its frame ends")


class _Decoders(local):
    """Making a decoder costs as much as decoding a small body with it: each thread keeps one for each level."""

    def __init__(self) -> None:
        self.kept: list[tuple[_Source, CBORDecoder] | None] = [None] * len(_STRICT_ONE)


_decoders = _Decoders()


def _decode_one(body: bytes, around: int) -> Any:
    kept = _decoders.kept
    pair = kept[around]
    if pair is None:
        source = _Source()
        pair = source, CBORDecoder(source, **_STRICT_ONE[around])  # type: ignore[arg-type]  # it reads, and no more
    # In use; and gone, with what it may still hold of this body, if that is not one strict value.
    kept[around] = None
    pair[0].body = body
    try:
        value = pair[1].decode()
        if _UINT64 in body or _NEGATIVE64 in body:
            _check_integers(value)
    except _NOT_STRICT as error:
        raise _not_strict(error) from error
    kept[around] = pair
    return value


def _not_strict(error: Exception) -> ProtocolError:
    return ProtocolError(f"a frame that is not strict CBOR: {type(error).__name__}")


def _check_integers(value: Any) -> None:
    pending = [value]
    while pending:
        each = pending.pop()
        kind = type(each)
        if kind is dict:
            pending.extend(each.values())
        elif kind is list:
            pending.extend(each)
        elif kind is int and not MIN_INT <= each <= MAX_INT:
            raise ValueError("an integer of more than 64 bits")
