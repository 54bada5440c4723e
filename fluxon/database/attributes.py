"""A model's columns, as its class attributes show them: what conditions, ``columns`` and ``order_by`` are made of.

Rules kept here:

- A value is checked when it is compared: it can be of the wrong type (``InvalidPayload``), but never become SQL.
- A column is known by its reference: the field itself, or, across relations, the tuple of the foreign keys on the way
  and the field at its end.
- An attribute is never true or false: a comparison was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from fluxon.database.expressions import Expression
from fluxon.database.fields.base import Field
from fluxon.database.fields.relations import ForeignKey
from fluxon.errors import InvalidPayload

#: Values of one ``in_``: below SQLite's 32,766 parameters with room for the rest.
MAX_IN_VALUES = 16_384

#: Characters of a pattern: SQLite refuses more than 50,000 bytes, and matching takes time by their square.
MAX_PATTERN = 10_000

#: Patterns that ``contains`` and its kin write escape what is special in them with this.
ESCAPE = "/"

#: Foreign keys on the way to one column. MySQL joins at most 61 tables, SQLite 64.
MAX_HOPS = 12

#: A field, or the foreign keys that lead to it and the field.
Reference = Field | tuple[Field, ...]


class Order:
    """A column to sort by, and which way."""

    __slots__ = ("attribute", "descending")

    def __init__(self, attribute: Attribute, descending: bool) -> None:
        self.attribute = attribute
        self.descending = descending


class Attribute:
    """A column of a model, as ``User.username``: compare it to make conditions, or name it as a column."""

    # Private, since a relation's public attributes are the columns of another model.
    __slots__ = ("_field", "_reference")

    def __init__(self, field: Field, reference: Reference | None = None) -> None:
        self._field = field
        self._reference: Reference = field if reference is None else reference

    def __repr__(self) -> str:
        return f"<{self._name()}>"

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self._name()} is a column, not a value; compare it: {self._name()} == ...")

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return self._compare("!=", other)

    def __lt__(self, other: Any) -> Expression:
        return self._compare("<", other)

    def __le__(self, other: Any) -> Expression:
        return self._compare("<=", other)

    def __gt__(self, other: Any) -> Expression:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Expression:
        return self._compare(">=", other)

    def in_(self, values: Iterable[Any]) -> Expression:
        """The column is one of ``values``; an empty list matches nothing."""
        self._must_compare()
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise InvalidPayload(f"{self._field}: in_() takes a list of values")
        found = [self._value(each) for each in values]
        if len(found) > MAX_IN_VALUES:
            raise InvalidPayload(f"{self._field}: in_() takes at most {MAX_IN_VALUES} values")
        if not found:
            return Expression(("in", self._reference, 0), ())
        # Rounded up to a power of two by repeating a value, so that lists of all lengths share a few texts.
        length = 1 << (len(found) - 1).bit_length()
        found += [found[-1]] * (length - len(found))
        return Expression(("in", self._reference, length), tuple(found))

    def between(self, low: Any, high: Any) -> Expression:
        """The column is at least ``low`` and at most ``high``."""
        self._must_order()
        return Expression(("between", self._reference), (self._value(low), self._value(high)))

    def is_null(self) -> Expression:
        """The column is empty. ``== None`` says the same."""
        return Expression(("null", self._reference), ())

    def is_not_null(self) -> Expression:
        """The column has a value. ``!= None`` says the same."""
        return Expression(("not null", self._reference), ())

    def like(self, pattern: str) -> Expression:
        """The column matches ``pattern``: ``%`` stands for any text, ``_`` for one character; case counts."""
        return Expression(("like", self._reference), (self._pattern(pattern),))

    def contains(self, text: str) -> Expression:
        """``text`` is somewhere in the column; nothing in it is special, and case counts."""
        return self._find("%", text, "%")

    def startswith(self, text: str) -> Expression:
        """The column begins with ``text``."""
        return self._find("", text, "%")

    def endswith(self, text: str) -> Expression:
        """The column ends with ``text``."""
        return self._find("%", text, "")

    def asc(self) -> Order:
        """Sort by the column, smallest first."""
        self._must_order()
        return Order(self, False)

    def desc(self) -> Order:
        """Sort by the column, largest first."""
        self._must_order()
        return Order(self, True)

    def _compare(self, operator: str, other: Any) -> Expression:
        field = self._field
        if other is None:
            if operator == "==":
                return Expression(("null", self._reference), ())
            if operator == "!=":
                return Expression(("not null", self._reference), ())
            raise InvalidPayload(f"{field}: nothing is less or greater than None")
        if not field.comparable:
            self._must_compare()
        if operator not in ("==", "!="):
            self._must_order()
        if isinstance(other, Attribute):
            other._must_compare()
            return Expression(("columns", operator, self._reference, other._reference), ())
        return Expression((operator, self._reference), (self._value(other),))

    def _find(self, before: str, text: str, after: str) -> Expression:
        text = self._pattern(text)
        for special in (ESCAPE, "%", "_"):
            text = text.replace(special, ESCAPE + special)
        return Expression(("like", self._reference, ESCAPE), (before + text + after,))

    def _pattern(self, text: Any) -> str:
        self._must_compare()
        if not self._field.textual:
            raise TypeError(f"{self._field} is no text; only texts are matched by pattern")
        pattern: str = self._value(text)
        if len(pattern) > MAX_PATTERN:
            raise InvalidPayload(f"{self._field}: a pattern has at most {MAX_PATTERN} characters")
        return pattern

    def _value(self, value: Any) -> Any:
        try:
            return self._field.convert(self._field.plain(value))
        except ValueError as error:
            raise InvalidPayload(f"{self._field} is compared with a value that {error}") from None

    def _must_compare(self) -> None:
        if not self._field.comparable:
            raise TypeError(
                f"{self._field} cannot be compared: a stored password equals nothing (use Authenticate), "
                "and a document has no order"
            )

    def _must_order(self) -> None:
        if not self._field.ordered:
            raise TypeError(f"{self._name()} has no order; only == and != are for it")

    def _name(self) -> str:
        """As a program writes it."""
        if self._reference is self._field:
            return str(self._field)
        return ".".join((str(self._reference[0]), *(each.name for each in self._reference[1:])))  # type: ignore[index]


class Relation(Attribute):
    """A foreign key: a column, and the way to the columns of the row it refers to: ``Course.teacher.department``."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Relation:
        # Python itself asks for these, to copy or to print.
        if name.startswith("_"):
            raise AttributeError(name)
        here = self._field
        assert isinstance(here, ForeignKey)
        declaration = here.target_key.model.declaration
        field = declaration.fields.get(name)
        if field is None:
            raise AttributeError(f"{self._name()}.{name}: {declaration.name} has no column {name!r}")
        way = self._reference if isinstance(self._reference, tuple) else (self._reference,)
        if len(way) > MAX_HOPS:
            raise TypeError(f"{self._name()}: more than {MAX_HOPS} relations lead there")
        return attribute_of(field, (*way, field))  # type: ignore[return-value]


def attribute_of(field: Field, reference: Reference | None = None) -> Attribute:
    """The attribute of a field, here or at the end of a way across relations."""
    kind = Relation if isinstance(field, ForeignKey) else Attribute
    return kind(field, reference)


def reference_of(attribute: Attribute) -> Reference:
    """What a shape says of an attribute."""
    return attribute._reference


def field_of(reference: Reference) -> Field:
    """The field at the end."""
    return reference[-1] if isinstance(reference, tuple) else reference


def name_in_rows(reference: Reference) -> str:
    """The name of a column in the rows that have it: ``department``, or ``teacher_department`` across a relation."""
    return "_".join(each.name for each in reference) if isinstance(reference, tuple) else reference.name
