"""What tables an SQLite database has, read from the database itself.

Rules kept here:

- A schema file is read by running it in an empty database in memory: only SQLite parses SQL.
- The engine's tables (``fluxon_*``, ``filesystem_*``) and SQLite's own are left out: no schema file speaks of them.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import attrs

from fluxon.database.declaration import ENGINE_PREFIXES
from fluxon.errors import ConfigurationError

_HIDDEN = (*ENGINE_PREFIXES, "sqlite_")


@attrs.frozen
class Column:
    """A column as SQLite describes it."""

    name: str
    type: str
    not_null: bool
    default: str | None
    key: bool


@attrs.frozen
class Table:
    """A table, its text, and the statements of what hangs on it (indexes, triggers) by name."""

    name: str
    sql: str
    columns: dict[str, Column]
    attached: dict[str, str]


def quoted(name: str) -> str:
    """An identifier as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def tables_of(raw: sqlite3.Connection) -> dict[str, Table]:
    """The tables of an open database, in the order in which they were made."""
    tables: dict[str, Table] = {}
    found = raw.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid").fetchall()
    for kind, name, _, sql in found:
        if kind == "table" and not name.startswith(_HIDDEN):
            tables[name] = Table(name, sql, _columns(raw, name), {})
    for kind, name, table, sql in found:
        if kind in ("index", "trigger") and sql is not None and table in tables:
            tables[table].attached[name] = sql
    return tables


def tables_in(text: str, name: str) -> dict[str, Table]:
    """The tables that a schema file makes. Raises ``ConfigurationError`` when SQLite does not take it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        try:
            raw.executescript(text)
        except sqlite3.Error as error:
            raise ConfigurationError(f"{name} is not SQL that SQLite runs: {error}") from error
        return tables_of(raw)


def _columns(raw: sqlite3.Connection, table: str) -> dict[str, Column]:
    described = raw.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
    return {
        name: Column(name, type_.upper(), bool(not_null), default, bool(key))
        for _, name, type_, not_null, default, key in described
    }
