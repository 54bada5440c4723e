"""What a view takes out of a payload: types as they are, and all that is wrong in one error."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import InvalidPayload
from fluxon.routing.payload import fields_of


class FieldsTests(SynchronousTestCase):
    """Pure: a payload, and what is wanted of it."""

    def refused(self, payload: Any, **types: Any) -> InvalidPayload:
        error = self.assertRaises(InvalidPayload, fields_of, payload, types)
        assert isinstance(error, InvalidPayload)
        return error

    def test_values_in_the_order_of_the_names(self) -> None:
        """Whatever the order of the payload; what nobody asked for is left alone."""
        payload = {"age": 3, "name": "Emma", "more": [1]}
        self.assertEqual(fields_of(payload, {"name": str, "age": int}), ["Emma", 3])

    def test_what_may_be_left_out(self) -> None:
        """``| None``: missing and None are the same."""
        for payload in ({}, {"note": None}):
            self.assertEqual(fields_of(payload, {"note": str | None}), [None])
        self.assertEqual(fields_of({"note": "x"}, {"note": str | None}), ["x"])

    def test_nothing_is_converted(self) -> None:
        """A bool is no number, a moment no day, a text no number; an integer does for a number."""
        self.assertEqual(fields_of({"a": 1, "b": 0.5}, {"a": float, "b": float}), [1, 0.5])
        self.assertEqual(fields_of({"day": date(2026, 1, 31)}, {"day": date}), [date(2026, 1, 31)])
        for value, kind in ((True, int), (1, bool), ("1", int), (datetime.now(UTC), date), (None, str), (1.0, int)):
            self.assertEqual(set(self.refused({"a": value}, a=kind).details["fields"]), {"a"}, value)

    def test_everything_wrong_is_told(self) -> None:
        """In words, by name, and without the values."""
        error = self.refused({"age": "secret", "tags": "secret"}, name=str, age=int | float, tags=list)
        told = {"name": "is missing", "age": "must be an integer or a number", "tags": "must be a list"}
        self.assertEqual(error.details, {"fields": told})
        self.assertEqual(error.text, "name is missing; age must be an integer or a number; tags must be a list")

    def test_no_dict(self) -> None:
        """A list, a text or a number."""
        for payload in ([], "name", 1, False):
            self.assertEqual(self.refused(payload, name=str, age=int).text, "the payload is a dict with name, age")

    def test_no_payload(self) -> None:
        """Is an empty one: right where everything may be left out, and else told by name what is missing."""
        self.assertEqual(fields_of(None, {"page": int | None, "search": str | None}), [None, None])
        self.assertEqual(self.refused(None, name=str, age=int | None).details["fields"], {"name": "is missing"})

    def test_types_of_other_kinds(self) -> None:
        """A mistake of the view, told whatever the client sent."""
        for kind in (set, object, "str", list[str], str | set):
            self.assertIn("a type that crosses", str(self.assertRaises(TypeError, fields_of, {}, {"a": kind})))
