"""What a model declares, in one place, and the SQLAlchemy tables made of it.

Rules kept here:

- Tables are made when models are bound to a database, all of them together in one ``MetaData``: names given by text
  can then be found, whatever the order of declaration.
- Every name in SQL is quoted, so that a model may be called ``User``, ``Order`` or ``Group``.
- Constraints have names made of their table and column, so that they can be found again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import sqlalchemy
from sqlalchemy.sql.elements import quoted_name

from fluxon.database.fields import AutoField, Field, ForeignKey, ManyToManyField
from fluxon.database.options import Options
from fluxon.database.types import column_condition
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
    options: Options = attrs.field(factory=Options)
    table: sqlalchemy.Table | None = None
    database: Any = None
    #: Whether deleting a row may delete others of the model, and which columns it may empty in those that stay.
    deletes_own: bool = False
    empties: frozenset[Field] = frozenset()
    #: Every column, in order: what a query answers unless it names some.
    all_fields: tuple[Field, ...] = attrs.field(init=False)

    #: The shape of the condition that a row has a certain key.
    key_condition: tuple[Any, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.all_fields = tuple(self.fields.values())
        self.key_condition = ("==", self.key)

    @property
    def table_name(self) -> str:
        return self.name.lower()

    def is_unique(self, fields: Sequence[Field]) -> bool:
        """Whether no two rows have the same values in these fields: the key, a unique one, or a ``unique_together``."""
        if len(fields) == 1 and (fields[0].unique or fields[0] is self.key):
            return True
        names = {field.name for field in fields}
        return any(names == set(together) for together in self.options.unique_together)

    @property
    def numbers_itself(self) -> bool:
        """Whether the database chooses the key of a new row."""
        return isinstance(self.key, AutoField)


def check_identifier(name: str, what: str) -> None:
    """Raise ``ConfigurationError`` unless ``name`` can name a table or column on every database."""
    if len(name.encode()) > MAX_IDENTIFIER:
        raise ConfigurationError(f"{what} is longer than {MAX_IDENTIFIER} bytes")
    if name.startswith("_") or not name.isidentifier():
        raise ConfigurationError(f"{what} is letters, digits and underscores, and does not begin with an underscore")


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
    for declaration in declarations:
        _refuse_circular_key(declaration)
    for declaration in declarations:
        for field in declaration.fields.values():
            if isinstance(field, ForeignKey):
                field.check_default()
    metadata = sqlalchemy.MetaData(naming_convention=_NAMING)
    for declaration in declarations:
        declaration.table = _build_table(declaration, metadata)
    return metadata


def _refuse_circular_key(declaration: Declaration) -> None:
    """A key may be another row's key, but not in a circle: no row could be the first."""
    seen, key = [declaration], declaration.key
    while isinstance(key, ForeignKey):
        declaration = key.target.declaration
        if declaration in seen:
            raise ConfigurationError(f"{seen[0].key}: the key of {declaration.name} would be its own, in a circle")
        seen.append(declaration)
        key = declaration.key


def _build_table(declaration: Declaration, metadata: sqlalchemy.MetaData) -> sqlalchemy.Table:
    columns = [_build_column(field) for field in declaration.fields.values()]
    checks = [
        sqlalchemy.CheckConstraint(column_condition(condition, field.name), name=field.name)
        for field in declaration.fields.values()
        for condition in field.column_checks()
    ]
    options = declaration.options
    together = [
        *(sqlalchemy.UniqueConstraint(*map(_name, names)) for names in options.unique_together),
        *(sqlalchemy.Index(None, *map(_name, names)) for names in options.indexes),
    ]
    name = _name(declaration.table_name)
    # Without AUTOINCREMENT SQLite would give the number of a deleted row again, and with it what still refers to it.
    return sqlalchemy.Table(
        name, metadata, *columns, *checks, *together, sqlite_autoincrement=declaration.numbers_itself
    )


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
        _name(field.name),
        field.column_type(),
        *references,
        primary_key=field.primary_key,
        nullable=field.null,
        unique=field.unique and not field.primary_key,
        index=field.db_index and not field.unique and not field.primary_key,
        server_default=field.server_default(),
        autoincrement=isinstance(field, AutoField),
    )


def _name(name: str) -> quoted_name:
    return quoted_name(name, True)
