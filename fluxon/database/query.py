"""``where[...]``: the condition of a query."""

from __future__ import annotations

from typing import Any, Final

from fluxon.database.expressions import Expression


class Where:
    """The type of ``where``."""

    __slots__ = ()

    def __getitem__(self, condition: Expression) -> Expression:
        """``where[(User.username == name) & (User.age > 17)]``; raises ``TypeError`` for what is no condition."""
        given: Any = condition
        if not isinstance(given, Expression):
            if isinstance(given, tuple):
                raise TypeError("where[...] takes one condition: join them with &, each in parentheses")
            raise TypeError(
                f"where[...] takes a condition on a model's columns, as User.id == 3, not {type(given).__name__}"
            )
        return condition

    def __repr__(self) -> str:
        return "where"


where: Final = Where()

__all__ = ["Expression", "Where", "where"]
