"""Strict CBOR (RFC 8949), both ways.

Rules of this room:

- One form for each type: datetime is tag 0 in UTC, date tag 1004 (RFC 8943), time of day the private tag 61888, Decimal
  tag 4, UUID tag 37. Every other tag, indefinite length, duplicate key, and byte after the value is refused by
  ``decode``; keys that are no text, ``undefined`` and simple values by ``check_value``.
- Nothing is encoded that the other side would refuse, and depth is checked before ``dumps``, which has no limit of its
  own and takes the process down.
- Decoding raises ``ProtocolError`` and nothing else; encoding ``Unserialisable`` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from secrets import token_bytes
from types import NoneType
from typing import Any, NoReturn
from uuid import UUID

from cbor2 import CBOREncoder, CBORError, CBORSimpleValue, CBORTag, dumps, loads, undefined

from fluxon.errors import ProtocolError, Unserialisable
from fluxon.limits import MAX_DECIMAL_EXPONENT, MAX_DEPTH, MAX_INT, MIN_INT

#: "HH:MM:SS.ffffff"; no registered tag means a time of day without a date.
TIME_TAG = 61888
DATE_TAG = 1004

#: What is around a value of ``MAX_DEPTH`` levels: the message's array and the map of an ask's arguments; and inside its
#: last level a tag and the tag's pair, of which the level counts one.
_DECODE_DEPTH = MAX_DEPTH + 3

#: 18 digits fit 64 bits whatever they are, so no bignum is ever needed to read a Decimal.
_MAX_DIGITS = 18
_MAX_COEFFICIENT = 10**_MAX_DIGITS - 1

#: Items in one value. Each costs at least a byte on the wire, and this many fill the largest default frame with rows of
#: small numbers; the bound also ends the walk of a list that contains itself.
MAX_ITEMS = 2_000_000


# --- decoding ---------------------------------------------------------------------------------------------------------


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
_EXACT = Context(prec=_MAX_DIGITS)


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

_STRICT: dict[str, Any] = {
    "max_depth": _DECODE_DEPTH + 1,  # the list around the bodies
    "allow_indefinite": False,
    "allow_duplicate_keys": False,
    "strict_hashable_types": True,
    "tag_hook": _refuse_tag,
    "semantic_decoders": _SEMANTIC,
}
_STRICT_AT = [{**_STRICT, "max_depth": _STRICT["max_depth"] - around} for around in range(AROUND_ASK + 1)]


#: What cbor2, and what it is told to call, may raise for bytes that are not strict CBOR.
_NOT_STRICT = (CBORError, ValueError, TypeError, OverflowError, ArithmeticError, RecursionError)

# Without the two heads that decode_all looks for; what that costs of 128 bits is nothing.
_FENCE_VALUE = token_bytes(16).replace(b"\x1b", b"\x00").replace(b"\x3b", b"\x00")
_FENCE = b"\x50" + _FENCE_VALUE


def decode_all(bodies: Sequence[bytes], *, around: int = 0) -> list[Any]:
    """The values of several frames' bodies. Raises ``ProtocolError`` if any is not exactly one strict value.

    ``around`` is for values that were taken out of their bodies, and counts the levels that were around them there.

    All are decoded in one go, which costs half of one by one, with a fence after each: 16 bytes that are this process's
    secret. A body that ends early or late pushes a fence out of its place, and nobody can forge one.
    """
    count = len(bodies)
    strict = _STRICT_AT[around]
    if count == 1:
        return [_decode_one(bodies[0], strict)]
    joined = b"\x9a" + (2 * count).to_bytes(4, "big") + _FENCE.join(bodies) + _FENCE
    try:
        values = loads(joined, **strict)
        if values[1::2] != [_FENCE_VALUE] * count:
            raise ValueError("a value does not end where its frame ends")
        del values[1::2]
        # 64-bit heads are rare; only where one may be can an integer be out of bounds.
        if b"\x1b" in joined or b"\x3b" in joined:
            for body, value in zip(bodies, values, strict=True):
                if b"\x1b" in body or b"\x3b" in body:
                    _check_integers(value)
    except _NOT_STRICT as error:
        raise ProtocolError(f"a frame that is not strict CBOR: {type(error).__name__}") from error
    return values  # type: ignore[no-any-return]


def decode(body: bytes) -> Any:
    """The one value that ``body`` is. Raises ``ProtocolError``."""
    return _decode_one(body, _STRICT)


def _decode_one(body: bytes, strict: dict[str, Any]) -> Any:
    # The same without lists to build and compare: one call at a time is what a client waits for.
    try:
        value, fence = loads(b"\x82" + body + _FENCE, **strict)
        if fence != _FENCE_VALUE:
            raise ValueError("a value does not end where its frame ends")
        if b"\x1b" in body or b"\x3b" in body:
            _check_integers(value)
    except _NOT_STRICT as error:
        raise ProtocolError(f"a frame that is not strict CBOR: {type(error).__name__}") from error
    return value


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


# --- encoding ---------------------------------------------------------------------------------------------------------


class CrossesAs:
    """An object of this kind is sent as the plain value that it stands for."""

    __slots__ = ()

    @property
    def crosses_as(self) -> bool | int | float | str | None:
        """That value."""
        raise NotImplementedError


def _write_datetime(encoder: CBOREncoder, value: datetime) -> None:
    text = datetime.isoformat(value.astimezone(UTC))
    encoder.encode(CBORTag(0, text.replace("+00:00", "Z")))


def _write_time(encoder: CBOREncoder, value: time) -> None:
    encoder.encode(CBORTag(TIME_TAG, time.isoformat(value, timespec="microseconds")))


def _write_subclass(encoder: CBOREncoder, value: Any) -> None:
    """Subclasses of what crosses (a data frame's timestamps, a driver's UUIDs) cross as what they are a kind of."""
    match value:
        case datetime():
            _write_datetime(encoder, value)
        case date():
            encoder.encode(date(value.year, value.month, value.day))
        case time():
            _write_time(encoder, value)
        case Decimal():
            encoder.encode(Decimal(value))
        case UUID():
            encoder.encode(UUID(int=value.int))
        case _:  # ``CrossesAs``: nothing else that ``_check`` lets pass is unknown to the codec
            encoder.encode(value.crosses_as)


_ENCODERS: dict[type, Any] = {datetime: _write_datetime, time: _write_time}

_PLAIN = frozenset({NoneType, bool, float, str, bytes, date, UUID})
_SCALARS = frozenset({NoneType, bool, float, str, bytes})


class Encoded:
    """A whole value as ``encode`` gave it, for whoever sends it more than once."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


def encode(value: Any) -> bytes:
    """``value`` as CBOR. Raises ``Unserialisable``, whose text names the type or the bound."""
    kind = type(value)
    try:
        # Text and numbers, and a flat dict of them (the usual payload), need neither the walk nor the encoders.
        if kind is dict:
            for key, each in value.items():
                kind = type(each)
                if type(key) is not str or not (kind in _SCALARS or (kind is int and MIN_INT <= each <= MAX_INT)):
                    break
            else:
                return dumps(value)
        elif kind in _SCALARS:
            return dumps(value)
        elif kind is Encoded:
            return value.data  # type: ignore[no-any-return]
        # The codec's own way with moments in UTC is ours too, and three times as fast as calling back.
        return dumps(value, encoders=_ENCODERS, default=_write_subclass) if _check(value) else dumps(value)
    except Unserialisable:
        raise
    except UnicodeEncodeError as error:
        raise Unserialisable("a text with a lone surrogate cannot be sent; decode it properly first") from error
    except Exception as error:  # a subclass, or a time zone of the application's own, may raise anything
        raise Unserialisable(f"the value cannot be sent: {type(error).__name__}") from error


#: Bytes from which on copying them costs more than sending a piece by itself, and up to which they are one of a few.
_SEPARATE = 16 * 1024
_SEPARATE_UP_TO = 256 * 1024
#: A CBOR head that counts up to so many entries is one byte.
_SHORT = 23


def encode_apart(value: Any) -> tuple[bytes, bytes] | None:
    """The CBOR of a dict that ends with many bytes, in two pieces: what comes before those bytes, and they themselves.

    None for anything else, which ``encode`` writes. Raises ``Unserialisable``.
    """
    if type(value) is not dict or len(value) > _SHORT:
        return None
    last = next(reversed(value), None)
    data = value.get(last)
    if type(last) is not str or type(data) is not bytes or not _SEPARATE <= len(data) <= _SEPARATE_UP_TO:
        return None
    rest = dict(value)
    del rest[last]
    before = encode(rest)
    count = bytes((before[0] + 1,))
    return b"".join((count, memoryview(before)[1:], encode(last), b"\x5a", len(data).to_bytes(4, "big"))), data


def _check(value: Any) -> bool:
    """Raise ``Unserialisable`` for what does not cross; whether there is anything that our encoders have to write.

    Level by level, so that depth is the number of levels and no recursion is needed.
    """
    level: list[Any] = [value]
    special = False
    seen = 0
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for each in level:
            kind = type(each)
            if kind in _PLAIN:
                continue
            if kind is int:
                if not MIN_INT <= each <= MAX_INT:
                    raise Unserialisable("an integer of more than 64 bits cannot be sent; send it as text")
            elif kind is datetime and each.tzinfo is UTC:
                continue
            elif isinstance(each, dict):
                _check_keys(each)
                deeper.extend(each.values())
            elif isinstance(each, (list, tuple)):
                deeper.extend(each)
            else:
                _check_special(each)
                special = True
        if not deeper:
            return special
        seen += len(deeper)
        if seen > MAX_ITEMS:
            raise Unserialisable(f"more than {MAX_ITEMS:,} items in one value cannot be sent; send them in pages")
        level = deeper
    raise Unserialisable(f"a value nested deeper than {MAX_DEPTH} levels cannot be sent; is it a circle?")


def _check_keys(mapping: Iterable[Any]) -> None:
    for key in mapping:
        if not isinstance(key, str):
            raise Unserialisable(f"the keys of a dict must be text to be sent, not {type(key).__name__}")


def _check_special(value: Any) -> None:
    if isinstance(value, datetime):
        if value.tzinfo is None or value.utcoffset() is None:
            raise Unserialisable("a datetime without a time zone cannot be sent; use datetime.now(timezone.utc)")
    elif isinstance(value, time):
        if value.tzinfo is not None:
            raise Unserialisable("a time with a time zone cannot be sent; send a datetime")
    elif isinstance(value, Decimal):
        _check_decimal(value)
    elif isinstance(value, int) and not MIN_INT <= value <= MAX_INT:
        raise Unserialisable("an integer of more than 64 bits cannot be sent; send it as text")
    elif not isinstance(value, (str, bytes, bytearray, int, float, date, UUID, CrossesAs)):
        kind = type(value).__name__
        if hasattr(value, "__await__"):
            raise Unserialisable(f"the promise of a result ({kind}) cannot be sent: you forgot to await it")
        raise Unserialisable(f"a value of type {kind} cannot be sent; send text, numbers, bytes, lists and dicts")


def _check_decimal(value: Decimal) -> None:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Unserialisable("a Decimal that is no number cannot be sent")
    if len(digits) > _MAX_DIGITS or abs(exponent) > MAX_DECIMAL_EXPONENT:
        raise Unserialisable(
            f"a Decimal of over {_MAX_DIGITS} digits or an exponent over {MAX_DECIMAL_EXPONENT} cannot be sent"
        )
