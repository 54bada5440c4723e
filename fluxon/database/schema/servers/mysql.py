"""MariaDB's and MySQL's tables: how they are read from ``SHOW CREATE TABLE``, and changed.

Each column, key and constraint is a line of its own there, with line breaks in texts escaped, and the same line (but
for its end) is what ``ALTER TABLE`` takes.
"""

from __future__ import annotations

import re
from typing import Any

from fluxon.database.declaration import ENGINE_PREFIXES
from fluxon.database.mysql.dialect import TABLE_OPTIONS
from fluxon.database.schema.servers.tables import Column, Part, Table
from fluxon.database.schema.servers.writer import Writer

_NAME = r"`((?:[^`]|``)+)`"
_COLUMN = re.compile(rf"  {_NAME} (.+)")
_KEY = re.compile(rf"  (UNIQUE |FULLTEXT |SPATIAL )?KEY {_NAME} (.+)")
_PRIMARY = re.compile(r"  PRIMARY KEY (.+)")
_CONSTRAINT = re.compile(rf"  CONSTRAINT {_NAME} (FOREIGN KEY|CHECK) ?(.+)")
_TARGET = re.compile(rf"REFERENCES {_NAME}")
_TYPE = re.compile(r"[a-z]+(?:\([^)]*\))?(?: unsigned)?")
_TEXT = re.compile(r"'(?:[^'\\]|''|\\.)*'")

_FULL_TABLES = (
    "SELECT table_name FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY create_time, table_name"
)


def tables_of(connection: Any) -> dict[str, Table]:
    """The tables of the connection's own database, but for the engine's."""
    names = [name for (name,) in connection.answer(_FULL_TABLES) if not name.startswith(ENGINE_PREFIXES)]
    quote = MySQLWriter().quote
    return {name: _parsed(name, connection.answer(f"SHOW CREATE TABLE {quote(name)}")[0][1]) for name in names}


def _parsed(name: str, text: str) -> Table:
    table = Table(name, {}, {})
    for line in text.split("\n")[1:-1]:
        line = line.removesuffix(",")
        if match := _COLUMN.fullmatch(line):
            table.columns[_plain(match[1])] = _column(_plain(match[1]), match[2])
        elif match := _PRIMARY.fullmatch(line):
            table.parts["PRIMARY"] = Part("PRIMARY", "primary", match[1])
        elif match := _KEY.fullmatch(line):
            kind = "unique" if match[1] else "index"
            table.parts[_plain(match[2])] = Part(_plain(match[2]), kind, match[3])
        elif match := _CONSTRAINT.fullmatch(line):
            part, foreign = _plain(match[1]), match[2] == "FOREIGN KEY"
            found = _TARGET.search(match[3]) if foreign else None
            # An index and a reference may share a name.
            kind = "foreign" if foreign else "check"
            table.parts[f"{part} {kind}"] = Part(part, kind, match[3], _plain(found[1]) if found else None)
    return table


def _plain(name: str) -> str:
    return name.replace("``", "`")


def _column(name: str, definition: str) -> Column:
    match = _TYPE.match(definition)
    words = _TEXT.sub("''", definition)
    return Column(
        name,
        match[0] if match else definition,
        " NOT NULL" in words,
        _default(definition),
        " AUTO_INCREMENT" in words,
        definition,
    )


def _default(definition: str) -> str | None:
    """The SQL after ``DEFAULT``: up to the next space outside of quotes and parentheses."""
    start = definition.find(" DEFAULT ")
    if start < 0:
        return None
    text = definition[start + len(" DEFAULT ") :]
    depth, position = 0, 0
    while position < len(text):
        if quoted := _TEXT.match(text, position):
            position = quoted.end()
            continue
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if text[position] == " " and depth == 0:
            break
        position += 1
    found = text[:position]
    return None if found == "NULL" else found


class MySQLWriter(Writer):
    """``ALTER`` as MariaDB and MySQL write it."""

    dialect = "mysql"
    inline_kinds = frozenset({"primary", "unique", "check", "index"})
    adds_key = True
    mark = "`"

    def create(self, table: Table) -> list[str]:
        lines = [f"{self.quote(each.name)} {each.definition}" for each in table.columns.values()]
        lines += [self._part(each) for each in table.parts.values() if each.kind in self.inline_kinds]
        return [f"CREATE TABLE {self.quote(table.name)} ({', '.join(lines)}){TABLE_OPTIONS}"]

    def unnumber(self, table: Table) -> list[str]:
        # Only a key may number the rows.
        return [
            self.alter(table.name, f"MODIFY {self.quote(each.name)} {each.definition.replace(' AUTO_INCREMENT', '')}")
            for each in table.columns.values()
            if each.numbered
        ]

    def add_part(self, table: str, part: Part) -> str:
        return self.alter(table, f"ADD {self._part(part)}")

    def drop_part(self, table: str, part: Part) -> str:
        name = self.quote(part.name)
        match part.kind:
            case "primary":
                return self.alter(table, "DROP PRIMARY KEY")
            case "foreign":
                return self.alter(table, f"DROP FOREIGN KEY {name}")
            case "check":
                return self.alter(table, f"DROP CONSTRAINT {name}")
        return self.alter(table, f"DROP KEY {name}")

    def rename_column(self, table: str, new_name: str, column: Column) -> str:
        return self.alter(table, f"CHANGE {self.quote(column.name)} {self.quote(new_name)} {column.definition}")

    def add_column(self, table: str, column: Column) -> list[str]:
        added = f"ADD COLUMN {self.quote(column.name)} {column.definition}"
        return [
            self.alter(table, f"{added}, ADD PRIMARY KEY ({self.quote(column.name)})" if column.numbered else added)
        ]

    def change_column(self, table: str, before: Column, column: Column, value: str | None, fill: bool) -> list[str]:
        # MODIFY converts the values; that it can was made sure of.
        filled = [self.fill(table, column)] if fill else []
        return [*filled, self.alter(table, f"MODIFY {self.quote(column.name)} {column.definition}")]

    def copy(self, table: str, name: str) -> list[str]:
        return [f"CREATE TABLE {self.quote(name)} AS SELECT * FROM {self.quote(table)}"]

    def _part(self, part: Part) -> str:
        name = self.quote(part.name)
        match part.kind:
            case "primary":
                return f"PRIMARY KEY {part.definition}"
            case "unique":
                return f"UNIQUE KEY {name} {part.definition}"
            case "index":
                return f"KEY {name} {part.definition}"
            case "check":
                return f"CONSTRAINT {name} CHECK {part.definition}"
        return f"CONSTRAINT {name} FOREIGN KEY {part.definition}"
