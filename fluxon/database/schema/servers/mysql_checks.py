"""Rows that would break a rule of the new schema, found before anything is changed.

Rules kept here:

- A rule is held against the rows as the update will make them: renamed tables and columns are looked for where they
  are now, new columns and those that may be empty no more have their defaults, and a new table has no row.
- What only the update itself tells (a column that numbers the rows) is not looked at; it stops the update at its
  step, and is told then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fluxon.database.schema.servers.mysql import MySQLWriter
from fluxon.database.schema.servers.sources import Given, Sources
from fluxon.database.schema.servers.tables import Part, Table

_WRITER = MySQLWriter()
_NAMES = re.compile(r"`((?:[^`]|``)+)`")
_REFERRED = re.compile(r" REFERENCES `(?:[^`]|``)+` \((.+?)\)")


def broken_rules(connection: Any, have: Mapping[str, Table], want: Mapping[str, Table], sources: Sources) -> list[str]:
    """A line for each rule that rows break."""
    return _Checks(connection, have, want, sources).lines()


class _Checks:
    def __init__(self, connection: Any, have: Mapping[str, Table], want: Mapping[str, Table], sources: Sources) -> None:
        self._connection, self._have, self._want, self._sources = connection, have, want, sources

    def lines(self) -> list[str]:
        found = []
        for name, source in self._sources.tables.items():
            old, new = self._have[source], self._want[name]
            for key, part in new.parts.items():
                # A text in a check may look like a name.
                columns = [each for each in _names(part.definition.partition(" REFERENCES ")[0]) if each in new.columns]
                given = {each: self._given(name, each) for each in columns}
                defaults = [each for each, how in given.items() if how.by_default]
                if old.parts.get(key) == part and not defaults:
                    continue
                query = self._query(name, part, columns)
                broken = int(self._connection.answer(query)[0][0]) if query else 0
                if broken:
                    found.append(f"{broken} rows of {source} {self._told(part, columns, defaults)}")
        return found

    def _given(self, table: str, column: str) -> Given:
        new = self._want[table]
        return self._sources.given(_WRITER, self._have[self._sources.tables[table]], new, new.columns[column])

    def _rows(self, table: str, columns: list[str]) -> str | None:
        """The rows of a table as they will be, in these columns; None if that is not known."""
        values = {each: self._given(table, each).value for each in columns}
        if None in values.values():
            return None
        listed = ", ".join(f"{value} AS {_WRITER.quote(name)}" for name, value in values.items())
        return f"(SELECT {listed} FROM {_WRITER.quote(self._sources.tables[table])}) AS found"

    def _query(self, table: str, part: Part, columns: list[str]) -> str | None:
        """What counts the rows that break a rule."""
        rows = self._rows(table, columns)
        if rows is None:
            return None
        mine = ", ".join(map(_WRITER.quote, columns))
        filled = " AND ".join(f"{_WRITER.quote(each)} IS NOT NULL" for each in columns)
        match part.kind:
            case "unique" | "primary":
                groups = f"SELECT count(*) - 1 AS more FROM {rows} WHERE {filled} GROUP BY {mine} HAVING count(*) > 1"
                return f"SELECT coalesce(sum(several.more), 0) FROM ({groups}) AS several"
            case "check":
                return f"SELECT count(*) FROM {rows} WHERE NOT {part.definition}"
            case "foreign":
                if part.target not in self._sources.tables:
                    return f"SELECT count(*) FROM {rows} WHERE {filled}"
                match = _REFERRED.search(part.definition)
                there = self._rows(part.target, _names(match[1])) if match else None
                if match is None or there is None:
                    return None
                keys = f"SELECT {match[1]} FROM {there}"
                return f"SELECT count(*) FROM {rows} WHERE {filled} AND ({mine}) NOT IN ({keys})"
        return None

    def _told(self, part: Part, columns: list[str], defaults: list[str]) -> str:
        empty = part.kind == "foreign" and part.target not in self._sources.tables
        reason = f"would break the new schema's rule {part.name}"
        if empty:
            reason = f"have a value in {', '.join(columns)} that would refer to the new, empty table {part.target}"
        if defaults:
            return f"{reason}: they get the default of {', '.join(defaults)}; give it another one, or null=True"
        if empty:
            return f"{reason}; empty the column first, or make {part.target} in an update of its own and fill it"
        return f"{reason}; change them first"


def _names(definition: str) -> list[str]:
    return [each.replace("``", "`") for each in _NAMES.findall(definition)]
