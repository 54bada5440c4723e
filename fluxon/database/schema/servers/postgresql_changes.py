"""Schema changes of a PostgreSQL database.

Rules kept here:

- One transaction: a failure, or a kill at any moment, leaves the old schema and every row.
- A target is read by running its file in a schema of its own, in a transaction that is rolled back.
- While the update runs, others read and do not write; who waits too long is told so.
- Tables whose values change type or go are copied first, in the same transaction.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fluxon.database.postgresql.errors import is_constraint
from fluxon.database.schema.changes import Applied, Changes, Goal
from fluxon.database.schema.plan import Plan
from fluxon.database.schema.servers import copies
from fluxon.database.schema.servers.missing import create_missing
from fluxon.database.schema.servers.plan import make_plan, statements_of
from fluxon.database.schema.servers.postgresql import PostgreSQLWriter, tables_of
from fluxon.database.schema.servers.sources import Sources
from fluxon.database.schema.servers.tables import Table
from fluxon.database.servers.failure import Kind
from fluxon.errors import ConfigurationError, Conflict, Locked, OutcomeUnknown

#: The number of the lock by which updates of one database take turns (an advisory lock; any number of ours).
_LOCK = 0x666C7578_6F6E0002

#: Seconds that the update waits for transactions that use its tables: twice what one may take.
_LOCK_SECONDS = 10

_PAUSE = 0.1

_WRITER = PostgreSQLWriter()


class PostgreSQLChanges(Changes):
    """Everything, or nothing."""

    @contextmanager
    def locked(self, patience: float) -> Iterator[None]:
        with self.connection() as connection:
            until = time.monotonic() + patience
            while not connection.answer(f"SELECT pg_try_advisory_lock({_LOCK})")[0][0]:
                if time.monotonic() >= until:
                    raise Locked("another program changes the schema now; try again when it is done")
                time.sleep(_PAUSE)
            yield  # closing the connection gives the lock back

    def tables(self, connection: Any) -> Mapping[str, Table]:
        return tables_of(connection)

    def same(self, one: Table, other: Table) -> bool:
        return one == other

    def target(self, connection: Any, text: str, name: str) -> Mapping[str, Table]:
        known = self.database.schema_targets
        if text not in known:
            known[text] = self._read(connection, text, name)
        return known[text]  # type: ignore[no-any-return]

    def _read(self, connection: Any, text: str, name: str) -> Mapping[str, Table]:
        scratch = f"fluxon_scratch_{os.getpid()}"
        connection.script("BEGIN")
        try:
            connection.script(f"CREATE SCHEMA {scratch}")
            connection.script(f"SET LOCAL search_path TO {scratch}")
            try:
                connection.script(text)
            except Exception as error:
                raise ConfigurationError(f"{name} is not SQL that PostgreSQL runs: {_first_line(error)}") from error
            return tables_of(connection)
        finally:
            connection.rollback()

    def plan(self, connection: Any, goal: Goal) -> Plan:
        def count(table: str, condition: str) -> int:
            return int(connection.answer(f"SELECT count(*) FROM {table} WHERE {condition}")[0][0])

        have = tables_of(connection)
        return make_plan(_WRITER, count, have, goal.want, goal.ours, Sources(have, goal.want, goal.renamed))

    def apply(self, connection: Any, goal: Goal, refuse: Callable[[Plan], None], finish: Callable[[], None]) -> Applied:
        connection.script("BEGIN")
        try:
            _lock_tables(connection, goal)
            plan = self.plan(connection, goal)
            refuse(plan)
            taken = copies.copies_of(plan, goal.file.number)
            for sql in [*copies.statements(_WRITER, taken), *statements_of(plan)]:
                connection.script(sql)
            finish()
        except Exception as error:
            connection.rollback()
            if is_constraint(error.__cause__):
                raise Conflict(
                    f"the rows there are break a rule of the new schema ({_rule(error)}); nothing was changed"
                ) from error
            raise
        try:
            connection.commit()
        except Exception as error:
            if connection.doomed is not None and connection.doomed.kind is Kind.LOST:
                raise OutcomeUnknown(
                    "the database failed while it committed the new schema; run: check, to see which one it has"
                ) from error
            raise
        return Applied(plan, None, tuple(taken.values()))

    def create_missing(self) -> None:
        with self.locked(_LOCK_SECONDS), self.connection() as connection:
            connection.script("BEGIN")
            create_missing(self.database, connection, tables_of(connection))
            connection.commit()


def _lock_tables(connection: Any, goal: Goal) -> None:
    connection.script(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
    names = {*goal.ours, *goal.want, *(each.old for each in goal.renamed if each.table is None)}
    listed = ", ".join(_WRITER.quote(name) for name in sorted(names & set(tables_of(connection))))
    if listed:
        connection.script(f"LOCK TABLE {listed} IN SHARE ROW EXCLUSIVE MODE")


def _rule(error: BaseException) -> str:
    """The name of the constraint: the server's text would hold values."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return str(getattr(diagnosis, "constraint_name", None) or getattr(diagnosis, "column_name", None) or "a constraint")


def _first_line(error: BaseException) -> str:
    return str(error.__cause__ or error).partition("\n")[0]
