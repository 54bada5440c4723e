"""Editing a line, key by key, on a screen that is one row."""

from __future__ import annotations

import random
import re

from twisted.trial.unittest import SynchronousTestCase

from fluxon.console.editor import HISTORY, MAX_LINE, Keys, LineEditor
from fluxon.console.rendering import columns_of


class Screen:
    """What a terminal shows in the cursor's row, and where the cursor is."""

    def __init__(self, width: int = 80) -> None:
        self.width = width
        self.row = ""
        self.column = 0
        self.bells = 0
        self.written = ""

    def write(self, text: str) -> None:
        self.written += text
        for each in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|.", text, re.DOTALL):
            if each == "\r":
                self.column = 0
            elif each == "\n":
                self.row = ""
            elif each == "\a":
                self.bells += 1
            elif each == "\x1b[K":
                self.row = self.row[: self.column]
            elif each.startswith("\x1b") and each.endswith("C"):
                self.column += int(each[2:-1])
            elif not each.startswith("\x1b"):
                self.row = self.row[: self.column].ljust(self.column) + each + self.row[self.column + 1 :]
                self.column += 1


class EditingTests(SynchronousTestCase):
    """Keys."""

    def setUp(self) -> None:
        self.screen = Screen()
        self.keys = Keys()
        self.words = ["status", "sessions", "session"]
        self.lines: list[str] = []
        self.editor = LineEditor(self.screen.write, lambda: self.screen.width, self.complete)
        self.editor.draw()

    def complete(self, line: str) -> tuple[str, list[str]]:
        begun = line.rpartition(" ")[2]
        return begun, [each for each in self.words if each.startswith(begun)]

    def type(self, data: bytes | str) -> list[str]:
        done = []
        for key in self.keys.read(data if isinstance(data, bytes) else data.encode()):
            outcome = self.editor.key(key)
            if outcome == "enter":
                self.lines.append(self.editor.take())
            if outcome:
                done.append(outcome)
        self.editor.draw()
        return done

    def shows(self, text: str, cursor: int | None = None) -> None:
        self.assertEqual(self.screen.row.rstrip(), f"> {text}".rstrip())
        self.assertEqual(self.screen.column, 2 + (len(text) if cursor is None else cursor))

    def test_typing(self) -> None:
        """What is typed is shown, and given on with Enter, whichever bytes that is."""
        for end in ("\r", "\n", "\r\n"):
            self.type("status" + end)
        self.assertEqual(self.lines, ["status"] * 3)

    def test_moving_and_removing(self) -> None:
        """In the middle, at the ends, word by word; and back what was cut."""
        self.type("one two three\x01X\x1b[C\x1b[CY\x05Z")
        self.shows("XonYe two threeZ")
        self.type("\x17")
        self.shows("XonYe two ")
        self.type("\x17\x7f\x08")
        self.shows("XonY")
        self.type("\x15")
        self.shows("")
        self.type("\x19\x19")
        self.shows("XonYXonY")
        self.type("\x01\x1b[3~\x0b\x19!")
        self.shows("onYXonY!")
        self.type("\x15a b c\x1b[1;5D\x1b[1;5D\x0b")
        self.shows("a ")
        self.type("\x02\x02\x02\x02-\x06\x06\x06+")
        self.shows("-a +")

    def test_characters_of_any_size(self) -> None:
        """Cut anywhere, and shown by their width."""
        for byte in "Zoë 日本".encode():
            self.type(bytes([byte]))
        self.assertEqual(self.editor.text, "Zoë 日本")
        self.type("\x7f")
        self.assertEqual(self.editor.text, "Zoë 日")
        self.type(b"\xff\xc3")
        self.type(b"x")
        self.assertEqual(self.editor.text, "Zoë 日\ufffd\ufffdx")

    def test_a_line_longer_than_the_screen(self) -> None:
        """One row shows the part around the cursor, and no cursor leaves it."""
        self.screen.width = 20
        for count in range(60):
            self.type(chr(ord("a") + count % 26))
            self.assertLess(columns_of(self.screen.row), 20)
            self.assertLess(self.screen.column, 20)
        self.type("\x01")
        self.assertTrue(self.screen.row.startswith("> abcdef"))
        self.assertEqual(self.screen.column, 2)

    def test_history(self) -> None:
        """Up and down, keeping what was being written; the same line twice is kept once."""
        self.type("one\rtwo\rtwo\rbegun")
        self.type("\x1b[A")
        self.shows("two")
        self.type("\x10")
        self.shows("one")
        self.type("\x1b[A")
        self.shows("one")
        self.type("\x0e\x1b[B")
        self.shows("begun")
        self.type("\x1b[A\x03\x1b[A")
        self.shows("two")

    def test_history_is_bounded(self) -> None:
        """The oldest lines go."""
        for number in range(HISTORY + 10):
            self.type(f"{number}\r")
        for _ in range(HISTORY + 10):
            self.type("\x1b[A")
        self.shows("10")

    def test_completion(self) -> None:
        """One word is completed, several as far as they agree; then they are listed, and none rings."""
        self.type("st\t")
        self.shows("status ")
        self.type("\x15s\t")
        self.assertIn("status  sessions  session", self.screen.written)
        self.type("\x15ses\t")
        self.shows("session")
        self.type("\x15no\t")
        self.assertEqual(self.screen.bells, 1)
        self.type("\x15x sta y\x02\x02\t")
        self.shows("x status  y", 9)

    def test_ends(self) -> None:
        """Ctrl+D ends an empty line's input, and removes a character of another; Ctrl+C empties it."""
        self.assertEqual(self.type("\x04"), ["end of input"])
        self.assertEqual(self.type("ab\x02\x04"), [])
        self.assertEqual(self.type("\x03"), ["interrupt"])
        self.assertEqual(self.editor.text, "")

    def test_a_line_without_end(self) -> None:
        """Stops growing, with a bell."""
        self.type("x" * (MAX_LINE + 10))
        self.assertEqual((len(self.editor.text), self.screen.bells), (MAX_LINE, 10))

    def test_noise(self) -> None:
        """Whatever bytes come, in whatever pieces: nothing fails, nothing unprintable is in the line."""
        chance = random.Random(7)
        for _ in range(300):
            self.type(chance.randbytes(chance.randrange(1, 40)))
            self.assertTrue(self.editor.text.isprintable(), ascii(self.editor.text))
            if chance.random() < 0.1:
                self.type("\x1b[" + "9;" * 100)
                self.type("\x15")
