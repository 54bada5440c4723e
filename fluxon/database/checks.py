"""The checks of ``class Meta``, as constraints of the tables.

Rules kept here:

- Core writes them, with their values as literals of the columns' types: a schema file has no parameters.
- A check is about one row: it may name no other table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy

from fluxon.database.declaration import Declaration
from fluxon.database.expressions import Expression
from fluxon.database.shapes import row_condition
from fluxon.errors import ConfigurationError, InvalidPayload


def add_checks(models: Iterable[Any]) -> None:
    """Add the checks of ``models`` to their tables. Raises ``ConfigurationError``."""
    for model in models:
        declaration = model.declaration
        for name, make in declaration.options.checks.items():
            constraint = sqlalchemy.CheckConstraint(_condition(declaration, name, make), name=name)
            declaration.table.append_constraint(constraint)


def _condition(declaration: Declaration, name: str, make: Any) -> Any:
    where = f"{declaration.name}.Meta.checks[{name!r}]"
    try:
        condition = make(declaration.model)
        if not isinstance(condition, Expression):
            raise TypeError("it is a function of the model that returns a condition")
        return row_condition(declaration, condition)
    except (TypeError, AttributeError, InvalidPayload) as error:
        raise ConfigurationError(f"{where}: {error}") from error
