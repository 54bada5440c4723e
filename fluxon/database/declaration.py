"""What a model declares, in one place, and the SQLAlchemy tables made of it.

Rules kept here:

- Tables are made when models are bound to a database, all of them together in one ``MetaData``: names given by text
  can then be found, whatever the order of declaration.
- Every name in SQL is quoted, so that a model may be called ``User``, ``Order`` or ``Group``.
- Constraints have names made of their table and column, so that they can be found again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import sqlalchemy
from sqlalchemy.sql.elements import quoted_name

from fluxon.database.fields import AutoField, Field, ForeignKey, ManyToManyField
from fluxon.errors import ConfigurationError

#: The shortest limit on names among the databases (PostgreSQL's, in bytes).
MAX_IDENTIFIER = 63

#: Names that the engine keeps for its own tables.
ENGINE_PREFIXES = ("fluxon_", "filesystem_")

_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
}


@attrs.define(eq=False)
class Declaration:
    """One model's name, columns and relations; its table and database once it is bound."""

    model: Any
    name: str
    fields: dict[str, Field]
    relations: dict[str, ManyToManyField]
    key: Field
    table: sqlalchemy.Table | None = None
    database: Any = None
    #: Every column, in order: what a query answers unless it names some.
    all_fields: tuple[Field, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.all_fields = tuple(self.fields.values())

    @property
    def table_name(self) -> str:
        return self.name.lower()

    @property
    def numbers_itself(self) -> bool:
        """Whether the database chooses the key of a new row."""
        return isinstance(self.key, AutoField)


def check_identifier(name: str, what: str) -> None:
    """Raise ``ConfigurationError`` unless ``name`` can name a table or column on every database."""
    if len(name.encode()) > MAX_IDENTIFIER:
        raise ConfigurationError(f"{what} is longer than {MAX_IDENTIFIER} bytes")
    if name.startswith("_") or '"' in name or "`" in name:
        raise ConfigurationError(f"{what} may not begin with an underscore")


def build_tables(models: Iterable[Any]) -> sqlalchemy.MetaData:
    """Resolve the relations among ``models`` and make their tables. Raises ``ConfigurationError``."""
    declarations = [model.declaration for model in models]
    by_name: dict[str, Any] = {}
    tables: set[str] = set()
    for declaration in declarations:
        if declaration.table_name in tables:
            raise ConfigurationError(f"two models would share the table {declaration.table_name!r}; rename one")
        tables.add(declaration.table_name)
        by_name[declaration.name] = declaration.model
    for declaration in declarations:
        for field in declaration.fields.values():
            if isinstance(field, ForeignKey):
                field.resolve(by_name)
                if field.target not in by_name.values():
                    raise ConfigurationError(f"{field} refers to {field.target.__name__}, which is not bound with it")
    for declaration in declarations:
        for relation in declaration.relations.values():
            relation.resolve(by_name)
    metadata = sqlalchemy.MetaData(naming_convention=_NAMING)
    for declaration in declarations:
        declaration.table = _build_table(declaration, metadata)
    return metadata


def _build_table(declaration: Declaration, metadata: sqlalchemy.MetaData) -> sqlalchemy.Table:
    columns = [_build_column(field) for field in declaration.fields.values()]
    checks = [
        sqlalchemy.CheckConstraint(condition.format(_quoted(field.name)), name=field.name)
        for field in declaration.fields.values()
        for condition in field.column_checks()
    ]
    name = quoted_name(declaration.table_name, True)
    # Without AUTOINCREMENT SQLite would give the number of a deleted row again, and with it what still refers to it.
    return sqlalchemy.Table(name, metadata, *columns, *checks, sqlite_autoincrement=declaration.numbers_itself)


def _build_column(field: Field) -> sqlalchemy.Column[Any]:
    references: list[Any] = []
    if isinstance(field, ForeignKey):
        target = field.target.declaration
        references.append(
            sqlalchemy.ForeignKey(
                f"{target.table_name}.{target.key.name}",
                ondelete=None if field.on_delete.value == "NO ACTION" else field.on_delete.value,
            )
        )
    return sqlalchemy.Column(
        quoted_name(field.name, True),
        field.column_type(),
        *references,
        primary_key=field.primary_key,
        nullable=field.null,
        unique=field.unique and not field.primary_key,
        index=field.db_index and not field.unique and not field.primary_key,
        server_default=field.server_default(),
        autoincrement=isinstance(field, AutoField),
    )


def _quoted(name: str) -> str:
    return f'"{name}"'
