"""What every field declares, and the two questions it answers about a value.

Rules kept here:

- ``convert`` asks whether a value is of the field's type at all; a condition in ``where[...]`` needs no more.
  ``check`` asks also for length, choices and validators; what is stored passes it.
- Both raise ``ValueError`` with a text that is safe to show and names no value: it may be a password.
- A bad option is a ``ConfigurationError`` when the class is made.
- Nothing is left to the database that it would silently accept: SQLite stores any text in any column.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, overload

import attrs
import sqlalchemy
from sqlalchemy.types import TypeEngine

from fluxon.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxon.database.attributes import Attribute


class _Missing:
    """The type of ``MISSING``: no default was declared."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


def _choices(value: Any) -> tuple[Any, ...] | type[Enum] | None:
    if value is None or (isinstance(value, type) and issubclass(value, Enum)):
        return value
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError("choices is a list of values, or an Enum")
    return tuple(value)


def _validators(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError("validators is a list of functions of one value")
    return tuple(value)


class FieldType(type):
    """Keeps a mistake in a field's options for the model, which can say where it is."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **options: Any) -> Any:
            try:
                return super().__call__(*args, **options)
            except TypeError as error:
                known = list(inspect.signature(cls.__init__).parameters)[1:]
                wrong = [name for name in options if name not in known]
                field = cls.__new__(cls)
                field.mistake = (
                    f"{cls.__name__} has no option {wrong[0]!r}; it has {', '.join(known)}" if wrong else str(error)
                )
                field.model = None
                return field


@attrs.define(eq=False, kw_only=True, slots=False)
class Field(metaclass=FieldType):
    """One column of a model."""

    #: Whether the column may be empty (NULL, None).
    null: bool = False
    #: The value of a row that gives none, or a function without arguments that makes it.
    default: Any = MISSING
    unique: bool = False
    primary_key: bool = False
    db_index: bool = False
    #: The only values allowed; pairs of (value, label) as in Django may be given too. Of an ``Enum`` they are its
    #: members' values; a member stands for its value wherever one is given.
    choices: Sequence[Any] | type[Enum] | None = attrs.field(default=None, converter=_choices)
    #: Functions of one value that return False, or raise ``ValueError`` with a text, when they refuse it.
    validators: Sequence[Callable[[Any], Any]] = attrs.field(default=(), converter=_validators)
    #: The column's earlier name: a schema update then carries its values over.
    renamed_from: str | None = None

    #: The attribute's name, which is the column's, and the model it belongs to; set when the class is made.
    name: str = attrs.field(init=False, default="")
    model: Any = attrs.field(init=False, default=None, repr=False)

    #: What is wrong with the call that made the field; the model refuses it.
    mistake: ClassVar[str | None] = None

    #: Whether ``where[...]`` may compare the column, and whether by order and by pattern too.
    comparable: ClassVar[bool] = True
    ordered: ClassVar[bool] = True
    textual: ClassVar[bool] = False

    def declared(self, model: Any, name: str) -> None:
        """The class is made: learn the field's place in it, and check the options."""
        self.model, self.name = model, name
        for option in ("null", "unique", "primary_key", "db_index"):
            if not isinstance(getattr(self, option), bool):
                raise self.misdeclared(f"{option} is True or False")
        if not all(callable(each) for each in self.validators):
            raise self.misdeclared("validators is a list of functions of one value")
        if self.primary_key and self.null:
            raise self.misdeclared("a primary key cannot be null")
        self.check_options()
        self._check_choices()
        if self.has_constant_default and self.default is not None:
            try:
                self.check(self.default)
            except ValueError as error:
                raise self.misdeclared(f"its default {error}") from error
        elif self.default is None and not self.null:
            raise self.misdeclared("its default is None, so it needs null=True")

    def _check_choices(self) -> None:
        if self.choices is None:
            return
        if not self.allowed:
            raise self.misdeclared("choices is empty; leave it out to allow every value")
        for value in self.allowed:
            try:
                self.check_bounds(self.convert(value))
            except ValueError as error:
                raise self.misdeclared(f"its choice {value!r} {error}") from error

    def check_options(self) -> None:
        """Check the options of one kind of field; raise ``misdeclared``."""

    def misdeclared(self, text: str) -> ConfigurationError:
        """The error for a bad option of this field."""
        return ConfigurationError(f"{self}: {text}")

    def __str__(self) -> str:
        return f"{getattr(self.model, '__name__', '?')}.{self.name}"

    def column_type(self) -> TypeEngine[Any]:
        """The column's SQLAlchemy type."""
        raise NotImplementedError

    def column_checks(self) -> list[str]:
        """Conditions (in SQL, on the column ``{}``) that the database itself keeps."""
        return []

    def convert(self, value: Any) -> Any:
        """``value`` as it is stored, or ``ValueError``: it is not of this type."""
        raise NotImplementedError

    def check(self, value: Any) -> Any:
        """``convert``, and every rule of the declaration."""
        value = self.convert(self.plain(value))
        self.check_bounds(value)
        if self.choices is not None and value not in self.allowed:
            raise ValueError("is not one of the allowed values")
        for validator in self.validators:
            if validator(value) is False:
                raise ValueError("is not valid")
        return value

    def check_bounds(self, value: Any) -> None:
        """Raise ``ValueError`` when a value of the right type is too long, too large …"""

    def plain(self, value: Any) -> Any:
        """``value``, or what it stands for: a member of the ``Enum`` that ``choices`` is."""
        return value.value if self._members is not None and isinstance(value, self._members) else value

    @cached_property
    def _members(self) -> type[Enum] | None:
        return self.choices if isinstance(self.choices, type) else None

    @cached_property
    def allowed(self) -> list[Any]:
        """The values of ``choices``."""
        if self._members is not None:
            return [each.value for each in self._members]
        return [each[0] if isinstance(each, tuple | list) and len(each) == 2 else each for each in self.choices or ()]

    @property
    def has_constant_default(self) -> bool:
        """Whether the default is a value, and no function that makes one."""
        return self.default is not MISSING and not callable(self.default)

    def initial(self) -> Any:
        """The value of a new row that gives none, or ``MISSING``."""
        if callable(self.default):
            return self.default()
        return self.default

    def refreshed(self) -> Any:
        """The value that every update sets unasked, or ``MISSING``."""
        return MISSING

    def server_default(self) -> Any:
        """The DEFAULT in the schema, which fills a new column's old rows; None when there is none."""
        if not self.has_constant_default or self.default is None:
            return None
        return sqlalchemy.literal(self.convert(self.plain(self.default)), self.column_type())


#: What a row has in a column.
T = TypeVar("T", covariant=True)


@attrs.define(eq=False, kw_only=True, slots=False)
class Column(Field, Generic[T]):
    """A field that a class body declares, with values of one type; type checkers see here what its name means.

    On the class it is an expression. What they take for an instance of the class is a row, where it is a value. Whether
    the column may be empty they are told by ``nickname: models.Column[str | None] = models.CharField(null=True)``.
    """

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Attribute: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> T: ...
        def __get__(self, instance: object, owner: Any) -> Any: ...
