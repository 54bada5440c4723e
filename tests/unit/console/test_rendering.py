"""Data as text and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from fluxon.console.output import Lines, Record, Table, Value
from fluxon.console.rendering import columns_of, safe, to_json, to_text

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678, UTC)


class TextTests(SynchronousTestCase):
    """For a person."""

    def test_a_table(self) -> None:
        """Columns under their names, numbers to the right."""
        table = Table(("name", "count"), [("emma", 1), ("ada", 1200)])
        self.assertEqual(to_text(table), ["name  count", "emma      1", "ada   1,200"])

    def test_nothing(self) -> None:
        """A table without rows says so; no output is no line."""
        self.assertEqual(to_text(Table(("name",), [], empty="nobody")), ["nobody"])
        self.assertEqual(to_text(None), [])

    def test_every_width(self) -> None:
        """No line is wider than the terminal, whatever its width; what is cut shows it."""
        rows = [("a" * 30, "b" * 50, 123_456, WHEN, None), ("kurz", "日本語" * 20, -1, WHEN, True)]
        table = Table(("first", "second", "third", "fourth", "fifth"), rows)
        whole = max(map(columns_of, to_text(table)))
        for width in range(20, whole + 2):
            lines = to_text(table, width)
            self.assertLessEqual(max(map(columns_of, lines)), width, lines)
        self.assertIn("…", "".join(to_text(table, 60)))
        self.assertEqual(to_text(table, whole), to_text(table))

    def test_the_widest_columns_give_way(self) -> None:
        """Short columns stay whole."""
        lines = to_text(Table(("id", "text"), [(1, "x" * 100)]), 40)
        self.assertEqual(lines[1], " 1  " + "x" * 35 + "…")

    def test_several_parts(self) -> None:
        """Under their titles, with a line between."""
        parts = [Record({"a": 1, "long name": "x"}, "first"), Lines(["text"], "second")]
        self.assertEqual(to_text(parts), ["first:", "a          1", "long name  x", "", "second:", "text"])

    def test_values(self) -> None:
        """As a person writes them."""
        values = {"none": None, "yes": True, "time": WHEN, "bytes": b"\x01\xff", "float": 0.123456, "list": [1, "b"]}
        shown = [line.split(maxsplit=1)[1] for line in to_text(Record(values))]
        self.assertEqual(shown, ["-", "yes", "2026-01-02 03:04:05", "01ff", "0.123", "1, b"])


class StrangersTests(SynchronousTestCase):
    """What others wrote commands no terminal."""

    def test_escapes(self) -> None:
        """Control characters, invisible ones and those that turn the direction are shown as what they are."""
        for text in (
            "\x1b]0;title\x07",
            "a\rb",
            "a\nb",
            "\x9b31m",
            "\u202eevil",
            "\u200bz",
            "\u2028",
            "\udc80",
            "\x7f",
        ):
            self.assertTrue(safe(text).isprintable(), ascii(safe(text)))
        self.assertEqual(safe("Zoë 日本 ok"), "Zoë 日本 ok")

    def test_in_every_part(self) -> None:
        """Names, columns, titles, lines and answers alike."""
        evil = "x\x1b[2J"
        parts = [Table((evil,), [(evil,)], evil), Record({evil: evil}), Lines([evil]), Value({evil: evil})]
        for line in to_text(parts) + to_text(parts, 20):
            self.assertNotIn("\x1b", line)
        self.assertTrue(to_json(parts).isprintable())


class JSONTests(SynchronousTestCase):
    """For a program."""

    def test_shapes(self) -> None:
        """An object for a record, a list of objects for a table, a list for lines, the value for a value."""
        self.assertEqual(json.loads(to_json(Table(("a", "b"), [(1, None)]))), [{"a": 1, "b": None}])
        self.assertEqual(json.loads(to_json(Record({"a": WHEN}))), {"a": "2026-01-02T03:04:05.000678+00:00"})
        self.assertEqual(json.loads(to_json(Lines(["x"]))), ["x"])
        self.assertEqual(json.loads(to_json(Value({"x": [1]}))), {"x": [1]})
        self.assertEqual(json.loads(to_json([Lines(["x"], "one"), Lines([])])), {"one": ["x"], "1": []})
        self.assertEqual(json.loads(to_json(None)), {})

    def test_values(self) -> None:
        """What JSON has no word for is text; nothing is cut and no number has a comma."""
        values = {"d": Decimal("1.50"), "u": UUID(int=1), "b": b"\xff", "s": {"b", "a"}, "n": 1_234_567, "t": "x" * 500}
        self.assertEqual(
            json.loads(to_json(Record(values))),
            {"d": "1.50", "u": str(UUID(int=1)), "b": "ff", "s": ["a", "b"], "n": 1_234_567, "t": "x" * 500},
        )
