"""Types of a command's arguments, each with its bounds in the declaration.

Rules of this room: ``check`` raises ``InvalidPayload`` and nothing else, its text names the argument, and a value that
passes is not changed. What a type does not bound, the frame's size does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fluxon.errors import InvalidPayload
from fluxon.limits import MAX_INT, MIN_INT


class Field:
    """One argument's type. ``check(value, name)`` raises ``InvalidPayload`` unless ``value`` is of it."""

    #: Whether the argument may be left out, and what it is then.
    optional = False
    default: Any = None

    def check(self, value: Any, name: str) -> None:
        """Raise ``InvalidPayload``, which names the argument ``name``, unless ``value`` is of this type."""
        raise NotImplementedError

    def describe(self) -> str:
        """The type in the words of the protocol's documentation."""
        raise NotImplementedError


class Anything(Field):
    """Any value that crosses the wire."""

    def check(self, value: Any, name: str) -> None:
        return

    def describe(self) -> str:
        return "any value"


class Text(Field):
    """Text of at most ``max_bytes`` bytes of UTF-8."""

    def __init__(self, *, max_bytes: int, min_bytes: int = 0) -> None:
        self.max_bytes = max_bytes
        self.min_bytes = min_bytes
        # No character takes more than four bytes, so shorter texts need not be encoded to be measured.
        self._surely_fits = max_bytes // 4

    def check(self, value: Any, name: str) -> None:
        if type(value) is not str:
            raise InvalidPayload(f"{name!r} must be text")
        size = len(value)
        if self.min_bytes <= size <= self._surely_fits:
            return
        size = len(value.encode("utf-8", "surrogatepass"))
        if not self.min_bytes <= size <= self.max_bytes:
            raise InvalidPayload(f"{name!r} must be a text of {self.min_bytes} to {self.max_bytes} bytes")

    def describe(self) -> str:
        return f"text, {self.min_bytes} to {self.max_bytes} bytes"


class Integer(Field):
    """A whole number from ``low`` to ``high``; True and False are none."""

    def __init__(self, low: int = MIN_INT, high: int = MAX_INT) -> None:
        self.low = low
        self.high = high

    def check(self, value: Any, name: str) -> None:
        if type(value) is not int or not self.low <= value <= self.high:
            raise InvalidPayload(f"{name!r} must be a whole number from {self.low} to {self.high}")

    def describe(self) -> str:
        return f"integer, {self.low} to {self.high}"


class Number(Field):
    """An integer or a float from ``low`` to ``high``; NaN is none."""

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high

    def check(self, value: Any, name: str) -> None:
        if type(value) not in (int, float) or not self.low <= value <= self.high:
            raise InvalidPayload(f"{name!r} must be a number from {self.low} to {self.high}")

    def describe(self) -> str:
        return f"number, {self.low} to {self.high}"


class Boolean(Field):
    """True or False."""

    def check(self, value: Any, name: str) -> None:
        if type(value) is not bool:
            raise InvalidPayload(f"{name!r} must be true or false")

    def describe(self) -> str:
        return "true or false"


class Binary(Field):
    """At most ``max_bytes`` bytes."""

    def __init__(self, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes

    def check(self, value: Any, name: str) -> None:
        if type(value) is not bytes or len(value) > self.max_bytes:
            raise InvalidPayload(f"{name!r} must be at most {self.max_bytes} bytes")

    def describe(self) -> str:
        return f"bytes, at most {self.max_bytes}"


class Moment(Field):
    """A date with a time, aware of its offset."""

    def check(self, value: Any, name: str) -> None:
        if type(value) is not datetime or value.tzinfo is None:
            raise InvalidPayload(f"{name!r} must be a date and time, with its offset from UTC")

    def describe(self) -> str:
        return "date and time"


class ListOf(Field):
    """At most ``max_items`` values of one type."""

    def __init__(self, item: Field, *, max_items: int) -> None:
        self.item = item
        self.max_items = max_items

    def check(self, value: Any, name: str) -> None:
        if type(value) is not list or len(value) > self.max_items:
            raise InvalidPayload(f"{name!r} must be a list of at most {self.max_items}")
        for each in value:
            self.item.check(each, name)

    def describe(self) -> str:
        return f"list of at most {self.max_items}: {self.item.describe()}"


class Structure(Field):
    """A map with these names and no others."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self.fields = dict(fields)
        self._items = tuple(self.fields.items())
        # For the usual case, that everything is there and right: what needs no look is not looked at.
        self._checks = tuple((key, field.check) for key, field in self._items if not isinstance(field, Anything))
        self._names = self.fields.keys()

    def check(self, value: Any, name: str) -> None:
        if type(value) is dict and value.keys() == self._names:
            for key, check in self._checks:
                check(value[key], key)
        else:
            self._check_closely(value, name)

    def _check_closely(self, value: Any, name: str) -> None:
        if type(value) is not dict:
            raise InvalidPayload(f"{name!r} must be a map")
        found = 0
        for key, field in self._items:
            if key in value:
                field.check(value[key], key)
                found += 1
            elif not field.optional:
                raise InvalidPayload(f"{name!r} needs {key!r}")
        if found != len(value):
            unknown = sorted(set(value) - set(self.fields))
            raise InvalidPayload(f"{name!r} does not take {unknown[0][:64]!r}")

    def describe(self) -> str:
        return "map: " + "; ".join(f"{key}: {field.describe()}" for key, field in self._items)


class Optional(Field):
    """``field`` or null; may be left out."""

    optional = True

    def __init__(self, field: Field) -> None:
        self.field = field

    def check(self, value: Any, name: str) -> None:
        if value is not None:
            self.field.check(value, name)

    def describe(self) -> str:
        return f"{self.field.describe()}, or null"
