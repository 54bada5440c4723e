"""What tables a server's database has, as the server itself describes them.

A schema file's tables are described by the same server, so that two descriptions differ only where the tables do.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Column:
    """A column. ``definition`` is all of it after its name, as the server writes it."""

    name: str
    type: str
    not_null: bool
    default: str | None
    #: Whether the database numbers the rows by it.
    numbered: bool
    definition: str


@attrs.frozen
class Part:
    """A key, constraint or index: ``kind`` is primary, unique, check, foreign or index."""

    name: str
    kind: str
    definition: str
    #: The table that a foreign key refers to.
    target: str | None = None


@attrs.frozen
class Table:
    """A table; the order of its columns is no part of the comparison, since servers only append."""

    name: str
    columns: dict[str, Column]
    parts: dict[str, Part]
