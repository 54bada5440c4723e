"""Statements that ask for several keys at once, and are still constants.

Rules kept here: a statement is written once for each power of two, and filled up with a key that is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam

#: Keys of one statement: SQLite's older bound on parameters is 999.
LARGEST = 512

#: No row's key.
_NONE = -1


def any_of(column: Any, size: int, prefix: str = "k") -> Any:
    """A condition: ``column`` is one of ``size`` parameters."""
    return column.in_([bindparam(f"{prefix}{number}", type_=column.type) for number in range(size)])


def by_size(make: Callable[[int], Any]) -> Batch:
    """The statements ``make(size)``, whose condition is ``any_of(..., size)``."""
    return Batch(make)


class Batch:
    """One question for any number of keys."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        self._make = make
        # Written when first needed: a thousand parameters take Core some milliseconds.
        self._statements: dict[int, Any] = {}
        self._names = [f"k{number}" for number in range(LARGEST)]

    def rows(
        self,
        connection: Any,
        keys: Sequence[Any],
        parameters: Mapping[str, Any] | None = None,
        none: Any = _NONE,
    ) -> list[Any]:
        """The rows of all keys, in no order."""
        found: list[Any] = []
        for start in range(0, len(keys), LARGEST):
            part = keys[start : start + LARGEST]
            size = 1 << (len(part) - 1).bit_length()
            values = dict(zip(self._names, [*part, *[none] * (size - len(part))], strict=False))
            statement = self._statements.get(size)
            if statement is None:
                statement = self._statements.setdefault(size, self._make(size))
            found += connection.rows(statement, {**values, **(parameters or {})})
        return found
