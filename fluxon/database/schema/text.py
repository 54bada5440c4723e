"""The schema that models declare, as SQL.

Rules kept here:

- SQLAlchemy Core writes every statement, in the dialect of the adapter.
- The same models give the same text: tables in the order of their references and then of their names, indexes by name.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.schema import CreateIndex, CreateTable, sort_tables_and_constraints

from fluxon.database.schema.files import Renamed, SchemaText


def schema_of(database: Any) -> SchemaText:
    """What the models bound to ``database`` declare."""
    dialect = database.statements.dialect
    statements = []
    for table, _ in sort_tables_and_constraints(database.metadata.tables.values()):  # type: ignore[no-untyped-call]
        if table is None:  # the references that close a circle; SQLite takes them inside CREATE TABLE
            continue
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            statements.append(str(CreateIndex(index).compile(dialect=dialect)))
    body = "\n".join(_tidy(each) + ";\n" for each in statements)
    return SchemaText(dialect.name, body, tuple(_renamed(database.models)))


def _tidy(statement: str) -> str:
    return "\n".join(line.rstrip() for line in statement.strip().splitlines()).replace("\t", "    ")


def _renamed(models: list[Any]) -> list[Renamed]:
    return [
        Renamed(model.declaration.table_name, field.renamed_from, field.name)
        for model in models
        for field in model.declaration.all_fields
        if field.renamed_from is not None
    ]
