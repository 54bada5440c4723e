"""Data as text for a terminal, or as JSON for a program.

Rules of this module:

- Pure. A width of None is as wide as it needs to be: nothing is cut in what a program reads.
- Whatever comes from strangers (names, log lines, answers) may hold characters that command a terminal. None of them
  reaches one: they are shown as what they are.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate, takewhile
from typing import Any

from fluxon.console.output import Lines, Output, Part, Record, Table, Value, parts_of

_GAP = "  "
#: Below this a column says nothing any more; a table that would need it is shown as records.
_NARROWEST = 6
#: Categories that command a terminal, are invisible, or turn the direction of what follows.
_UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def safe(text: str) -> str:
    """``text`` with whatever is not to be seen as an escape: one line that can do nothing."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(each) if unicodedata.category(each) in _UNSHOWN else each for each in text)


def _escaped(character: str) -> str:
    return repr(character)[1:-1] if ord(character) < 0x80 else f"\\u{ord(character):04x}"


def columns_of(text: str) -> int:
    """How many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def shown(value: Any) -> str:
    """One value in a cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(shown(each) for each in value) or "-"
    return safe(str(value))


def to_text(output: Output, width: int | None = None) -> list[str]:
    """Lines for a terminal of ``width`` columns."""
    lines: list[str] = []
    for part in parts_of(output):
        if lines:
            lines.append("")
        if part.title is not None:
            lines.append(f"{safe(part.title)}:")
        lines += _part_lines(part, width)
    return lines


def _part_lines(part: Part, width: int | None) -> list[str]:
    if isinstance(part, Lines):
        return [safe(each) for each in part.lines]
    if isinstance(part, Value):
        return [safe(each) for each in json.dumps(part.value, indent=2, ensure_ascii=False, default=_plain).split("\n")]
    if isinstance(part, Record):
        return _record_lines([(safe(name), shown(value)) for name, value in part.values.items()], width)
    return _table_lines(part, width)


def _record_lines(pairs: Sequence[tuple[str, str]], width: int | None) -> list[str]:
    wide = max((columns_of(name) for name, _ in pairs), default=0)
    return [_cut(f"{_padded(name, wide)}{_GAP}{value}", width) for name, value in pairs]


def _table_lines(table: Table, width: int | None) -> list[str]:
    if not table.rows:
        return [table.empty]
    names = [safe(each) for each in table.columns]
    cells = [[shown(value) for value in row] for row in table.rows]
    widths = [max(columns_of(name), *(columns_of(row[index]) for row in cells)) for index, name in enumerate(names)]
    if width is not None and not _narrow(widths, width):
        lines: list[str] = []
        for row in cells:
            lines += [""] if lines else []
            lines += _record_lines(list(zip(names, row, strict=True)), width)
        return lines
    right = [all(_is_number(row[index]) for row in table.rows) for index in range(len(table.columns))]
    rows = [names, *cells]
    return [
        _GAP.join(
            _padded(_cut(cell, wide), wide, on_the_left=align)
            for cell, wide, align in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _narrow(widths: list[int], width: int) -> bool:
    """Make columns narrower until they fit, the widest first; whether they can."""
    room = width - len(_GAP) * (len(widths) - 1)
    if sum(min(each, _NARROWEST) for each in widths) > room:
        return False
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    return True


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _cut(text: str, width: int | None) -> str:
    if width is None or columns_of(text) <= width:
        return text
    ends = accumulate(columns_of(each) for each in text)
    kept = sum(1 for _ in takewhile(lambda end: end < width, ends))
    return text[:kept] + "…"


def _padded(text: str, width: int, on_the_left: bool = False) -> str:
    filling = " " * (width - columns_of(text))
    return filling + text if on_the_left else text + filling


def to_json(output: Output) -> str:
    """One line of JSON: an object for a record, a list of objects for a table, by title if there are several."""
    parts = parts_of(output)
    if len(parts) == 1:
        value = _part_value(parts[0])
    else:
        value = {_key(part.title or str(number)): _part_value(part) for number, part in enumerate(parts)}
    return json.dumps(value, ensure_ascii=True, default=_plain)


def _part_value(part: Part) -> Any:
    if isinstance(part, Table):
        names = [_key(each) for each in part.columns]
        return [dict(zip(names, row, strict=True)) for row in part.rows]
    if isinstance(part, Record):
        return {_key(name): value for name, value in part.values.items()}
    if isinstance(part, Value):
        return part.value
    return list(part.lines)


def _key(name: str) -> str:
    """As programs write names."""
    return name.replace(",", "").replace(" ", "_")


def _plain(value: Any) -> Any:
    """What JSON has no word for."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
