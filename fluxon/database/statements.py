"""Which statements are prepared already: Core sees each of them once.

Rules kept here:

- One ``Statements`` per database: the text depends on its dialect.
- Both caches are bounded; what was unused longest goes first. A hostile client cannot choose shapes, only values,
  but a program may build endlessly many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.sql.elements import ClauseElement

from fluxon.database.expressions import Shape
from fluxon.database.prepared import Prepared, prepare
from fluxon.database.shapes import statement_of

#: A program has some hundred shapes of query; a text and its processors take about 2 KiB.
MAX_SHAPES = 1_000

#: Core statements that rooms of the engine keep in their modules: dozens.
MAX_CORE_STATEMENTS = 500


class Statements:
    """The prepared statements of one dialect. Shared by all threads."""

    def __init__(self, dialect: DefaultDialect, ddl_dialect: DefaultDialect | None = None) -> None:
        self.dialect = dialect
        #: Writes CREATE and DROP: they take no parameters, so nothing in them (a per cent sign) is escaped for them.
        self.ddl_dialect = dialect if ddl_dialect is None else ddl_dialect
        #: From a model's shape (see ``fluxon.database.shapes``) to its text.
        self.shape: Callable[[Shape], Prepared] = lru_cache(MAX_SHAPES)(self._write_shape)
        self._core = lru_cache(MAX_CORE_STATEMENTS)(self._write_core)

    def core(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> Prepared:
        """The text of a Core statement. Build a statement once and keep it: it is found again by identity."""
        prepared = self._core(statement, tuple(parameters))
        if prepared is None:
            return prepare(statement, self.dialect, parameters=parameters)
        return prepared

    def forget(self) -> None:
        """Drop every text, for when models are bound to other tables."""
        self.shape.cache_clear()  # type: ignore[attr-defined]
        self._core.cache_clear()

    def _write_core(self, statement: ClauseElement, keys: tuple[str, ...]) -> Prepared | None:
        dml = getattr(statement, "is_dml", False)
        if statement.compile(dialect=self.dialect, column_keys=keys if dml else None).post_compile_params:  # type: ignore[attr-defined]
            return None  # a list for IN decides the text: written each time
        return prepare(statement, self.dialect, keys if dml else None)

    def _write_shape(self, shape: Shape) -> Prepared:
        return prepare(statement_of(shape), self.dialect, positional=True)
