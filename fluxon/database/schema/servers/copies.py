"""Copies of tables, taken before an update changes what is in them.

A copy is called ``fluxon_backup_`` with the schema's number, the moment and the table's name. It is a plain table,
which nothing refers to: whoever needs it no more drops it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from fluxon.database.declaration import MAX_IDENTIFIER
from fluxon.database.schema.plan import Plan
from fluxon.database.schema.servers.plan import Alteration
from fluxon.database.schema.servers.writer import Writer


def copies_of(plan: Plan, number: int) -> dict[str, str]:
    """The tables to copy, and the names of their copies."""
    stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S%f")
    found = {}
    for step in plan.steps:
        if isinstance(step, Alteration) and step.copied is not None:
            name = f"fluxon_backup_{number:05}_{stamp}_{step.copied}"
            found[step.copied] = name.encode()[:MAX_IDENTIFIER].decode(errors="ignore")
    return found


def statements(writer: Writer, copies: dict[str, str]) -> list[str]:
    """What takes them."""
    return [sql for table, name in copies.items() for sql in writer.copy(table, name)]
