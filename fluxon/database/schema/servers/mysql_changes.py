"""Schema changes of a MariaDB or MySQL database.

Rules kept here:

- The server commits every statement of a schema change by itself. So each is noted in a journal, and an update that
  was interrupted goes on (or back) from what is there: the next plan starts from the tables as they are.
- What would fail in the middle is looked for before the first statement: duplicates, rows without the row that they
  refer to, rows that break a check.
- A step that cannot have its table lets those who wait behind it go on, and tries again. The server does not see that
  whoever uses the table may wait, for a row, for somebody whom the step keeps waiting.
- What drops data comes last, and tables whose values change type or go are copied before anything else.
- A target is read by running its file in a scratch database, dropped afterwards; the user needs the right to make it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fluxon.database.mysql.errors import is_constraint
from fluxon.database.schema.changes import Applied, Changes, Goal, Interrupted
from fluxon.database.schema.plan import Plan
from fluxon.database.schema.servers import copies, journal
from fluxon.database.schema.servers.missing import create_missing
from fluxon.database.schema.servers.mysql import MySQLWriter, tables_of
from fluxon.database.schema.servers.mysql_checks import broken_rules
from fluxon.database.schema.servers.plan import make_plan, statements_of
from fluxon.database.schema.servers.sources import Sources
from fluxon.database.schema.servers.tables import Table
from fluxon.errors import ConfigurationError, Conflict, FluxonError, Locked

_WRITER = MySQLWriter()

#: Seconds to wait for another process that makes the tables.
_LOCK_SECONDS = 10

#: Seconds that a step waits for its table, and that nobody else can begin to use it; and how long it tries.
_TABLE_SECONDS = 1
_STEP_SECONDS = 60.0

#: Seconds between two tries, for those who waited behind the first.
_PAUSE = 0.1

_SCRATCH = "fluxon_scratch_"


class MySQLChanges(Changes):
    """Step by step, each noted."""

    @contextmanager
    def locked(self, patience: float) -> Iterator[None]:
        with self.connection() as connection:
            name = f"fluxon schema {self.database.url.database}"[:64]
            if connection.answer("SELECT GET_LOCK(%s, %s)", name, patience) != [(1,)]:
                raise Locked("another program changes the schema now; try again when it is done")
            _sweep(connection)
            yield  # closing the connection gives the lock back

    def tables(self, connection: Any) -> Mapping[str, Table]:
        return tables_of(connection)

    def same(self, one: Table, other: Table) -> bool:
        return one == other

    def interrupted(self, connection: Any) -> Interrupted | None:
        return journal.load(connection)

    def target(self, connection: Any, text: str, name: str) -> Mapping[str, Table]:
        known = self.database.schema_targets
        if text not in known:
            known[text] = self._read(connection, text, name)
        return known[text]  # type: ignore[no-any-return]

    def _read(self, connection: Any, text: str, name: str) -> Mapping[str, Table]:
        own = _WRITER.quote(self.database.url.database)
        scratch = _SCRATCH + str(connection.answer("SELECT CONNECTION_ID()")[0][0])
        # Held while the database is in use, so that others know a forgotten one.
        connection.answer("SELECT GET_LOCK(%s, 0)", scratch)
        try:
            connection.script(f"DROP DATABASE IF EXISTS {scratch}")
            connection.script(f"CREATE DATABASE {scratch}")
        except FluxonError as error:
            raise ConfigurationError(
                f"a schema is read in a scratch database: GRANT ALL ON `{_SCRATCH}%`.* to the database's user"
            ) from error
        try:
            connection.script(f"USE {scratch}")
            try:
                connection.script(text)
            except Exception as error:
                raise ConfigurationError(
                    f"{name} is not SQL that the server runs: {error.__cause__ or error}"
                ) from error
            return tables_of(connection)
        finally:
            connection.script(f"USE {own}")
            connection.script(f"DROP DATABASE IF EXISTS {scratch}")
            connection.answer("SELECT RELEASE_LOCK(%s)", scratch)

    def plan(self, connection: Any, goal: Goal) -> Plan:
        def count(table: str, condition: str) -> int:
            return int(connection.answer(f"SELECT count(*) FROM {table} WHERE {condition}")[0][0])

        have = tables_of(connection)
        sources = Sources(have, goal.want, goal.renamed)
        plan = make_plan(_WRITER, count, have, goal.want, goal.ours, sources)
        plan.obstacles += broken_rules(connection, have, goal.want, sources)
        return plan

    def apply(self, connection: Any, goal: Goal, refuse: Callable[[Plan], None], finish: Callable[[], None]) -> Applied:
        plan = self.plan(connection, goal)
        refuse(plan)
        taken = copies.copies_of(plan, goal.file.number)
        steps = [*copies.statements(_WRITER, taken), *statements_of(plan)]
        number = goal.file.number
        if steps:
            # The second is for InnoDB's own lock of a table, which rows that refer to it take part in.
            connection.script(
                f"SET SESSION lock_wait_timeout = {_TABLE_SECONDS}, SESSION innodb_lock_wait_timeout = {_TABLE_SECONDS}"
            )
            journal.begin(connection, number, goal.file.content.text(number), goal.drop, len(steps))
        for done, sql in enumerate(steps):
            journal.note(connection, done, sql)
            try:
                self.carry_out(connection, sql)
            except Exception as error:
                raise _stopped(error, done, len(steps)) from error
        connection.begin()
        finish()
        journal.end(connection)
        connection.commit()
        return Applied(plan, None, tuple(taken.values()))

    def carry_out(self, connection: Any, sql: str) -> None:
        """One step."""
        until = time.monotonic() + _STEP_SECONDS
        while True:
            try:
                connection.script(sql)
                return
            except Locked:
                if time.monotonic() >= until:
                    raise
            time.sleep(_PAUSE)

    def create_missing(self) -> None:
        with self.locked(_LOCK_SECONDS), self.connection() as connection:
            create_missing(self.database, connection, tables_of(connection))


def _sweep(connection: Any) -> None:
    """Drop the scratch databases that killed programs left behind."""
    for (name,) in connection.answer(f"SHOW DATABASES LIKE '{_SCRATCH}%'"):
        if connection.answer("SELECT IS_FREE_LOCK(%s)", name) == [(1,)]:
            connection.script(f"DROP DATABASE IF EXISTS {_WRITER.quote(name)}")


def _stopped(error: Exception, done: int, steps: int) -> Exception:
    if not is_constraint(error.__cause__) and not isinstance(error, FluxonError):
        reason = "the server refused it; see the log"
    elif is_constraint(error.__cause__):
        found = re.search(r"`([^`]+)`\)?$|key '([^']+)'|CONSTRAINT `([^`]+)`", str(error.__cause__))
        rule = next((each for each in found.groups() if each), None) if found else None
        reason = f"the rows there are break a rule of the new schema ({rule or 'a constraint'})"
    else:
        reason = str(error)
    return Conflict(
        f"the update stopped after {done} of {steps} steps: {reason}. No row was lost; mend what is wrong and type "
        "updateschema again, or updateschema with the number of the schema before to go back"
    )
