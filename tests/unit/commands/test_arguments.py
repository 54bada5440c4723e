"""Argument types: each takes what it declares, refuses all else with ``InvalidPayload``, and names the argument."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.commands import Anything, Boolean, Field, Integer, ListOf, Moment, Number, Optional, Structure, Text
from fluxon.errors import InvalidPayload
from fluxon.limits import MAX_INT, MIN_INT

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)

SOME_OF_EACH: list[Field] = [
    Anything(),
    Text(max_bytes=8),
    Text(max_bytes=40, min_bytes=2),
    Integer(),
    Integer(-1, 3),
    Number(0, 10),
    Boolean(),
    ListOf(Integer(0, 5), max_items=2),
    Optional(Boolean()),
    Structure({"a": Integer(), "b": Optional(Text(max_bytes=3))}),
    Structure({}),
]


class FieldTests(SynchronousTestCase):
    """Each type at its bounds."""

    def takes(self, field: Field, *values: Any) -> None:
        for value in values:
            field.check(value, "age")

    def refuses(self, field: Field, *values: Any) -> None:
        for value in values:
            with self.subTest(value=value):
                error = self.assertRaises(InvalidPayload, field.check, value, "age")
                self.assertIn("age", error.text)

    @settings(max_examples=600, deadline=None)
    @given(st.sampled_from(SOME_OF_EACH), anything)
    def test_nothing_else_is_raised(self, field: Field, value: Any) -> None:
        """Whatever arrives, a check passes or raises ``InvalidPayload``, and the value stays what it was."""
        before = repr(value)
        try:
            field.check(value, "argument")
        except InvalidPayload as error:
            self.assertIn("'", error.text)
        self.assertEqual(repr(value), before)

    def test_text(self) -> None:
        """Bounds are in bytes of UTF-8, also where characters take one to four of them."""
        field = Text(max_bytes=8, min_bytes=2)
        self.takes(field, "ab", "abcdefgh", "éééé", "€€", "😀😀", "é")
        self.refuses(field, "a", "", "abcdefghi", "éééée", "€€€", "😀😀a", b"ab", None, 12, ["ab"])
        self.takes(Text(max_bytes=3), "")

    @settings(max_examples=300, deadline=None)
    @given(st.text(max_size=12), st.integers(0, 20), st.integers(0, 20))
    def test_text_measures_as_encoded(self, value: str, low: int, high: int) -> None:
        """The shortcut for short texts never differs from encoding them."""
        fits = low <= len(value.encode()) <= high
        try:
            Text(max_bytes=high, min_bytes=low).check(value, "x")
        except InvalidPayload:
            self.assertFalse(fits)
        else:
            self.assertTrue(fits)

    def test_integer(self) -> None:
        """True is no integer, nor is 1.0; the default bounds are the wire's."""
        self.takes(Integer(-1, 3), -1, 0, 3)
        self.refuses(Integer(-1, 3), -2, 4, True, False, 1.0, "1", None, float("nan"))
        self.takes(Integer(), MIN_INT, MAX_INT)
        self.refuses(Integer(), MIN_INT - 1, MAX_INT + 1)

    def test_number(self) -> None:
        """NaN is within no bounds, infinity not within these."""
        self.takes(Number(0, 10), 0, 10, 0.5, 10.0)
        self.refuses(Number(0, 10), -0.1, 10.1, float("nan"), float("inf"), True, "1", None)

    def test_boolean(self) -> None:
        """Only the two."""
        self.takes(Boolean(), True, False)
        self.refuses(Boolean(), 0, 1, None, "true")

    def test_moment(self) -> None:
        """A date and time that says where: none without an offset, no date alone, no text."""
        self.takes(Moment(), datetime(2025, 1, 2, tzinfo=UTC))
        self.refuses(Moment(), datetime(2025, 1, 2), date(2025, 1, 2), "2025-01-02T00:00:00Z", 1.0, None)

    def test_list(self) -> None:
        """Its length and each of its items are bounded."""
        field = ListOf(Integer(0, 5), max_items=2)
        self.takes(field, [], [0], [0, 5])
        self.refuses(field, [6], [0, 1, 2], ["0"], [[0]], (0,), {}, None, "01")

    def test_optional(self) -> None:
        """Null instead of the value; what is there is still checked."""
        field = Optional(Integer(0, 5))
        self.assertTrue(field.optional)
        self.assertFalse(Integer().optional)
        self.takes(field, None, 0)
        self.refuses(field, 6, "0", False)

    def test_structure(self) -> None:
        """Exactly these names: what is missing or unknown is named."""
        field = Structure({"a": Integer(), "b": Optional(Text(max_bytes=3))})
        self.takes(field, {"a": 1}, {"a": 1, "b": None}, {"b": "x", "a": 1})
        self.refuses(field, {}, {"b": "x"}, {"a": 1, "c": 1}, [], None, "a")
        self.assertIn("'a'", self.assertRaises(InvalidPayload, field.check, {"b": "x"}, "user").text)
        self.assertIn("'c'", self.assertRaises(InvalidPayload, field.check, {"a": 1, "c": 1}, "user").text)
        self.assertIn("'b'", self.assertRaises(InvalidPayload, field.check, {"a": 1, "b": 5}, "user").text)

    def test_an_unknown_name_is_cut(self) -> None:
        """A stranger's name of a megabyte does not come back in the error."""
        error = self.assertRaises(InvalidPayload, Structure({}).check, {"x" * 1_000_000: 1}, "user")
        self.assertLess(len(error.text), 200)

    def test_descriptions(self) -> None:
        """Every type says what it is, with its bounds: the protocol's documentation is made of this."""
        self.assertEqual(len({each.describe() for each in SOME_OF_EACH}), len(SOME_OF_EACH))
        self.assertEqual(Text(max_bytes=8).describe(), "text, 0 to 8 bytes")
        self.assertEqual(Optional(Boolean()).describe(), "true or false, or null")
        self.assertEqual(ListOf(Boolean(), max_items=2).describe(), "list of at most 2: true or false")
        self.assertEqual(Structure({"a": Integer(0, 1)}).describe(), "map: a: integer, 0 to 1")
        self.assertRaises(NotImplementedError, Field().describe)
        self.assertRaises(NotImplementedError, Field().check, 1, "x")
