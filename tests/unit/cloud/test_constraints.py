"""When an assignment counts, and what is refused as a limit of one."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

from twisted.trial.unittest import TestCase

from fluxon.cloud.constraints import ALWAYS, Constraint, constraint
from fluxon.errors import InvalidPayload

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.combine(NOON.date(), time.fromisoformat(text), UTC)


class TestIsActive(TestCase):
    def test_expiry(self) -> None:
        """An assignment counts before its last moment and no longer at it."""
        self.assertTrue(Constraint(NOON + timedelta(microseconds=1)).is_active(NOON))
        self.assertFalse(Constraint(NOON).is_active(NOON))
        self.assertFalse(Constraint(NOON, time(0), time(23)).is_active(NOON))

    def test_windows(self) -> None:
        """The first second counts and the last does not; a window may go over midnight, or have one end only."""
        day, night = Constraint(None, time(8), time(17, 30)), Constraint(None, time(22), time(6))
        for window, inside, outside in (
            (day, "08:00 12:00 17:29:59.999999", "07:59:59.999999 17:30 00:00"),
            (night, "22:00 23:59:59 00:00 05:59:59", "06:00 21:59:59"),
            (Constraint(None, time(8)), "08:00 23:59:59", "00:00 07:59:59"),
            (Constraint(None, None, time(8)), "00:00 07:59:59", "08:00 23:59:59"),
            (ALWAYS, "00:00 12:00", ""),
        ):
            for text in inside.split():
                self.assertTrue(window.is_active(at(text)), (window, text))
            for text in outside.split():
                self.assertFalse(window.is_active(at(text)), (window, text))

    def test_moments_elsewhere(self) -> None:
        """Times of day are UTC, whatever the offset of the moment that is asked about."""
        there = datetime(2026, 3, 1, 9, tzinfo=timezone(timedelta(hours=3)))
        self.assertFalse(Constraint(None, time(8)).is_active(there))


class TestConstraint(TestCase):
    def test_what_may_be_given(self) -> None:
        """Texts and times mean the same; moments become UTC; nothing at all is no limit."""
        self.assertEqual(constraint(), ALWAYS)
        self.assertTrue(constraint().is_none)
        made = constraint(NOON.astimezone(timezone(timedelta(hours=2))), "08:30", time(9, 0, 5, tzinfo=UTC))
        self.assertEqual(made, Constraint(NOON, time(8, 30), time(9, 0, 5)))
        self.assertFalse(made.is_none)
        assert made.expires_at is not None
        self.assertIs(made.expires_at.tzinfo, UTC)
        self.assertEqual(constraint(None, "23:59:59").valid_from, time(23, 59, 59))

    def test_what_is_refused(self) -> None:
        """Each mistake is named, with the argument that it is in."""
        east = timezone(timedelta(hours=1))
        cases: list[tuple[tuple[Any, ...], str]] = [
            (("tomorrow",), "expires_at is a date with a time"),
            ((datetime(2026, 1, 1),), "expires_at needs its offset"),
            ((datetime.min.replace(tzinfo=east),), "expires_at is too far"),
            ((None, "8:30"), "valid_from is a time of day"),
            ((None, "24:00"), "valid_from is a time of day"),
            ((None, "08:30\n"), "valid_from is a time of day"),
            ((None, None, 8), "valid_until is a time of day"),
            ((None, None, time(8, tzinfo=east)), "valid_until is a time of day in UTC, without"),
            ((None, None, time(8, 0, 0, 1)), "valid_until is in whole seconds"),
            ((None, "08:00", "08:00:00"), "never count"),
        ]
        for given, text in cases:
            error = self.assertRaises(InvalidPayload, constraint, *given)
            self.assertIn(text, str(error))
