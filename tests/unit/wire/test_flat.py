"""Small flat values are written as the codec would write them, or left to it."""

from __future__ import annotations

from typing import Any

from cbor2 import dumps
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import Unserialisable
from fluxon.wire import encode
from fluxon.wire.flat import flat

_lengths = st.sampled_from((0, 1, 23, 24, 255, 256, 300)).map(lambda size: "x" * size)
_texts = st.text() | _lengths | st.sampled_from(("ü" * 127, "ü" * 128))
_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 300) | st.floats() | _texts
_values = _scalars | st.dictionaries(_texts | st.integers(), _scalars | st.lists(st.none(), max_size=1), max_size=3)


class Text(str):
    """No ``str``, though it looks like one."""


class FlatTests(SynchronousTestCase):
    @settings(max_examples=500, deadline=None)
    @given(_values)
    def test_any(self, value: Any) -> None:
        """Byte for byte the codec's, or None."""
        self.assertIn(flat(value), (None, dumps(value)))

    def test_what_is_flat(self) -> None:
        """Where the bounds are, and that what most views answer is within them."""
        for value in (None, True, False, 0, 255, "", "x" * 255, {}, {"text": "hello"}, {"a": 1, "b": "x" * 255}):
            self.assertEqual(flat(value), dumps(value))
        for value in (
            -1,
            256,
            1.5,
            b"",
            [],
            {1: 2},
            {"a": []},
            {"a": 256},
            {"a": "x" * 256},
            {"x" * 256: "a"},
            {"x" * 256: 1},
            {"a": Text("b")},
            Text("a"),
            "x" * 256,
            dict.fromkeys("abc"),
        ):
            self.assertIsNone(flat(value), repr(value))

    def test_no_text(self) -> None:
        """A lone surrogate is refused where it stands, as everywhere."""
        for value in ("\ud800", {"\ud800": 1}, {"a": "\ud800"}):
            self.assertRaises(Unserialisable, encode, value)
