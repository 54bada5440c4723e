"""Dates and times.

Rules kept here:

- A moment (``DateTimeField``) is aware: given in any zone, stored and answered in UTC. A naive one is refused, since
  nobody can tell when it was.
- A time of day has no zone.
- ``auto_now_add`` is read at each insert, ``auto_now`` at each insert and update; "today" is UTC's.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

import attrs
import sqlalchemy
from sqlalchemy.types import TypeEngine

from fluxon.database.fields.base import MISSING, Column, Field, T
from fluxon.database.types import UTCDateTime, current_moment


@attrs.define(eq=False, slots=False, kw_only=True)
class _ClockField(Column[T]):
    """A field that can be filled from the clock."""

    auto_now: bool = False
    auto_now_add: bool = False

    def check_options(self) -> None:
        if not isinstance(self.auto_now, bool) or not isinstance(self.auto_now_add, bool):
            raise self.misdeclared("auto_now and auto_now_add are True or False")
        if (self.auto_now or self.auto_now_add) and self.default is not MISSING:
            raise self.misdeclared("auto_now and auto_now_add leave no place for a default")

    def now(self) -> Any:
        """The clock's value of this kind."""
        raise NotImplementedError

    def initial(self) -> Any:
        return self.now() if self.auto_now or self.auto_now_add else Field.initial(self)

    def refreshed(self) -> Any:
        return self.now() if self.auto_now else MISSING

    def server_default(self) -> Any:
        if self.auto_now or self.auto_now_add:
            return current_moment(self.column_type())
        return Field.server_default(self)


@attrs.define(eq=False, slots=False, kw_only=True)
class DateTimeField(_ClockField[datetime]):
    """A moment, to the microsecond."""

    def column_type(self) -> TypeEngine[Any]:
        return UTCDateTime()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def convert(self, value: Any) -> datetime:
        if not isinstance(value, datetime):
            raise ValueError("must be a datetime")
        if value.utcoffset() is None:
            raise ValueError("must say its time zone, as datetime.now(UTC) does")
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise ValueError("is outside the years 1 to 9999 in UTC") from None


@attrs.define(eq=False, slots=False, kw_only=True)
class DateField(_ClockField[date]):
    """A day."""

    def column_type(self) -> TypeEngine[Any]:
        return sqlalchemy.Date()

    def now(self) -> date:
        return datetime.now(UTC).date()

    def convert(self, value: Any) -> date:
        if isinstance(value, datetime) or not isinstance(value, date):
            raise ValueError("must be a date")
        return value


@attrs.define(eq=False, slots=False, kw_only=True)
class TimeField(_ClockField[time]):
    """A time of day, to the microsecond, in no zone."""

    def column_type(self) -> TypeEngine[Any]:
        return sqlalchemy.Time()

    def now(self) -> time:
        return datetime.now(UTC).time()

    def convert(self, value: Any) -> time:
        if not isinstance(value, time):
            raise ValueError("must be a time of day")
        if value.tzinfo is not None:
            raise ValueError("must have no time zone")
        return value
