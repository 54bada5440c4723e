"""The journal of an update in progress, for servers that commit every statement of a schema change.

Rules kept here:

- It is written before the first statement and after each, and goes with the commit of the new schema's record.
- What it holds is enough to go on, or back: the file that was to be applied, and what it was allowed to lose. Which
  statements are left is seen from the tables themselves.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy

from fluxon.database.schema.changes import Interrupted
from fluxon.database.types import UTCDateTime

_metadata = sqlalchemy.MetaData()

TABLE = sqlalchemy.Table(
    "fluxon_schema_update",
    _metadata,
    sqlalchemy.Column("one", sqlalchemy.Integer, primary_key=True, autoincrement=False),
    sqlalchemy.Column("number", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("text", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("allowed", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("steps", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("done", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("statement", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("begun", UTCDateTime, nullable=False),
)

_select = sqlalchemy.select(
    TABLE.c.number, TABLE.c.text, TABLE.c.allowed, TABLE.c.steps, TABLE.c.done, TABLE.c.statement
)
_insert = sqlalchemy.insert(TABLE)
_delete = sqlalchemy.delete(TABLE)
_update = sqlalchemy.update(TABLE).values(
    done=sqlalchemy.bindparam("at", type_=sqlalchemy.Integer), statement=sqlalchemy.bindparam("sql")
)


def load(connection: Any) -> Interrupted | None:
    """The update that was interrupted, if one was."""
    rows = connection.rows(_select)
    if not rows:
        return None
    number, text, allowed, steps, done, _ = rows[0]
    told = f"an update to schema {number:05} stopped after {done} of {steps} steps"
    return Interrupted(number, text, tuple(allowed.split("\n")) if allowed else (), told)


def begin(connection: Any, number: int, text: str, allowed: tuple[str, ...], steps: int) -> None:
    """An update begins."""
    connection.begin()
    connection.run(_delete)
    row = {"one": 1, "number": number, "text": text, "allowed": "\n".join(allowed), "steps": steps, "done": 0}
    connection.run(_insert, {**row, "statement": "", "begun": datetime.now(UTC)})
    connection.commit()


def note(connection: Any, done: int, statement: str) -> None:
    """So many steps are done, and this one is next."""
    connection.run(_update, {"at": done, "sql": statement})


def end(connection: Any) -> None:
    """The update is whole; part of the transaction that records it."""
    connection.run(_delete)
