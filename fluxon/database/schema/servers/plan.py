"""What an update of a server's tables would do, before it does it.

Rules kept here:

- A plan only reads. What it would lose is counted: an empty column or table loses nothing.
- Everything that stands in the way is found at once, and each says what to do.
- Only tables that an earlier schema made are ever dropped; a stranger's table is left alone.
- A plan starts from what is there, whatever it is: half of an interrupted update is simply done already.
- Statements go in phases over all tables. References go first and come back late; what drops data is last, so that
  whatever fails before has lost nothing.
- Tables whose values change type or go are copied before (see ``Alteration.copied``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum

import attrs

from fluxon.database.schema.plan import Plan
from fluxon.database.schema.servers.conversions import conversion
from fluxon.database.schema.servers.sources import Sources
from fluxon.database.schema.servers.tables import Column, Part, Table
from fluxon.database.schema.servers.writer import Writer


class Phase(IntEnum):
    """When a statement's turn is."""

    DROP_REFERENCES = 1
    DROP_PARTS = 2
    RENAME = 3
    CREATE = 4
    CHANGE = 5
    ADD_PARTS = 6
    ADD_REFERENCES = 7
    DROP_DATA = 8


@attrs.frozen
class Alteration:
    """What happens to one table: for a person to read, and in SQL."""

    text: str
    statements: tuple[tuple[Phase, str], ...]
    #: The table to copy first, by the name it has before the update.
    copied: str | None = None

    def __str__(self) -> str:
        return self.text


def statements_of(plan: Plan) -> list[str]:
    """All statements of a plan in the order in which they are carried out."""
    found = [each for step in plan.steps for each in step.statements]
    return [sql for _, sql in sorted(found, key=lambda each: each[0])]


#: How many rows of a table (quoted) meet a condition.
Count = Callable[[str, str], int]


def make_plan(
    writer: Writer,
    count: Count,
    have: Mapping[str, Table],
    want: Mapping[str, Table],
    ours: Iterable[str],
    sources: Sources,
) -> Plan:
    """The plan from the tables in ``have`` to ``want``; ``ours`` are the names that the last schema made."""
    return _Planner(writer, count, have, want, sources).plan(ours)


class _Change:
    """An ``Alteration`` of one table in the making."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._words: list[str] = []
        self._statements: list[tuple[Phase, str]] = []
        self.copied: str | None = None

    def says(self, words: str) -> None:
        self._words.append(words)

    def add(self, phase: Phase, sql: str) -> None:
        self._statements.append((phase, sql))

    def made(self) -> Alteration:
        text = f"change table {self._table}: " + (", ".join(self._words) or "its constraints")
        return Alteration(text, tuple(self._statements), self.copied)


class _Planner:
    def __init__(
        self,
        writer: Writer,
        count: Count,
        have: Mapping[str, Table],
        want: Mapping[str, Table],
        sources: Sources,
    ) -> None:
        self._writer, self._count, self._have, self._want = writer, count, have, want
        self._source_of, self._sources = sources.column, sources.tables
        self._plan = Plan()
        self._counted: dict[tuple[str, str], int] = {}
        #: References that are dropped although they stay as they are: something that they hang on changes.
        self._loosened: set[tuple[str, str]] = set()

    def plan(self, ours: Iterable[str]) -> Plan:
        dropped = [name for name in ours if name in self._have and name not in {*self._want, *self._sources.values()}]
        self._loosen(dropped)
        for name, table in self._want.items():
            source = self._sources.get(name)
            if source is None:
                self._create(table)
            else:
                self._change(self._have[source], table)
        for name in dropped:
            self._drop(name)
        return self._plan

    def _loosen(self, dropped: list[str]) -> None:
        """Find the references that have to go for a while."""
        unsettled = set(dropped)
        for name, source in self._sources.items():
            old, new = self._have[source], self._want[name]
            if source != name or _removed(old, new) or self._retyped(old, new):
                unsettled.add(source)
        for table in self._have.values():
            for key, part in table.parts.items():
                if part.kind == "foreign" and (table.name in unsettled or part.target in unsettled):
                    self._loosened.add((table.name, key))

    def _retyped(self, old: Table, new: Table) -> bool:
        for name, column in new.columns.items():
            source = self._source_of(old, new, name)
            if source is not None and (source != name or old.columns[source].type != column.type):
                return True
        return False

    def _create(self, table: Table) -> None:
        statements = [(Phase.CREATE, sql) for sql in self._writer.create(table)]
        statements += [(_phase_of(part), self._writer.add_part(table.name, part)) for part in self._later_parts(table)]
        self._plan.steps.append(Alteration(f"create table {table.name}", tuple(statements)))

    def _later_parts(self, table: Table) -> list[Part]:
        return [part for part in table.parts.values() if part.kind not in self._writer.inline_kinds]

    def _drop(self, name: str) -> None:
        rows = self._rows(name)
        statements = self._without_references(self._have[name])
        statements.append((Phase.DROP_DATA, f"DROP TABLE {self._writer.quote(name)}"))
        copied = name if rows else None
        self._plan.steps.append(Alteration(f"drop table {name} ({rows} rows)", tuple(statements), copied))
        if rows:
            self._plan.losses[name] = f"the table {name} and its {rows} rows (--drop {name})"

    def _without_references(self, table: Table) -> list[tuple[Phase, str]]:
        return [
            (Phase.DROP_REFERENCES, self._writer.drop_part(table.name, part))
            for part in table.parts.values()
            if part.kind == "foreign"
        ]

    def _change(self, old: Table, new: Table) -> None:
        loose = {key for table, key in self._loosened if table == old.name}
        if old == new and not loose:
            return
        change = _Change(new.name)
        kept = _same_key(old, new)
        for key, part in old.parts.items():
            if (key in loose or new.parts.get(key) != part) and part not in kept:
                for sql in self._writer.unnumber(old) if part.kind == "primary" else ():
                    change.add(Phase.DROP_PARTS, sql)
                change.add(
                    Phase.DROP_REFERENCES if part.kind == "foreign" else Phase.DROP_PARTS,
                    self._writer.drop_part(old.name, part),
                )
        if old.name != new.name:
            change.says(f"{old.name} becomes {new.name}")
            change.add(Phase.RENAME, self._writer.rename_table(old.name, new.name))
            if kept:
                change.add(Phase.RENAME, self._writer.rename_constraint(new.name, *kept))
        used = {self._column(change, old, new, column) for column in new.columns.values()}
        for name in old.columns:
            if name not in used:
                self._drop_column(change, old, new, name)
        keyed = self._writer.adds_key and any(
            each.numbered and self._source_of(old, new, each.name) is None for each in new.columns.values()
        )
        for key, part in new.parts.items():
            if part in kept:
                continue
            if (key in loose or old.parts.get(key) != part) and not (keyed and part.kind == "primary"):
                change.add(_phase_of(part), self._writer.add_part(new.name, part))
        if old == new:
            change.says("its references, for a moment")
        self._plan.steps.append(change.made())

    def _column(self, change: _Change, old: Table, new: Table, column: Column) -> str | None:
        """Plan one column of the new table; the old column that it is made of."""
        writer, source = self._writer, self._source_of(old, new, column.name)
        if source is None:
            change.says(f"new column {column.name}")
            for sql in writer.add_column(new.name, column):
                change.add(Phase.CHANGE, sql)
            if column.not_null and column.default is None and not column.numbered and self._rows(old.name):
                self._plan.obstacles.append(
                    f"{new.name}.{column.name} is new and must not be empty, and the table has rows; give it a "
                    "default or null=True"
                )
            return None
        before = old.columns[source]
        if source != column.name:
            change.says(f"{source} becomes {column.name}")
            change.add(Phase.RENAME, writer.rename_column(new.name, column.name, before))
        if before.type != column.type:
            change.says(f"{column.name} from {before.type} to {column.type}")
            change.copied = old.name if self._rows(old.name) else None
        value = self._carried(old, new, before, column)
        filled = column.not_null and not before.not_null and self._must_fill(old, new, before, column)
        if attrs.evolve(before, name=column.name) != column:
            for sql in writer.change_column(new.name, before, column, value, filled):
                change.add(Phase.CHANGE, sql)
        return source

    def _carried(self, old: Table, new: Table, before: Column, column: Column) -> str | None:
        """The SQL of the converted value; None where there is no value to convert."""
        label, quoted = f"{new.name}.{column.name}", self._writer.quote(before.name)
        way = conversion(self._writer.dialect, quoted, before.type, column.type)
        if way is None:
            if self._rows(old.name, f"{quoted} IS NOT NULL"):
                self._plan.obstacles.append(
                    f"{label} changes from {before.type} to {column.type}, which cannot hold its values; give the new "
                    "column another name"
                )
            return None
        if way.broken is not None and (broken := self._rows(old.name, way.broken)):
            self._plan.obstacles.append(f"{broken} values of {label} do not fit in {column.type}; change them first")
        renamed = conversion(self._writer.dialect, self._writer.quote(column.name), before.type, column.type)
        return None if renamed is None else renamed.value

    def _must_fill(self, old: Table, new: Table, before: Column, column: Column) -> bool:
        """Whether empty values get the default because there may be none any more."""
        if not self._rows(old.name, f"{self._writer.quote(before.name)} IS NULL"):
            return False
        if column.default is None:
            self._plan.obstacles.append(
                f"{new.name}.{column.name} must not be empty any more, and some rows are; fill them, or give it a "
                "default"
            )
        return column.default is not None

    def _drop_column(self, change: _Change, old: Table, new: Table, name: str) -> None:
        change.says(f"drop column {name}")
        change.add(Phase.DROP_DATA, self._writer.drop_column(new.name, name))
        kept = self._rows(old.name, f"{self._writer.quote(name)} IS NOT NULL")
        if kept:
            label = f"{old.name}.{name}"
            change.copied = old.name
            self._plan.losses[label] = f"the column {label} and its {kept} values (--drop {label})"

    def _rows(self, table: str, condition: str = "1 = 1") -> int:
        asked = (self._writer.quote(table), condition)
        if asked not in self._counted:  # counting reads the whole table
            self._counted[asked] = self._count(*asked)
        return self._counted[asked]


def _removed(old: Table, new: Table) -> bool:
    return any(part.kind != "foreign" and new.parts.get(key) != part for key, part in old.parts.items())


def _same_key(old: Table, new: Table) -> tuple[Part, ...]:
    """The primary key before and after, if only its name changes: engine tables may refer to it, so it stays."""
    before = next((part for part in old.parts.values() if part.kind == "primary"), None)
    after = next((part for part in new.parts.values() if part.kind == "primary"), None)
    if before is None or after is None or before.name == after.name or before.definition != after.definition:
        return ()
    return before, after


def _phase_of(part: Part) -> Phase:
    return Phase.ADD_REFERENCES if part.kind == "foreign" else Phase.ADD_PARTS
