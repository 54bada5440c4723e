"""Schemas: numbered files of plain SQL, and databases brought from one to another without losing rows."""

from fluxon.database.schema.updating import (
    SavedSchema,
    UpdatedSchema,
    check,
    create_tables,
    missing_tables,
    prepare,
    save_schema,
    schemas,
    update_schema,
)

__all__ = [
    "SavedSchema",
    "UpdatedSchema",
    "check",
    "create_tables",
    "missing_tables",
    "prepare",
    "save_schema",
    "schemas",
    "update_schema",
]
