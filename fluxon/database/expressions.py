"""Conditions: what comparing a model's attribute makes.

Rules kept here:

- A condition is its shape (a tuple that says everything but the values) and its values in the shape's order. The
  shape is hashed once per call to find the text that Core wrote for it, so making one is cheap.
- A condition is never true or false: ``and``, ``or``, ``not`` and chained comparisons would drop half of it without
  a word, so they raise ``TypeError``.
- A value is checked when it is compared: it can be of the wrong type (``InvalidPayload``), but never become SQL.
- Grouping is in the shape's nesting; nothing is ever put together as text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from fluxon.database.fields.base import Field
from fluxon.errors import InvalidPayload

#: Comparisons in one condition. SQLite refuses trees deeper than 1,000.
MAX_COMPARISONS = 500

#: How deep ``&``, ``|`` and ``~`` may be nested in one another: writing the text recurses.
MAX_NESTING = 50

#: Values of one ``in_``: below SQLite's 32,766 parameters with room for the rest.
MAX_IN_VALUES = 16_384

#: Characters of a pattern: SQLite refuses more than 50,000 bytes, and matching takes time by their square.
MAX_PATTERN = 10_000

#: Patterns that ``contains`` and its kin write escape what is special in them with this.
ESCAPE = "/"

Shape = tuple[Any, ...]


class Expression:
    """A condition on the rows of a model. Combine with ``&``, ``|`` and ``~``, and give it to ``where[...]``."""

    __slots__ = ("depth", "shape", "size", "values")

    def __init__(self, shape: Shape, values: tuple[Any, ...], size: int = 1, depth: int = 1) -> None:
        self.shape = shape
        self.values = values
        self.size = size
        self.depth = depth

    def __and__(self, other: Expression) -> Expression:
        return _join("&", self, other)  # type: ignore[no-any-return]

    def __or__(self, other: Expression) -> Expression:
        return _join("|", self, other)  # type: ignore[no-any-return]

    def __invert__(self) -> Expression:
        if self.shape[0] == "~":
            return Expression(self.shape[1], self.values, self.size, self.depth)
        return Expression(("~", self.shape), self.values, self.size, self.depth + 1)

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a condition is neither true nor false: join conditions with & and | and ~, each in parentheses, "
            "not with and, or, not"
        )

    def __repr__(self) -> str:
        return f"<condition of {self.size} comparisons>"


def _join(operator: str, left: Expression, right: Any) -> Any:
    if not isinstance(right, Expression):
        return NotImplemented
    size = left.size + right.size
    if size > MAX_COMPARISONS:
        raise InvalidPayload(f"a condition has more than {MAX_COMPARISONS} comparisons; use in_() for many values")
    first, second = left.shape, right.shape
    # a & b & c is one list, not a tower: it keeps the tree flat, and means the same.
    terms = (first[1:] if first[0] == operator else (first,)) + (second[1:] if second[0] == operator else (second,))
    depth = max(left.depth + (first[0] != operator), right.depth + (second[0] != operator))
    if depth > MAX_NESTING:
        raise InvalidPayload(f"a condition is nested more than {MAX_NESTING} deep")
    return Expression((operator, *terms), left.values + right.values, size, depth)


class Order:
    """A column to sort by, and which way."""

    __slots__ = ("descending", "field")

    def __init__(self, field: Field, descending: bool) -> None:
        self.field = field
        self.descending = descending


class Attribute:
    """A column of a model, as ``User.username``: compare it to make conditions, or name it as a column."""

    __slots__ = ("field",)

    def __init__(self, field: Field) -> None:
        self.field = field

    def __repr__(self) -> str:
        return f"<{self.field}>"

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self.field} is a column, not a value; compare it: {self.field} == ...")

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
            raise InvalidPayload(f"{self.field}: in_() takes a list of values")
        found = [self._value(each) for each in values]
        if len(found) > MAX_IN_VALUES:
            raise InvalidPayload(f"{self.field}: in_() takes at most {MAX_IN_VALUES} values")
        if not found:
            return Expression(("in", self.field, 0), ())
        # Rounded up to a power of two by repeating a value, so that lists of all lengths share a few texts.
        length = 1 << (len(found) - 1).bit_length()
        found += [found[-1]] * (length - len(found))
        return Expression(("in", self.field, length), tuple(found))

    def between(self, low: Any, high: Any) -> Expression:
        """The column is at least ``low`` and at most ``high``."""
        self._must_order()
        return Expression(("between", self.field), (self._value(low), self._value(high)))

    def is_null(self) -> Expression:
        """The column is empty. ``== None`` says the same."""
        return Expression(("null", self.field), ())

    def is_not_null(self) -> Expression:
        """The column has a value. ``!= None`` says the same."""
        return Expression(("not null", self.field), ())

    def like(self, pattern: str) -> Expression:
        """The column matches ``pattern``: ``%`` stands for any text, ``_`` for one character; case counts."""
        return Expression(("like", self.field), (self._pattern(pattern),))

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
        return Order(self._must_order(), False)

    def desc(self) -> Order:
        """Sort by the column, largest first."""
        return Order(self._must_order(), True)

    def _compare(self, operator: str, other: Any) -> Expression:
        field = self.field
        if other is None:
            if operator == "==":
                return Expression(("null", field), ())
            if operator == "!=":
                return Expression(("not null", field), ())
            raise InvalidPayload(f"{field}: nothing is less or greater than None")
        if not field.comparable:
            self._must_compare()
        if operator not in ("==", "!="):
            self._must_order()
        if isinstance(other, Attribute):
            other._must_compare()
            return Expression(("columns", operator, field, other.field), ())
        return Expression((operator, field), (self._value(other),))

    def _find(self, before: str, text: str, after: str) -> Expression:
        text = self._pattern(text)
        for special in (ESCAPE, "%", "_"):
            text = text.replace(special, ESCAPE + special)
        return Expression(("like", self.field, ESCAPE), (before + text + after,))

    def _pattern(self, text: Any) -> str:
        self._must_compare()
        if not self.field.textual:
            raise TypeError(f"{self.field} is no text; only texts are matched by pattern")
        pattern: str = self._value(text)
        if len(pattern) > MAX_PATTERN:
            raise InvalidPayload(f"{self.field}: a pattern has at most {MAX_PATTERN} characters")
        return pattern

    def _value(self, value: Any) -> Any:
        try:
            return self.field.convert(value)
        except ValueError as error:
            raise InvalidPayload(f"{self.field} is compared with a value that {error}") from None

    def _must_compare(self) -> None:
        if not self.field.comparable:
            raise TypeError(
                f"{self.field} cannot be compared: a stored password equals nothing (use Authenticate), "
                "and a document has no order"
            )

    def _must_order(self) -> Field:
        if not self.field.ordered:
            raise TypeError(f"{self.field} has no order; only == and != are for it")
        return self.field
