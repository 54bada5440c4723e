"""Bringing an SQLite database to another schema, in one transaction.

Rules kept here:

- Foreign keys are off before BEGIN (inside a transaction the switch does nothing, and with them on, dropping the old
  table would delete the rows that refer to it), and checked before COMMIT.
- ``legacy_alter_table`` keeps a rename from rewriting what other tables refer to: the new table takes the old name.
- A backup is taken inside the transaction, which already keeps writers out, so it holds every row that there was.
- A failure leaves the old schema and every row.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from fluxon.database.schema.files import sync_folder
from fluxon.database.schema.plan import Attach, Create, Drop, Plan, Rebuild, Step
from fluxon.database.schema.structure import quoted
from fluxon.database.sqlite.connection import SQLiteConnection
from fluxon.database.sqlite.errors import is_constraint, translate
from fluxon.errors import Conflict, OutcomeUnknown

#: Holds the old table while its rows are copied.
_OLD = "fluxon_old_table"


def apply_plan(
    connection: SQLiteConnection,
    make: Callable[[], Plan],
    finish: Callable[[], None],
    backup: Path | None,
) -> Plan:
    """Make the plan, carry it out and commit. Nothing else may have begun a transaction on ``connection``."""
    raw = connection.raw
    connection.script("PRAGMA foreign_keys = OFF")
    connection.script("PRAGMA legacy_alter_table = ON")
    try:
        connection.begin()
        try:
            plan = make()
            if plan.steps and backup is not None:
                back_up(raw, backup)
            _carry_out(raw, plan)
            _check_references(raw)
            finish()
        except BaseException as error:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise _explained(error) from error
            raise
        try:
            raw.execute("COMMIT")
        except sqlite3.Error as error:
            raise OutcomeUnknown(
                "the database failed while it committed the new schema; run: check, to see which one it has"
            ) from error
        return plan
    finally:
        if not raw.in_transaction:
            connection.script("PRAGMA legacy_alter_table = OFF")
            connection.script("PRAGMA foreign_keys = ON")


def back_up(raw: sqlite3.Connection, path: Path) -> None:
    """Copy the whole database, as the transaction sees it, to a new file of mode 0600, and sync it."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(sqlite3.connect(path)) as copy:
        # A reader of its own sees the same: nobody but this transaction writes, and it has not yet.
        source = raw.execute("PRAGMA database_list").fetchone()[2]
        with closing(sqlite3.connect(source)) as reader:
            reader.backup(copy)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def backup_path(database: Path, number: int) -> Path:
    """Where the copy of ``database`` goes that is taken before it becomes schema ``number``."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    return database.with_name(f"{database.name}.before-{number:05}.{stamp}")


def _carry_out(raw: sqlite3.Connection, plan: Plan) -> None:
    for step in plan.steps:
        _STEPS[type(step)](raw, step)


def _create(raw: sqlite3.Connection, step: Create) -> None:
    raw.execute(step.table.sql)
    for sql in step.table.attached.values():
        raw.execute(sql)


def _drop(raw: sqlite3.Connection, step: Drop) -> None:
    raw.execute(f"DROP TABLE {quoted(step.name)}")


def _attach(raw: sqlite3.Connection, step: Attach) -> None:
    for name in step.removed:
        kind = raw.execute("SELECT type FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
        raw.execute(f"DROP {kind} {quoted(name)}")
    for sql in step.added:
        raw.execute(sql)


def _rebuild(raw: sqlite3.Connection, step: Rebuild) -> None:
    name = quoted(step.table.name)
    last = _last_number(raw, step.old.name)
    raw.execute(f"ALTER TABLE {quoted(_renamed(raw, step))} RENAME TO {_OLD}")
    raw.execute(step.table.sql)
    if step.values:
        columns = ", ".join(map(quoted, step.values))
        values = ", ".join(step.values.values())
        raw.execute(f"INSERT INTO {name} ({columns}) SELECT {values} FROM {_OLD} ORDER BY rowid")
    else:
        for _ in range(int(raw.execute(f"SELECT count(*) FROM {_OLD}").fetchone()[0])):
            raw.execute(f"INSERT INTO {name} DEFAULT VALUES")
    raw.execute(f"DROP TABLE {_OLD}")
    for sql in step.table.attached.values():
        raw.execute(sql)
    _keep_last_number(raw, step.table.name, last)


def _renamed(raw: sqlite3.Connection, step: Rebuild) -> str:
    """What the old table is called by now. If its name changes, so do the references of the engine's tables to it.

    Two tables that exchange their names keep them here: nothing of the engine refers to more than one.
    """
    old, new = step.old.name, step.table.name
    if old == new or raw.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (new,)).fetchall():
        return old
    raw.execute("PRAGMA legacy_alter_table = OFF")
    raw.execute(f"ALTER TABLE {quoted(old)} RENAME TO {quoted(new)}")
    raw.execute("PRAGMA legacy_alter_table = ON")
    return new


def _last_number(raw: sqlite3.Connection, table: str) -> int | None:
    """The highest key that AUTOINCREMENT gave, also to rows that are deleted by now."""
    if not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchall():
        return None
    found = raw.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchall()
    return int(found[0][0]) if found else None


def _keep_last_number(raw: sqlite3.Connection, table: str, last: int | None) -> None:
    if last is None or "AUTOINCREMENT" not in _sql(raw, table):
        return
    now = _last_number(raw, table)
    if now is None:
        raw.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))
    elif now < last:
        raw.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (last, table))


def _sql(raw: sqlite3.Connection, table: str) -> str:
    return str(raw.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0])


def _check_references(raw: sqlite3.Connection) -> None:
    broken = raw.execute("PRAGMA foreign_key_check").fetchmany(5)
    if broken:
        listed = ", ".join(sorted({f"{child} to {parent}" for child, _, parent, _ in broken}))
        raise Conflict(f"rows would refer to rows that do not exist ({listed}); nothing was changed")


def _explained(error: sqlite3.Error) -> Exception:
    if is_constraint(error):
        # The text names table and column and no value.
        return Conflict(f"the rows there are break a rule of the new schema ({error}); nothing was changed")
    return translate(error)


_STEPS: dict[type[Step], Callable[[sqlite3.Connection, Step], None]] = {
    Create: _create,  # type: ignore[dict-item]
    Drop: _drop,  # type: ignore[dict-item]
    Attach: _attach,  # type: ignore[dict-item]
    Rebuild: _rebuild,  # type: ignore[dict-item]
}
