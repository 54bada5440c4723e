"""When an assignment of a role counts: until a date, and between two times of day.

Rules kept here:

- All times are UTC. A moment without an offset is refused, since nobody can tell which one is meant.
- An assignment counts from ``valid_from`` on and no longer at ``valid_until``; a window may go over midnight. One of
  the two alone leaves the other end of the day open.
- One that has expired, or is outside its window, is none: it grants nothing and replaces nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from typing import Any

import attrs

from fluxon.errors import InvalidPayload

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?", re.ASCII)


@attrs.frozen(slots=True)
class Constraint:
    """When an assignment counts; without any, always."""

    #: Aware. Not counted from this moment on.
    expires_at: datetime | None = None
    #: Times of day, UTC, whole seconds.
    valid_from: time | None = None
    valid_until: time | None = None

    def is_active(self, now: datetime) -> bool:
        """Whether it counts at ``now``, which is aware."""
        if self.expires_at is not None and now >= self.expires_at:
            return False
        begin, end = self.valid_from, self.valid_until
        if begin is None and end is None:
            return True
        at = now.astimezone(UTC).time()
        if begin is None or end is None:
            return (begin is None or at >= begin) and (end is None or at < end)
        if begin < end:
            return begin <= at < end
        return at >= begin or at < end

    @property
    def is_none(self) -> bool:
        """Whether it always counts."""
        return self == ALWAYS


ALWAYS = Constraint()


def constraint(expires_at: Any = None, valid_from: Any = None, valid_until: Any = None) -> Constraint:
    """A ``Constraint`` of what a program or a client gave.

    ``expires_at`` is an aware ``datetime``; the other two are ``datetime.time`` or texts like ``"08:30"`` and
    ``"08:30:15"``. Raises ``InvalidPayload`` that says what is wrong with which.
    """
    if expires_at is not None:
        if not isinstance(expires_at, datetime):
            raise InvalidPayload("expires_at is a date with a time (a datetime)")
        if expires_at.utcoffset() is None:
            raise InvalidPayload("expires_at needs its offset from UTC; datetime.now(UTC) has one")
        try:
            expires_at = expires_at.astimezone(UTC)
        except OverflowError:
            raise InvalidPayload("expires_at is too far from now") from None
    begin, end = _time_of_day(valid_from, "valid_from"), _time_of_day(valid_until, "valid_until")
    if begin is not None and begin == end:
        raise InvalidPayload("valid_from and valid_until are the same time of day, so the role would never count")
    return Constraint(expires_at, begin, end)


def _time_of_day(value: Any, name: str) -> time | None:
    if value is None:
        return None
    if isinstance(value, str) and _TIME.fullmatch(value):
        return time.fromisoformat(value)
    if isinstance(value, time):
        if value.tzinfo not in (None, UTC):
            raise InvalidPayload(f"{name} is a time of day in UTC, without an offset of its own")
        if value.microsecond:
            raise InvalidPayload(f"{name} is in whole seconds")
        return value.replace(tzinfo=None)
    raise InvalidPayload(f'{name} is a time of day in UTC, such as "08:30" or "08:30:15"')
