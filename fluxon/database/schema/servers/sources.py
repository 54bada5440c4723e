"""What of the tables that are there becomes which part of the new schema.

Rules kept here:

- A name that is in both is the same thing; ``renamed_from`` is heard where the new name is not there yet.
- A column that no value is known for before the update has none here either: see ``Given.value``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from fluxon.database.schema.files import Renamed
from fluxon.database.schema.plan import renamed_tables
from fluxon.database.schema.servers.tables import Column, Table
from fluxon.database.schema.servers.writer import Writer


@attrs.frozen
class Given:
    """What a column of the new schema holds in the rows that are there."""

    #: In SQL, on the table as it is now; None if only the update will tell: the database numbers the rows by it.
    value: str | None
    #: Whether rows get the column's default.
    by_default: bool


class Sources:
    """From the names that tables and columns will have to those that they have now."""

    def __init__(self, have: Mapping[str, Table], want: Mapping[str, Table], renamed: Iterable[Renamed]) -> None:
        renamed = list(renamed)
        self._columns = {(each.table, each.new): each.old for each in renamed if each.table is not None}
        self.tables = {name: name for name in want if name in have} | renamed_tables(have, want, renamed)

    def column(self, old: Table, new: Table, name: str) -> str | None:
        """The column of ``old`` whose values ``new`` has under ``name``; None for one that is new."""
        if name in old.columns:
            return name
        hint = self._columns.get((new.name, name))
        return hint if hint in old.columns and hint not in new.columns else None

    def given(self, writer: Writer, old: Table, new: Table, column: Column) -> Given:
        """What the rows of ``old`` will have in a column of ``new``."""
        source = self.column(old, new, column.name)
        if source is None:
            if column.numbered or (column.default is None and column.not_null):
                return Given(None, False)
            return Given(column.default or "NULL", column.default is not None)
        value = writer.quote(source)
        if column.not_null and not old.columns[source].not_null and column.default is not None:
            return Given(f"coalesce({value}, {column.default})", True)
        return Given(value, False)
