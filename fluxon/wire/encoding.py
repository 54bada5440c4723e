"""Strict CBOR (RFC 8949), from values to bytes.

Rules of this module:

- Nothing is encoded that the other side would refuse (``decoding`` says what that is), and depth is checked before
  ``dumps``, which has no limit of its own and takes the process down.
- It raises ``Unserialisable`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from cbor2 import CBOREncoder, CBORTag, dumps

from fluxon.errors import Unserialisable
from fluxon.limits import MAX_DECIMAL_EXPONENT, MAX_DEPTH, MAX_INT, MIN_INT
from fluxon.wire.decoding import MAX_DIGITS, TIME_TAG
from fluxon.wire.flat import flat

#: Items in one value. Each costs at least a byte on the wire, and this many fill the largest default frame with rows of
#: small numbers; the bound also ends the walk of a list that contains itself.
MAX_ITEMS = 2_000_000


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
    try:
        written = flat(value)
        if written is not None:
            return written
        kind = type(value)
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
    if len(digits) > MAX_DIGITS or abs(exponent) > MAX_DECIMAL_EXPONENT:
        raise Unserialisable(
            f"a Decimal of over {MAX_DIGITS} digits or an exponent over {MAX_DECIMAL_EXPONENT} cannot be sent"
        )
