"""What a view takes out of a payload, and what is said when it is not there.

Rules of this module:

- Nothing is converted, and a bool is no number: a value is of its type, or refused, as in the columns of a model.
- Everything that is wrong is told in one error. It names what the view asked for, and holds nothing of the payload.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any
from uuid import UUID

from fluxon.errors import InvalidPayload

#: What can cross the wire, in words.
_WORDS = {
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "True or False",
    bytes: "bytes",
    list: "a list",
    dict: "a dict",
    datetime: "a datetime",
    date: "a date",
    time: "a time of day",
    Decimal: "a Decimal",
    UUID: "a UUID",
}


def fields_of(payload: Any, types: Mapping[str, Any]) -> list[Any]:
    """The values of ``payload`` under the names of ``types``, in that order. See ``Request.fields``."""
    wanted = {name: _allowed(name, kind) for name, kind in types.items()}
    if payload is None:  # what a client sends that gives none
        payload = {}
    if not isinstance(payload, dict):
        raise InvalidPayload(f"the payload is a dict with {', '.join(types)}")
    wrong = {
        name: _complaint(name in payload, kinds) for name, kinds in wanted.items() if _is_wrong(payload, name, kinds)
    }
    if wrong:
        listed = "; ".join(f"{name} {said}" for name, said in wrong.items())
        raise InvalidPayload(listed, details={"fields": wrong})
    return [payload.get(name) for name in types]


def _allowed(name: str, kind: Any) -> tuple[type, ...]:
    """The types of ``str`` or ``str | None``."""
    kinds = kind.__args__ if isinstance(kind, UnionType) else (kind,)
    for each in kinds:
        if each not in _WORDS and each is not NoneType:
            raise TypeError(f"{name}= is a type that crosses the wire, such as str or int | None, not {each!r}")
    return kinds


def _is_wrong(payload: dict[str, Any], name: str, kinds: tuple[type, ...]) -> bool:
    found = type(payload.get(name))
    return found not in kinds and not (found is int and float in kinds)


def _complaint(is_there: bool, kinds: tuple[type, ...]) -> str:
    words = " or ".join(_WORDS[each] for each in kinds if each is not NoneType)
    return f"must be {words}" if is_there else "is missing"
