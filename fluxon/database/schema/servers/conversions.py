"""How a column's values are carried into a column of another type, on a server.

Rules kept here:

- A conversion loses nothing, or it is refused: with each goes the condition that finds values it cannot carry.
- A pair of types that is not here is not converted at all.
"""

from __future__ import annotations

import re

from fluxon.database.schema.conversions import Conversion

#: Up to here every integer is a double (2**53).
_EXACT = 9_007_199_254_740_992

_HIGHEST = 9_223_372_036_854_775_807

_NUMBERS = re.compile(r"(?:numeric|decimal)\((\d+),(\d+)\)")
_LENGTH = re.compile(r"(?:character varying|varchar|char)\((\d+)\)")

_FAMILIES = {
    "character varying": "text",
    "varchar": "text",
    "char": "text",
    "text": "text",
    "longtext": "text",
    "integer": "integer",
    "int": "integer",
    "bigint": "integer",
    "smallint": "integer",
    "boolean": "boolean",
    "tinyint": "boolean",
    "double precision": "real",
    "double": "real",
    "numeric": "decimal",
    "decimal": "decimal",
    "date": "date",
    "timestamp with time zone": "moment",
    "datetime": "moment",
}

#: SQL of PostgreSQL that differs from taking the value as it is. MariaDB and MySQL convert in MODIFY.
_CASTS = {
    ("integer", "text"): "{}::text",
    ("boolean", "text"): "{}::integer::text",
    ("text", "integer"): "{}::bigint",
    ("boolean", "integer"): "{}::integer",
    ("integer", "boolean"): "({} <> 0)",
    ("date", "moment"): "{}::timestamp AT TIME ZONE 'UTC'",
}


def conversion(dialect: str, column: str, old: str, new: str) -> Conversion | None:
    """The way of ``column`` (quoted) from one type to another; None when there is none."""
    if old == new:
        return Conversion(column)
    families = (_family(old), _family(new))
    if families not in _BROKEN:
        return None
    value = _CASTS.get(families, "{}").format(column) if dialect == "postgresql" else column
    return Conversion(value, _BROKEN[families](dialect, column, new))


def _family(declared: str) -> str:
    return _FAMILIES.get(re.sub(r"\([^)]*\)", "", declared).replace(" unsigned", "").strip(), declared)


def _too_long(dialect: str, column: str, new: str) -> str | None:
    length = _LENGTH.fullmatch(new)
    if length is None:
        return None
    text = f"{column}::text" if dialect == "postgresql" else column
    return f"char_length({text}) > {length[1]}"


def _flag_too_long(dialect: str, column: str, new: str) -> str | None:
    return None  # one digit fits in every text


def _no_number(dialect: str, column: str, new: str) -> str:
    # Eighteen digits always fit; a value that has more is rare, and is refused rather than misread.
    pattern = "'^(0|-?[1-9][0-9]{0,17})$'"
    return f"{column} !~ {pattern}" if dialect == "postgresql" else f"{column} NOT REGEXP {pattern}"


def _no_flag(dialect: str, column: str, new: str) -> str:
    return f"{column} NOT IN (0, 1)"


def _not_exact(dialect: str, column: str, new: str) -> str:
    return f"{column} NOT BETWEEN {-_EXACT} AND {_EXACT}"


def _no_integer(dialect: str, column: str, new: str) -> str:
    return f"({column} <> floor({column}) OR {_not_exact(dialect, column, new)})"


def _too_precise(dialect: str, column: str, new: str) -> str:
    match = _NUMBERS.fullmatch(new)
    if match is None:
        return f"({column} <> round({column}, 0) OR abs({column}) > {_HIGHEST})"
    places = int(match[2])
    highest = 10 ** (int(match[1]) - places)
    number = f"{column}::numeric" if dialect == "postgresql" else column
    return f"({number} <> round({number}, {places}) OR abs({number}) >= {highest})"


def _nothing(dialect: str, column: str, new: str) -> None:
    return None


_BROKEN = {
    ("text", "text"): _too_long,
    ("integer", "text"): _too_long,
    ("boolean", "text"): _flag_too_long,
    ("text", "integer"): _no_number,
    ("integer", "integer"): _nothing,
    ("boolean", "integer"): _nothing,
    ("integer", "boolean"): _no_flag,
    ("integer", "real"): _not_exact,
    ("real", "integer"): _no_integer,
    ("integer", "decimal"): _too_precise,
    ("decimal", "decimal"): _too_precise,
    ("decimal", "integer"): _too_precise,
    ("date", "moment"): _nothing,
}
