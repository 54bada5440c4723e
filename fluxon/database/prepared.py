"""A statement that Core has written once: its text for the driver, and what its values pass through.

Rules kept here:

- Only SQLAlchemy Core writes SQL. What reaches the driver is Core's text and a sequence of values.
- Core's bind and result processors run on every value, so types mean the same as under Core itself.
- Nothing here touches a connection: a ``Prepared`` is shared by all threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter, ClauseElement
from sqlalchemy.types import Float, Numeric, TypeEngine

from fluxon.database.rows import Row, row_maker

_Processor = Callable[[Any], Any]


@attrs.frozen(eq=False)
class Prepared:
    """Text, and the way of values in and rows out."""

    text: str
    #: Names of the parameters in the order of the text's placeholders.
    names: tuple[str, ...]
    #: Values that the statement itself holds (literals in a Core expression).
    constants: dict[str, Any]
    processors: tuple[_Processor | None, ...]
    #: The driver's tuples to rows; None for a statement that answers none.
    rows: Callable[[Iterable[tuple[Any, ...]]], list[Row]] | None
    #: For values given by position: which of them each placeholder takes; None when they are in order already.
    order: tuple[int, ...] | None = None
    #: Values of the text's own that follow those given by position (SQLAlchemy's OFFSET 0).
    extra: tuple[Any, ...] = ()
    plain: bool = False
    _ways: tuple[tuple[str, _Processor | None], ...] = attrs.field(init=False)

    @_ways.default
    def _name_and_processor(self) -> tuple[tuple[str, _Processor | None], ...]:
        return tuple(zip(self.names, self.processors, strict=True))

    def by_position(self, values: tuple[Any, ...]) -> Sequence[Any]:
        """The driver's arguments from a shape's values."""
        given = values + self.extra if self.extra else values
        if self.plain:
            return given
        order = self.order
        if order is not None:
            given = tuple(given[index] for index in order)
        return [
            value if processor is None else processor(value)
            for value, processor in zip(given, self.processors, strict=True)
        ]

    def by_name(self, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """The driver's arguments from parameters by name; a missing one is a ``TypeError``."""
        constants = self.constants
        if not constants and len(parameters) == len(self.names):
            try:
                return [
                    parameters[name] if processor is None else processor(parameters[name])
                    for name, processor in self._ways
                ]
            except KeyError:
                pass  # the same again, to say what is missing
        arguments = []
        for name, processor in zip(self.names, self.processors, strict=True):
            if name in parameters:
                value = parameters[name]
            elif name in constants:
                value = constants[name]
            else:
                raise TypeError(f"the statement needs a value for {name!r}")
            arguments.append(value if processor is None else processor(value))
        return arguments


def position_name(index: int) -> str:
    """The name of a parameter that is given by position."""
    return f"v{index}"


def prepare(
    statement: ClauseElement,
    dialect: DefaultDialect,
    keys: Sequence[str] | None = None,
    *,
    positional: bool = False,
    parameters: Mapping[str, Any] | None = None,
) -> Prepared:
    """Have Core write ``statement``.

    ``keys`` are the columns of an INSERT or UPDATE that names none itself. With ``positional`` the parameters are
    called ``position_name(0)``, ``position_name(1)`` … and values will be given in that order. ``parameters`` are
    needed only where the text depends on them (a list for ``IN``).
    """
    compiled = statement.compile(dialect=dialect, column_keys=list(keys) if keys is not None else None)
    assert isinstance(compiled, SQLCompiler)
    constants = {name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required}
    processors = {name: _bind_processor(bind, dialect) for name, bind in compiled.binds.items()}
    text, names = compiled.string, tuple(compiled.positiontup or ())
    if compiled.post_compile_params:
        expanded = compiled.construct_expanded_state(dict(parameters or {}))
        text, names = expanded.statement, tuple(expanded.positiontup or ())
        constants |= expanded.parameters
        processors |= expanded.processors
    order, extra = _positions(names, constants) if positional else (None, ())
    return Prepared(
        text=text,
        names=names,
        constants=constants,
        processors=tuple(processors.get(name) for name in names),
        rows=_rows(statement, dialect),
        order=order,
        extra=extra,
        plain=positional and order is None and not any(map(processors.get, names)),
    )


def _positions(names: tuple[str, ...], constants: dict[str, Any]) -> tuple[tuple[int, ...] | None, tuple[Any, ...]]:
    """Which of the given values (followed by the extra ones) each placeholder takes, and the extra ones."""
    extra = [name for name in names if name in constants]
    given = len(names) - len(extra)
    wanted = {position_name(index): index for index in range(given)}
    wanted |= {name: given + index for index, name in enumerate(extra)}
    order = tuple(wanted[name] for name in names)
    return (None if order == tuple(range(len(order))) else order), tuple(constants[name] for name in extra)


def _bind_processor(bind: BindParameter[Any], dialect: DefaultDialect) -> _Processor | None:
    return bind.type.dialect_impl(dialect).bind_processor(dialect)


def _rows(statement: ClauseElement, dialect: DefaultDialect) -> Callable[[Iterable[tuple[Any, ...]]], list[Row]] | None:
    columns = list(getattr(statement, "exported_columns", ()))
    if not columns:
        return None
    processors = [
        column.type.dialect_impl(dialect).result_processor(dialect, _driver_type(column.type)) for column in columns
    ]
    return row_maker([column.key for column in columns], processors)


def _driver_type(type_: TypeEngine[Any]) -> int | None:
    """What psycopg would say of the column: its processors for numbers ask (OIDs of float8 and numeric)."""
    if isinstance(type_, Float):
        return 701
    return 1700 if isinstance(type_, Numeric) else None
