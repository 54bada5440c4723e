"""Making the models' tables that are not there, without a schema file."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fluxon.database.schema.text import statements_of


def create_missing(database: Any, connection: Any, have: Collection[str]) -> None:
    """Run those statements of the models' schema that make or complete tables that are not in ``have``."""
    for statement in statements_of(database):
        if statement.table not in have:
            connection.script(statement.sql)
