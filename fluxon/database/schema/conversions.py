"""How a column's values are carried into a column of another type, on SQLite.

Rules kept here:

- A conversion loses nothing, or it is refused: with each goes the condition that finds values it cannot carry.
- A pair of types that is not here is not converted at all.
"""

from __future__ import annotations

import re

import attrs

_SCALED = re.compile(r"SCALED_INT\((\d+), ?(\d+)\)")
_LENGTH = re.compile(r"(?:VARCHAR|CHAR)\((\d+)\)")


@attrs.frozen
class Conversion:
    """``value`` is SQL for the new value; ``broken`` is SQL that is true for an old one that would be harmed."""

    value: str
    broken: str | None = None


def conversion(column: str, old: str, new: str) -> Conversion | None:
    """The way of ``column`` (quoted) from one declared type to another; None when there is none."""
    if old == new:
        return Conversion(column)
    old_scale, new_scale = _scale(old), _scale(new)
    if old_scale is not None and new_scale is not None:
        return _rescaled(column, old_scale, new_scale, _digits(new))
    families = (_family(old), _family(new))
    match families:
        case ("text", "text"):
            length = _LENGTH.fullmatch(new)
            return Conversion(column, f"length({column}) > {length[1]}" if length else None)
        case ("integer" | "boolean", "text"):
            length = _LENGTH.fullmatch(new)
            text = f"CAST({column} AS TEXT)"
            return Conversion(text, f"length({text}) > {length[1]}" if length else None)
        case ("text", "integer"):
            number = f"CAST({column} AS INTEGER)"
            return Conversion(number, f"CAST({number} AS TEXT) <> {column}")
        case ("integer", "integer") | ("boolean", "integer") | ("bytes", "bytes"):
            return Conversion(column)
        case ("integer", "boolean"):
            return Conversion(column, f"{column} NOT IN (0, 1)")
        case ("integer", "real"):
            number = f"CAST({column} AS REAL)"
            return Conversion(number, f"CAST({number} AS INTEGER) <> {column}")
        case ("real", "integer"):
            number = f"CAST({column} AS INTEGER)"
            return Conversion(number, f"CAST({number} AS REAL) <> {column}")
        case ("date", "moment"):
            return Conversion(f"({column} || ' 00:00:00.000000')")
    if families[0] == "integer" and new_scale is not None:
        return _rescaled(column, 0, new_scale, _digits(new))
    if old_scale is not None and families[1] == "integer":
        return _rescaled(column, old_scale, 0, 18)
    return None


def _rescaled(column: str, old: int, new: int, digits: int) -> Conversion:
    highest = 10**digits - 1
    # Not abs(): SQLite refuses it for the least integer.
    if new >= old:
        factor = 10 ** (new - old)
        # Compared before multiplying: a product beyond 64 bits would become a float.
        return Conversion(
            f"{column} * {factor}", f"{column} NOT BETWEEN {-(highest // factor)} AND {highest // factor}"
        )
    factor = 10 ** (old - new)
    value = f"{column} / {factor}"
    return Conversion(value, f"({column} % {factor} <> 0 OR {value} NOT BETWEEN {-highest} AND {highest})")


def _scale(declared: str) -> int | None:
    match = _SCALED.fullmatch(declared)
    return int(match[2]) if match else None


def _digits(declared: str) -> int:
    match = _SCALED.fullmatch(declared)
    assert match is not None
    return int(match[1])


def _family(declared: str) -> str:
    if _SCALED.fullmatch(declared):
        return "decimal"
    name = declared.partition("(")[0].strip()
    return _FAMILIES.get(name, declared)


_FAMILIES = {
    "VARCHAR": "text",
    "CHAR": "text",
    "TEXT": "text",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "BOOLEAN": "boolean",
    "DOUBLE": "real",
    "FLOAT": "real",
    "BLOB": "bytes",
    "DATE": "date",
    "DATETIME": "moment",
}
