"""Conditions: what comparing a model's attribute makes, and ``&``, ``|`` and ``~`` of them.

Rules kept here:

- A condition is its shape (a tuple that says everything but the values) and its values in the shape's order. The
  shape is hashed once per call to find the text that Core wrote for it, so making one is cheap.
- A condition is never true or false: ``and``, ``or``, ``not`` and chained comparisons would drop half of it without
  a word, so they raise ``TypeError``.
- Grouping is in the shape's nesting; nothing is ever put together as text.
"""

from __future__ import annotations

from typing import Any, NoReturn

from fluxon.errors import InvalidPayload

#: Comparisons in one condition. SQLite refuses trees deeper than 1,000.
MAX_COMPARISONS = 500

#: How deep ``&``, ``|`` and ``~`` may be nested in one another: writing the text recurses.
MAX_NESTING = 50

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
