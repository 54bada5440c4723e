"""What an update would do, before it does it.

Rules kept here:

- A plan only reads. What it would lose is counted: an empty column or table loses nothing.
- Everything that stands in the way is found at once, and each says what to do.
- Only tables that an earlier schema made are ever dropped; a stranger's table is left alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from fluxon.database.schema.conversions import conversion
from fluxon.database.schema.files import Renamed
from fluxon.database.schema.structure import Column, Table, quoted


@attrs.frozen
class Create:
    """A table that is new."""

    table: Table

    def __str__(self) -> str:
        return f"create table {self.table.name}"


@attrs.frozen
class Drop:
    """A table that the new schema does not have."""

    name: str
    rows: int

    def __str__(self) -> str:
        return f"drop table {self.name} ({self.rows} rows)"


@attrs.frozen
class Attach:
    """Indexes and triggers that come and go; the rows stay where they are."""

    table: Table
    removed: tuple[str, ...]
    added: tuple[str, ...]

    def __str__(self) -> str:
        return f"change the indexes of {self.table.name}"


@attrs.frozen
class Rebuild:
    """A table that is made anew, with the rows of the old one."""

    old: Table
    table: Table
    #: Columns of the new table and the SQL that gives each from the old.
    values: dict[str, str]
    changes: tuple[str, ...]

    def __str__(self) -> str:
        return f"change table {self.table.name}: " + (", ".join(self.changes) or "its constraints")


Step = Create | Drop | Attach | Rebuild


@attrs.define
class Plan:
    """The steps, what they would lose (unless asked for by name), and what forbids them."""

    #: ``Step``s on SQLite, ``Alteration``s on servers; ``str`` tells a person what each does.
    steps: list[Any] = attrs.Factory(list)
    losses: dict[str, str] = attrs.Factory(dict)
    obstacles: list[str] = attrs.Factory(list)

    def lines(self) -> list[str]:
        """For a person to read."""
        return [
            *map(str, self.steps),
            *(f"LOSES DATA: {text}" for text in self.losses.values()),
            *(f"NOT POSSIBLE: {text}" for text in self.obstacles),
        ]


def make_plan(
    raw: sqlite3.Connection,
    have: Mapping[str, Table],
    want: Mapping[str, Table],
    ours: Iterable[str],
    renamed: Iterable[Renamed],
) -> Plan:
    """The plan from the tables in ``raw`` to ``want``; ``ours`` are the names that the last schema made."""
    plan = Plan()
    renamed = list(renamed)
    hints = {(each.table, each.new): each.old for each in renamed if each.table is not None}
    sources = renamed_tables(have, want, renamed)
    for name, table in want.items():
        old = have.get(sources.get(name, name))
        if old is None:
            plan.steps.append(Create(table))
        elif old.sql != table.sql:
            _plan_rebuild(plan, raw, old, table, hints)
        elif old.attached != table.attached:
            removed = tuple(each for each, sql in old.attached.items() if table.attached.get(each) != sql)
            added = tuple(sql for each, sql in table.attached.items() if old.attached.get(each) != sql)
            plan.steps.append(Attach(table, removed, added))
    for name in ours:
        if name in have and name not in want and name not in sources.values():
            rows = _count(raw, name)
            plan.steps.append(Drop(name, rows))
            if rows:
                plan.losses[name] = f"the table {name} and its {rows} rows (--drop {name})"
    return plan


def renamed_tables(have: Iterable[str], want: Iterable[str], renamed: Iterable[Renamed]) -> dict[str, str]:
    """From the new names of tables that are renamed to those that they have now."""
    have, want = set(have), set(want)
    found = {each.new: each.old for each in renamed if each.table is None}
    return {
        new: old for new, old in found.items() if new in want and new not in have and old in have and old not in want
    }


def _plan_rebuild(
    plan: Plan, raw: sqlite3.Connection, old: Table, new: Table, hints: Mapping[tuple[str, str], str]
) -> None:
    values: dict[str, str] = {}
    changes: list[str] = [] if old.name == new.name else [f"{old.name} becomes {new.name}"]
    used: set[str] = set()
    empty = _count(raw, old.name) == 0
    for name, column in new.columns.items():
        source = name if name in old.columns else hints.get((new.name, name))
        if source is None or source not in old.columns or (source != name and source in new.columns):
            changes.append(f"new column {name}")
            if column.not_null and column.default is None and not empty and not _numbers_itself(column):
                plan.obstacles.append(
                    f"{new.name}.{name} is new and must not be empty, and the table has rows; give it a default "
                    "or null=True"
                )
            continue
        used.add(source)
        if source != name:
            changes.append(f"{source} becomes {name}")
        value = _carried(plan, raw, old, new, old.columns[source], column)
        if value is not None:
            values[name] = value
        if old.columns[source].type != column.type:
            changes.append(f"{name} from {old.columns[source].type} to {column.type}")
    for name in old.columns:
        if name not in used:
            changes.append(f"drop column {name}")
            kept = _count(raw, old.name, f"{quoted(name)} IS NOT NULL")
            if kept:
                label = f"{old.name}.{name}"
                plan.losses[label] = f"the column {label} and its {kept} values (--drop {label})"
    plan.steps.append(Rebuild(old, new, values, tuple(changes)))


def _carried(plan: Plan, raw: sqlite3.Connection, old: Table, new: Table, source: Column, column: Column) -> str | None:
    """The SQL that gives the new column's value, or None after noting why there is none."""
    label = f"{new.name}.{column.name}"
    way = conversion(quoted(source.name), source.type, column.type)
    if way is None:
        if _count(raw, old.name, f"{quoted(source.name)} IS NOT NULL"):
            plan.obstacles.append(
                f"{label} changes from {source.type} to {column.type}, which cannot hold its values; give the new "
                "column another name"
            )
        return None
    if way.broken is not None and (count := _count(raw, old.name, way.broken)):
        plan.obstacles.append(f"{count} values of {label} do not fit in {column.type}; change them first")
    if not column.not_null or not _count(raw, old.name, f"{quoted(source.name)} IS NULL"):
        return way.value
    if column.default is None:
        plan.obstacles.append(f"{label} must not be empty any more, and some rows are; fill them, or give it a default")
        return None
    return f"coalesce({way.value}, {column.default})"


def _numbers_itself(column: Column) -> bool:
    return column.key and column.type == "INTEGER"


def _count(raw: sqlite3.Connection, table: str, condition: str = "1") -> int:
    found = raw.execute(f"SELECT count(*) FROM {quoted(table)} WHERE {condition}").fetchone()
    return int(found[0])
