"""Numbers and truth.

Rules kept here:

- Integers are those of 64 bits, in every database; a bool is no number.
- NaN and the infinities are refused: they equal nothing, and not every database stores them.
- A Decimal is exact everywhere, and is not rounded: too many digits are refused.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, ClassVar

import attrs
import sqlalchemy
from sqlalchemy.types import TypeEngine

from fluxon.database.fields.base import Column
from fluxon.database.types import MAX_DECIMAL_DIGITS, ExactDecimal
from fluxon.limits import MAX_INT, MIN_INT


@attrs.define(eq=False, slots=False, kw_only=True)
class IntegerField(Column[int]):
    """An integer of 64 bits."""

    minimum: ClassVar[int] = MIN_INT

    def column_type(self) -> TypeEngine[Any]:
        # INTEGER is 64 bits in SQLite only.
        return sqlalchemy.Integer().with_variant(sqlalchemy.BigInteger(), "mysql", "mariadb", "postgresql")

    def convert(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be an integer")
        if not MIN_INT <= value <= MAX_INT:
            raise ValueError("does not fit in 64 bits")
        return int(value)

    def check_bounds(self, value: int) -> None:
        if value < self.minimum:
            raise ValueError(f"is less than {self.minimum}")


@attrs.define(eq=False, slots=False, kw_only=True)
class BigIntegerField(IntegerField):
    """An integer of 64 bits (the same; for those who look for it by this name)."""


@attrs.define(eq=False, slots=False, kw_only=True)
class PositiveIntegerField(IntegerField):
    """An integer of 63 bits that is not negative."""

    minimum: ClassVar[int] = 0

    def column_checks(self) -> list[str]:
        return ["{} >= 0"]


@attrs.define(eq=False, slots=False, kw_only=True)
class AutoField(IntegerField):
    """A primary key that the database numbers by itself; a number is never given twice."""

    primary_key: bool = True

    def check_options(self) -> None:
        if not self.primary_key or self.has_constant_default:
            raise self.misdeclared("an AutoField is the primary key, without default")


@attrs.define(eq=False, slots=False, kw_only=True)
class FloatField(Column[float]):
    """A finite number of 64 bits; an int is taken as one."""

    def column_type(self) -> TypeEngine[Any]:
        return sqlalchemy.Double()

    def convert(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("must be a number")
        try:
            number = float(value)
        except OverflowError:
            raise ValueError("is too large") from None
        if not math.isfinite(number):
            raise ValueError("must be a finite number")
        return number


@attrs.define(eq=False, slots=False, kw_only=True)
class DecimalField(Column[Decimal]):
    """An exact number of ``max_digits`` digits, ``decimal_places`` of them after the point: money."""

    max_digits: int
    decimal_places: int

    def check_options(self) -> None:
        digits, places = self.max_digits, self.decimal_places
        numbers = type(digits) is int and type(places) is int
        if not (numbers and 0 <= places <= digits <= MAX_DECIMAL_DIGITS and digits > 0):
            raise self.misdeclared(f"max_digits is 1 to {MAX_DECIMAL_DIGITS}, and decimal_places 0 to max_digits")

    def column_type(self) -> TypeEngine[Any]:
        return ExactDecimal(self.max_digits, self.decimal_places)

    def convert(self, value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValueError("must be a Decimal or an integer (a float is not exact)")
        if isinstance(value, int):
            if not MIN_INT <= value <= MAX_INT:
                raise ValueError(f"has more than {self.max_digits} digits")
            value = Decimal(value)
        if not value.is_finite():
            raise ValueError("must be a finite number")
        _, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)
        if value and (exponent > self.max_digits or len(digits) > 1_000):
            raise ValueError(f"has more than {self.max_digits} digits")
        if value and len(digits) + exponent > self.max_digits - self.decimal_places:
            raise ValueError(f"has more than {self.max_digits - self.decimal_places} digits before the point")
        exact = value.normalize() if value else Decimal(0)
        places = exact.as_tuple().exponent
        assert isinstance(places, int)
        if -places > self.decimal_places:
            raise ValueError(f"has more than {self.decimal_places} digits after the point")
        return exact


@attrs.define(eq=False, slots=False, kw_only=True)
class BooleanField(Column[bool]):
    """True or False."""

    ordered: ClassVar[bool] = False

    def column_type(self) -> TypeEngine[Any]:
        return sqlalchemy.Boolean()

    def convert(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError("must be True or False")
        return value
