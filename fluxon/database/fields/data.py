"""Bytes, JSON documents and UUIDs.

Rules kept here:

- A JSON document is what JSON itself knows: no NaN, text keys, and no deeper than what may cross the wire.
- None in a JSONField is NULL, not the document ``null``.
"""

from __future__ import annotations

import math
import uuid
from typing import Any, ClassVar

import attrs
import sqlalchemy
from sqlalchemy.types import TypeEngine

from fluxon.database.fields.base import Column
from fluxon.database.types import Document
from fluxon.limits import MAX_DEPTH, MAX_INT, MIN_INT


@attrs.define(eq=False, slots=False, kw_only=True)
class BinaryField(Column[bytes]):
    """Bytes, at most ``max_length`` of them when it is given."""

    max_length: int | None = None

    ordered: ClassVar[bool] = False

    def check_options(self) -> None:
        if self.max_length is not None and (type(self.max_length) is not int or self.max_length < 1):
            raise self.misdeclared("max_length is a number of bytes")
        if self.has_constant_default:
            raise self.misdeclared("a BinaryField's default is None or a function")

    def column_type(self) -> TypeEngine[Any]:
        return sqlalchemy.LargeBinary(self.max_length)

    def convert(self, value: Any) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise ValueError("must be bytes")
        return bytes(value)

    def check_bounds(self, value: bytes) -> None:
        if self.max_length is not None and len(value) > self.max_length:
            raise ValueError(f"is longer than {self.max_length} bytes")


@attrs.define(eq=False, slots=False, kw_only=True)
class JSONField(Column[Any]):
    """A document of dicts, lists, texts, numbers, True, False and None."""

    comparable: ClassVar[bool] = False
    ordered: ClassVar[bool] = False

    def check_options(self) -> None:
        if self.primary_key or self.unique or self.db_index:
            raise self.misdeclared("a JSONField is no key and has no index")
        if self.has_constant_default and self.default is not None:
            raise self.misdeclared("a JSONField's default is None or a function, such as dict or list")

    def column_type(self) -> TypeEngine[Any]:
        return Document(none_as_null=True)

    def convert(self, value: Any) -> Any:
        pending = [(value, 1)]
        while pending:
            each, depth = pending.pop()
            if depth > MAX_DEPTH:
                raise ValueError(f"is nested more than {MAX_DEPTH} deep")
            if isinstance(each, dict):
                if not all(isinstance(key, str) for key in each):
                    raise ValueError("has a key that is no text")
                pending += [(inner, depth + 1) for inner in each.values()]
                pending += [(key, depth) for key in each]
            elif isinstance(each, list | tuple):
                pending += [(inner, depth + 1) for inner in each]
            else:
                _check_leaf(each)
        return value


def _check_leaf(value: Any) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("holds half a character (a lone surrogate)") from None
        if "\0" in value:
            raise ValueError("holds a NUL character")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("holds a number that is not finite")
    elif isinstance(value, int):
        if not MIN_INT <= value <= MAX_INT:
            raise ValueError("holds an integer that does not fit in 64 bits")
    else:
        raise ValueError(f"holds a {type(value).__name__}, which JSON does not know")


@attrs.define(eq=False, slots=False, kw_only=True)
class UUIDField(Column[uuid.UUID]):
    """A UUID; ``default=uuid.uuid4`` makes a new one for each row."""

    def column_type(self) -> TypeEngine[Any]:
        return sqlalchemy.Uuid()

    def convert(self, value: Any) -> uuid.UUID:
        if not isinstance(value, uuid.UUID):
            raise ValueError("must be a UUID")
        return value
