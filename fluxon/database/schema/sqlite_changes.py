"""Schema changes of an SQLite file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from fluxon.database.schema.changes import Applied, Changes, Goal
from fluxon.database.schema.lock import schema_lock
from fluxon.database.schema.plan import Plan, make_plan
from fluxon.database.schema.sqlite_update import apply_plan, backup_path
from fluxon.database.schema.structure import Table, tables_in, tables_of
from fluxon.database.schema.text import schema_of
from fluxon.errors import ConfigurationError


class SQLiteChanges(Changes):
    """One transaction, after a copy of the whole file."""

    def locked(self, patience: float) -> AbstractContextManager[None]:
        path = self.database.path
        if path == ":memory:":
            raise ConfigurationError("a database in memory has no schema files; use create_tables()")
        return schema_lock(path, patience)

    def tables(self, connection: Any) -> Mapping[str, Table]:
        return tables_of(connection.raw)

    def same(self, one: Table, other: Table) -> bool:
        return one.sql == other.sql

    def target(self, connection: Any, text: str, name: str) -> Mapping[str, Table]:
        return tables_in(text, name)

    def plan(self, connection: Any, goal: Goal) -> Plan:
        return make_plan(connection.raw, tables_of(connection.raw), goal.want, goal.ours, goal.renamed)

    def apply(self, connection: Any, goal: Goal, refuse: Callable[[Plan], None], finish: Callable[[], None]) -> Applied:
        def make() -> Plan:
            plan = self.plan(connection, goal)
            refuse(plan)
            return plan

        backup = backup_path(Path(self.database.path), goal.file.number) if tables_of(connection.raw) else None
        plan = apply_plan(connection, make, finish, backup)
        return Applied(plan, backup if plan.steps else None)

    def create_missing(self) -> None:
        want = tables_in(schema_of(self.database).body, "the models' schema")

        def make(connection: Any) -> None:
            have = tables_of(connection.raw)
            for name, table in want.items():
                if name not in have:
                    for sql in (table.sql, *table.attached.values()):
                        connection.script(sql)

        self.database.write_blocking(make)
