"""Rows that would break a rule of the new schema, found before anything is changed.

Only rules on columns that are there already, by the same name, are looked at: a new column's values are not known
yet. What is not found here stops the update at its step, and is told then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fluxon.database.schema.servers.mysql import MySQLWriter
from fluxon.database.schema.servers.tables import Part, Table

_quote = MySQLWriter().quote
_NAMES = re.compile(r"`((?:[^`]|``)+)`")
_FOREIGN = re.compile(r"\((.+?)\) REFERENCES (`[^`]+`) \((.+?)\)")


def broken_rules(connection: Any, have: Mapping[str, Table], want: Mapping[str, Table]) -> list[str]:
    """A line for each rule that rows break."""
    lines = []
    for name, table in want.items():
        old = have.get(name)
        if old is None:
            continue
        for key, part in table.parts.items():
            if old.parts.get(key) == part or not set(_columns(part)) <= set(old.columns):
                continue
            query = _query(name, part, have)
            broken = int(connection.answer(query)[0][0]) if query else 0
            if broken:
                lines.append(f"{broken} rows of {name} break its rule {part.name}; change them first")
    return lines


def _columns(part: Part) -> list[str]:
    return _NAMES.findall(part.definition.partition(" REFERENCES ")[0])


def _query(table: str, part: Part, have: Mapping[str, Table]) -> str | None:
    quoted = _quote(table)
    columns = [_quote(each) for each in _columns(part)]
    filled = " AND ".join(f"{each} IS NOT NULL" for each in columns)
    target = have.get(part.target or "")
    match part.kind:
        case "unique" | "primary":
            groups = f"SELECT count(*) AS n FROM {quoted} WHERE {filled} GROUP BY {', '.join(columns)} HAVING n > 1"
            return f"SELECT coalesce(sum(n - 1), 0) FROM ({groups}) AS found"
        case "check":
            return f"SELECT count(*) FROM {quoted} WHERE NOT {part.definition}"
        case "foreign":
            match = _FOREIGN.search(part.definition)
            if match is None or target is None or not set(_NAMES.findall(match[3])) <= set(target.columns):
                return None
            mine, theirs = match[1], match[3]
            there = f"SELECT {theirs} FROM {match[2]}"
            return f"SELECT count(*) FROM {quoted} WHERE {filled} AND ({mine}) NOT IN ({there})"
    return None
