"""Paths of the cloud: what they are taken apart into, and what is refused with which reason."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.cloud import paths
from fluxon.errors import InvalidPayload


class Parse(SynchronousTestCase):
    """``parse``."""

    def test_components(self) -> None:
        """A slash at the beginning may be missing, and one may be at the end; a pure path is as good as its text."""
        for path in ("/a/b", "a/b", "/a/b/", "a/b/", PurePosixPath("/a/b"), PureWindowsPath("a\\b")):
            self.assertEqual(paths.parse(path), ("a", "b"))
        for path in ("/", PurePosixPath("/"), PurePosixPath()):
            self.assertEqual(paths.parse(path), ())

    def test_what_looks_the_same_is_the_same(self) -> None:
        """Names are composed (NFC), and compared without case."""
        self.assertEqual(paths.parse("/cafe\u0301"), ("caf\u00e9",))
        for one, other in (
            ("README", "readme"),
            ("stra\u00dfe", "STRASSE"),
            ("caf\u00e9", "CAFE\u0301"),
            ("\u03a3", "\u03c2"),
        ):
            self.assertEqual(paths.key(one), paths.key(other))

    def test_refused(self) -> None:
        """Each with its reason."""
        cases: list[tuple[Any, str]] = [
            ("", "empty"),
            ("//", "empty"),
            ("//a", "empty"),
            ("/a//b", "empty"),
            ("/a/../b", r"\.\."),
            ("..", r"\.\."),
            ("/./a", r"\.\."),
            ("/a\0b", "NUL"),
            ("/a\nb", "control"),
            ("/a\x7fb", "control"),
            ("/a\x85b", "control"),
            ("/a\\b", "backslash"),
            ("/a\ud800", "surrogate"),
            ("/evil\u202etxt.exe", "turn around"),
            ("/a\u2028b", "turn around"),
            ("/\ufeffa", "turn around"),
            ("/ ", "blanks"),
            ("/a/\u3000/b", "blanks"),
            ("/" + "a" * 256, "255 bytes"),
            ("/" + "\u00e9" * 128, "255 bytes"),
            ("/a" * 65, "64 components"),
            ("/" + "/".join(["b" * 200] * 21), "4096 bytes"),
            ("a" * 1_000_000, "4096 bytes"),
            ("/" + "/".join(["\u00e9" * 127] * 20), "4096 bytes"),
            (None, "not NoneType"),
            (b"/a", "not bytes"),
            (17, "not int"),
        ]
        for path, reason in cases:
            with self.subTest(path=str(path)[:30]):
                self.assertRegex(str(self.assertRaises(InvalidPayload, paths.parse, path)), reason)

    def test_names_that_are_none(self) -> None:
        """A name that is given by itself is a text, too."""
        for name in (None, b"a", 7):
            self.assertRaises(InvalidPayload, paths.component, name)

    def test_at_the_bounds(self) -> None:
        """The largest that there may be are taken."""
        for path in (
            "/" + "a" * 255,
            "/" + "\u00e9" * 127,
            "/a" * 64,
            "/" + "/".join(["b" * 203] * 20) + "/" + "c" * 15,
        ):
            self.assertEqual(paths.join(paths.parse(path)), path)
        self.assertEqual(paths.size(paths.parse("/" + "/".join(["b" * 203] * 20) + "/" + "c" * 15)), 4_096)

    @given(st.text(max_size=300))
    def test_any_text(self, text: str) -> None:
        """Taken or refused; what is taken means the same when it is read again, and its keys fit their columns."""
        try:
            parts = paths.parse(text)
        except InvalidPayload:
            return
        self.assertEqual(paths.parse(paths.join(parts)), parts)
        self.assertEqual(paths.size(parts), len(paths.join(parts).encode()))
        for part in parts:
            self.assertEqual(unicodedata.normalize("NFC", part), part)
            self.assertNotIn(part, ("", ".", ".."))
            self.assertLessEqual(len(paths.key(part)), paths.MAX_KEY)
            self.assertEqual(paths.key(paths.key(part)), paths.key(part))

    @given(
        st.lists(
            st.text("ab. \\~!-^_`\x1f\x7f\u00e9", max_size=5) | st.sampled_from(["a" * 255, "a" * 256]), min_size=1
        )
    )
    def test_component_by_component(self, names: list[str]) -> None:
        """A path is taken apart at once only where each of its names would be taken as it is."""
        try:
            expected: Any = tuple(paths.component(each) for each in names)
        except InvalidPayload as error:
            expected = error.text
        try:
            parsed: Any = paths.parse("/" + "/".join(names))
        except InvalidPayload as error:
            parsed = error.text
        if not (names[-1] == "" or sum(map(len, names)) > 3_000 or len(names) > 60):
            self.assertEqual(parsed, expected)

    def test_keys_of_every_character(self) -> None:
        """No character's key grows so that a name of the longest kind has a key that no column holds."""
        longest = 0.0
        for number in range(0x110000):
            if not 0xD800 <= number < 0xE000:
                character = chr(number)
                longest = max(longest, len(paths.key(character)) / len(character.encode()))
        self.assertLessEqual(longest * paths.MAX_COMPONENT, paths.MAX_KEY)
