"""What commands answer: data, that ``rendering`` turns into text or JSON.

Rules of this module: pure; nothing here knows how wide a terminal is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs


@attrs.frozen
class Table:
    """Rows under columns."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    title: str | None = None
    #: What is said when there are no rows.
    empty: str = "none"


@attrs.frozen
class Record:
    """Names and values."""

    values: Mapping[str, Any]
    title: str | None = None


@attrs.frozen
class Lines:
    """Text, line by line."""

    lines: Sequence[str]
    title: str | None = None


@attrs.frozen
class Value:
    """Any value that JSON can show, such as a view's answer."""

    value: Any
    title: str | None = None


Part = Table | Record | Lines | Value
Output = Part | Sequence[Part] | None


def parts_of(output: Output) -> list[Part]:
    """The parts of an output, none for None."""
    if output is None:
        return []
    return list(output) if isinstance(output, Sequence) else [output]
