"""Column types that mean the same on every database.

Rules kept here:

- A Decimal is exact everywhere. SQLite has no exact type, so there it is a whole number of the last decimal place; the
  declared type in the schema says how many places, so that a schema update can see a change of them.
- A moment is stored in UTC and comes back aware.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

#: What a whole number of 64 bits can hold in every case.
MAX_DECIMAL_DIGITS = 18


class ScaledInteger(UserDefinedType[int]):
    """SQLite's column for a Decimal. "INT" in its name gives it the affinity of integers."""

    cache_ok = True

    def __init__(self, digits: int, places: int) -> None:
        self.digits, self.places = digits, places

    def get_col_spec(self, **_: Any) -> str:
        return f"SCALED_INT({self.digits}, {self.places})"

    def literal_processor(self, dialect: Dialect) -> Any:
        return str


class ExactDecimal(TypeDecorator[Decimal]):
    """``NUMERIC(digits, places)``, exact on SQLite too."""

    impl = sqlalchemy.Numeric
    cache_ok = True

    def __init__(self, digits: int, places: int) -> None:
        super().__init__(digits, places)
        self.digits, self.places = digits, places

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(ScaledInteger(self.digits, self.places))
        return dialect.type_descriptor(sqlalchemy.Numeric(self.digits, self.places))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return int(value.scaleb(self.places))

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        if dialect.name != "sqlite":
            return None  # the drivers answer a Decimal
        places = self.places

        def unscale(value: int | None) -> Decimal | None:
            return None if value is None else Decimal(value).scaleb(-places)

        return unscale


class Document(sqlalchemy.JSON):
    """JSON. SQLite reads the type's name "JSON" as one for numbers, and would make 0 of the document ``0.0``."""

    inherit_cache = True


@compiles(Document, "sqlite")
def _document_sqlite(element: Document, compiler: Any, **_: Any) -> str:
    return "JSON_TEXT"


class UTCDateTime(TypeDecorator[datetime]):
    """A moment in UTC, to the microsecond."""

    impl = sqlalchemy.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            from sqlalchemy.dialects.mysql import DATETIME

            return dialect.type_descriptor(DATETIME(fsp=6))
        return dialect.type_descriptor(sqlalchemy.DateTime(timezone=dialect.name == "postgresql"))

    def bind_processor(self, dialect: Dialect) -> Any:
        if dialect.name == "sqlite":
            return _to_sqlite  # in one step: a quarter of the time of the decorator's way
        return super().bind_processor(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        if dialect.name == "sqlite":
            return _from_sqlite  # text to moment in one step: half the time of the decorator's way
        return super().result_processor(dialect, coltype)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _to_sqlite(value: datetime | None) -> str | None:
    """As SQLAlchemy stores moments in SQLite."""
    return None if value is None else value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _from_sqlite(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")


class current_moment(ColumnElement[Any]):
    """The DEFAULT of a column that the clock fills, in the format in which the column's values are stored."""

    inherit_cache = True

    def __init__(self, type_: TypeEngine[Any]) -> None:
        self.type = type_


@compiles(current_moment)
def _current_moment(element: current_moment, compiler: Any, **_: Any) -> str:
    # Connections to servers are set to UTC.
    if isinstance(element.type, sqlalchemy.Date):
        return "(CURRENT_DATE)"
    if isinstance(element.type, sqlalchemy.Time):
        return "(LOCALTIME(6))" if compiler.dialect.name == "postgresql" else "(CURRENT_TIME(6))"
    return "(CURRENT_TIMESTAMP(6))"


@compiles(current_moment, "sqlite")
def _current_moment_sqlite(element: current_moment, compiler: Any, **_: Any) -> str:
    # %f is seconds and milliseconds; SQLAlchemy stores microseconds.
    if isinstance(element.type, sqlalchemy.Date):
        return "(strftime('%Y-%m-%d', 'now'))"
    if isinstance(element.type, sqlalchemy.Time):
        return "(strftime('%H:%M:%f000', 'now'))"
    return "(strftime('%Y-%m-%d %H:%M:%f000', 'now'))"


class column_condition(ColumnElement[bool]):
    """A CHECK on one column: ``text`` with the column's name in place of ``{}``, quoted as the dialect does."""

    inherit_cache = False

    def __init__(self, text: str, name: str) -> None:
        self.text, self.name = text, name
        self.type = sqlalchemy.Boolean()


@compiles(column_condition)
def _column_condition(element: column_condition, compiler: Any, **_: Any) -> str:
    return element.text.format(compiler.preparer.quote_identifier(element.name))
