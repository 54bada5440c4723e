"""Relations between models.

Rules kept here:

- A relation's column has its attribute's name and holds the key of the row it refers to.
- Foreign keys are enforced by the database, at once, not at the end of a transaction.
- A model may be named by text before it is declared; ``"self"`` is the model itself. Names are found among the models
  that are bound together.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, overload

import attrs
from sqlalchemy.types import TypeEngine

from fluxon.database.fields.base import Field, FieldType
from fluxon.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxon.database.attributes import Relation
    from fluxon.database.linking import Links


class OnDelete(Enum):
    """What happens to a row when the one it refers to is deleted."""

    CASCADE = "CASCADE"
    PROTECT = "RESTRICT"
    SET_NULL = "SET NULL"
    SET_DEFAULT = "SET DEFAULT"
    NO_ACTION = "NO ACTION"


CASCADE = OnDelete.CASCADE
PROTECT = OnDelete.PROTECT
SET_NULL = OnDelete.SET_NULL
SET_DEFAULT = OnDelete.SET_DEFAULT
NO_ACTION = OnDelete.NO_ACTION


@attrs.define(eq=False, slots=False)
class ForeignKey(Field):
    """A reference to a row of ``to_table``: a model, or its name."""

    to_table: Any
    on_delete: OnDelete = attrs.field(default=CASCADE, kw_only=True)
    #: Deleting what is referred to looks for the rows that refer to it.
    db_index: bool = attrs.field(default=True, kw_only=True)
    target: Any = attrs.field(init=False, default=None, repr=False)

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Relation: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Any: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...

    def check_options(self) -> None:
        if self.choices is not None:
            raise self.misdeclared("a relation has no choices; it refers to the rows there are")
        if not isinstance(self.on_delete, OnDelete):
            raise self.misdeclared("on_delete is CASCADE, PROTECT, SET_NULL, SET_DEFAULT or NO_ACTION")
        if self.on_delete is SET_NULL and not self.null:
            raise self.misdeclared("on_delete=SET_NULL needs null=True")
        if self.on_delete is SET_DEFAULT and not self.has_constant_default:
            raise self.misdeclared("on_delete=SET_DEFAULT needs a default that is a value")
        if self.to_table == "self":
            self.target = self.model
        elif not isinstance(self.to_table, str):
            self.target = self.to_table
            if getattr(self.target, "declaration", None) is None:
                raise self.misdeclared("to_table is a model with a table, or its name")

    def resolve(self, models: dict[str, Any]) -> None:
        """Find a model that was named by text."""
        if self.target is None:
            self.target = models.get(self.to_table)
        if self.target is None:
            raise self.misdeclared(f"there is no model called {self.to_table!r} beside it")

    def check_default(self) -> None:
        """Check a default against the key referred to, which is known only now."""
        if self.has_constant_default and self.default is not None:
            try:
                self.target_key.convert(self.default)
            except ValueError as error:
                raise self.misdeclared(f"its default {error}") from error

    @property
    def target_key(self) -> Field:
        """The key of the model referred to."""
        if self.target is None:
            raise ConfigurationError(f"{self} refers to {self.to_table!r}; bind the models to a database first")
        key: Field = self.target.declaration.key
        return key

    def column_type(self) -> TypeEngine[Any]:
        return self.target_key.column_type()

    def convert(self, value: Any) -> Any:
        if self.target is None and self.has_constant_default and value == self.default:
            return value  # looked at when the class is made, before a name can be resolved
        return self.target_key.convert(value)


@attrs.define(eq=False, slots=False)
class OneToOneField(ForeignKey):
    """A reference that no two rows share. It may be the primary key."""

    unique: bool = attrs.field(default=True, kw_only=True)
    #: UNIQUE (or the key) is an index already.
    db_index: bool = attrs.field(default=False, kw_only=True)


@attrs.define(eq=False, slots=False)
class ManyToManyField(metaclass=FieldType):
    """Rows of two models in pairs, kept by the model ``through``, which refers to both. It has no column."""

    to_table: Any
    through: Any = attrs.field(kw_only=True)
    #: The names of the two foreign keys, this model's first; needed where ``through`` has several to one model.
    through_fields: tuple[str, str] | None = attrs.field(default=None, kw_only=True)
    name: str = attrs.field(init=False, default="")
    model: Any = attrs.field(init=False, default=None, repr=False)
    #: The models, and the two fields of ``through``; known when the models are bound.
    target: Any = attrs.field(init=False, default=None, repr=False)
    link: Any = attrs.field(init=False, default=None, repr=False)
    own_side: Any = attrs.field(init=False, default=None, repr=False)
    other_side: Any = attrs.field(init=False, default=None, repr=False)
    mistake: ClassVar[str | None] = None

    if TYPE_CHECKING:

        def __get__(self, instance: object, owner: Any) -> Links: ...

    def __str__(self) -> str:
        return f"{getattr(self.model, '__name__', '?')}.{self.name}"

    def declared(self, model: Any, name: str) -> None:
        """The class is made."""
        self.model, self.name = model, name
        names = self.through_fields
        if names is not None and not (
            isinstance(names, tuple | list) and len(names) == 2 and all(isinstance(each, str) for each in names)
        ):
            raise ConfigurationError(f"{self}: through_fields is the names of two foreign keys of {self.through}")

    def resolve(self, models: dict[str, Any]) -> None:
        """Find the models and the two references between them."""
        self.target = self._find(self.to_table, models)
        self.link = self._find(self.through, models)
        sides = [each for each in self.link.declaration.fields.values() if isinstance(each, ForeignKey)]
        if self.through_fields is not None:
            sides = [each for name in self.through_fields for each in sides if each.name == name]
        own = [each for each in sides if each.target is self.model]
        other = [each for each in sides if each.target is self.target and (each not in own[:1])]
        for target, found in ((self.model, own), (self.target, other)):
            if not found:
                raise ConfigurationError(f"{self}: {self.link.__name__} has no ForeignKey to {target.__name__}")
        most = 2 if self.target is self.model else 1
        if len(own) > most or len(other) > 1:
            raise ConfigurationError(
                f"{self}: {self.link.__name__} has several ForeignKeys to one model; "
                "say which two with through_fields=(..., ...)"
            )
        self.own_side, self.other_side = own[0], other[0]

    def _find(self, named: Any, models: dict[str, Any]) -> Any:
        if named == "self":
            return self.model
        found = models.get(named) if isinstance(named, str) else named
        if getattr(found, "declaration", None) is None or found not in models.values():
            raise ConfigurationError(f"{self}: there is no model {named!r} beside it")
        return found
