"""The schema that models declare, as SQL.

Rules kept here:

- SQLAlchemy Core writes every statement, in the dialect of the adapter.
- The same models give the same text: tables in the order of their references and then of their names, indexes by name.
- References that close a circle come last, where the dialect cannot name a table before it is there.
"""

from __future__ import annotations

from typing import Any

import attrs
from sqlalchemy.schema import AddConstraint, CreateIndex, CreateTable, ExecutableDDLElement, sort_tables_and_constraints

from fluxon.database.schema.files import Renamed, SchemaText


@attrs.frozen
class Statement:
    """One statement of a schema, and the table that it makes or completes."""

    table: str
    sql: str


def schema_of(database: Any) -> SchemaText:
    """What the models bound to ``database`` declare."""
    body = "\n".join(each.sql + ";\n" for each in statements_of(database))
    return SchemaText(database.statements.dialect.name, body, tuple(_renamed(database.models)))


def statements_of(database: Any) -> list[Statement]:
    """The same, statement by statement."""
    dialect = database.statements.ddl_dialect
    found: list[tuple[str, ExecutableDDLElement]] = []
    for table, references in sort_tables_and_constraints(database.metadata.tables.values()):  # type: ignore[no-untyped-call]
        if table is None:
            if dialect.supports_alter:
                ordered = sorted(references, key=lambda each: str(each.name))
                found += [(each.table.name, AddConstraint(each, isolate_from_table=False)) for each in ordered]
            continue
        # SQLite takes every reference inside CREATE TABLE, and in no other place.
        included = list(references) if dialect.supports_alter else None
        found.append((table.name, CreateTable(table, include_foreign_key_constraints=included)))
        found += [(table.name, CreateIndex(each)) for each in sorted(table.indexes, key=lambda each: str(each.name))]
    return [Statement(table, _tidy(str(each.compile(dialect=dialect)))) for table, each in found]


def _tidy(statement: str) -> str:
    return "\n".join(line.rstrip() for line in statement.strip().splitlines()).replace("\t", "    ")


def _renamed(models: list[Any]) -> list[Renamed]:
    tables = [
        Renamed(None, model.declaration.options.renamed_from.lower(), model.declaration.table_name)
        for model in models
        if model.declaration.options.renamed_from is not None
    ]
    columns = [
        Renamed(model.declaration.table_name, field.renamed_from, field.name)
        for model in models
        for field in model.declaration.all_fields
        if field.renamed_from is not None
    ]
    return tables + columns
