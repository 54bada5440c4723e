"""Editing one line: keys in, what a terminal is to show out.

Rules of this module:

- Pure: neither Twisted nor a terminal. ``write`` takes text with control sequences that every terminal since the VT100
  knows; ``width`` is asked whenever the line is drawn, so a changed window needs nothing else.
- The line takes one row of the screen. One that is longer is shown around the cursor; so wrapping, which no two
  terminals do alike, never happens.
- Bytes may be cut anywhere, in a character or in a sequence; what is no key does nothing.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable

from fluxon.console.rendering import columns_of

#: Longer than any command; whoever pastes more hears the bell.
MAX_LINE = 16 * 1024
#: Lines that the arrows bring back.
HISTORY = 500

#: More words than fit on a screen tell nobody what to type.
_CHOICES = 100

_BELL = "\a"
_CLEAR_LINE = "\r\x1b[K"
#: An escape sequence that goes on longer is none.
_MAX_SEQUENCE = 32

_SEQUENCES = {
    "[A": "up", "OA": "up", "[B": "down", "OB": "down", "[C": "right", "OC": "right", "[D": "left", "OD": "left",
    "[H": "home", "OH": "home", "[1~": "home", "[7~": "home", "[F": "end", "OF": "end", "[4~": "end", "[8~": "end",
    "[3~": "delete", "[1;5C": "word right", "[1;5D": "word left", "[1;3C": "word right", "[1;3D": "word left",
    "f": "word right", "b": "word left", "d": "delete word", "\x7f": "erase word",
}  # fmt: skip
_CONTROLS = {
    "\x01": "home", "\x02": "left", "\x03": "interrupt", "\x04": "end of input", "\x05": "end", "\x06": "right",
    "\x08": "erase", "\x09": "complete", "\x0a": "enter", "\x0b": "cut after", "\x0c": "clear screen", "\x0d": "enter",
    "\x0e": "down", "\x10": "up", "\x15": "cut before", "\x17": "erase word", "\x19": "paste", "\x7f": "erase",
}  # fmt: skip


class Keys:
    """Bytes to keys: names such as ``up``, or single printable characters."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._sequence: str | None = None
        self._after_return = False

    def read(self, data: bytes) -> list[str]:
        """The keys that are complete with ``data``."""
        return [key for each in self._decoder.decode(data) if (key := self._key(each))]

    def _key(self, each: str) -> str | None:
        if self._sequence is not None:
            return self._continue(each)
        # Some ends send both for one key.
        twice, self._after_return = self._after_return and each == "\n", each == "\r"
        if each == "\x1b":
            self._sequence = ""
            return None
        if each in _CONTROLS:
            return None if twice else _CONTROLS[each]
        return each if each.isprintable() else None

    def _continue(self, each: str) -> str | None:
        if each == "\x1b":
            self._sequence = ""
            return None
        assert self._sequence is not None
        sequence = self._sequence = self._sequence + each
        parameters = sequence[0] == "[" and (len(sequence) == 1 or not "@" <= each <= "~")
        if (parameters or sequence == "O") and len(sequence) < _MAX_SEQUENCE:
            return None
        self._sequence = None
        return _SEQUENCES.get(sequence)


class LineEditor:
    """A prompt and a line.

    ``key`` returns ``enter``, ``interrupt`` or ``end of input`` when it is one of these. What it changes is shown by
    ``draw``: once for all keys that came together, however many were pasted.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        width: Callable[[], int],
        complete: Callable[[str], tuple[str, list[str]]],
    ) -> None:
        self.prompt = "> "
        self.text = ""
        self._write = write
        self._width = width
        self._choices = complete
        self._cursor = 0
        self._cut = ""
        self._history: list[str] = []
        # The line of the history that is shown; its length is the line that is being written.
        self._shown = 0
        self._being_written = ""

    def draw(self) -> None:
        """Show the line, wherever the cursor's row is."""
        room = max(self._width() - 1, len(self.prompt) + 4) - columns_of(self.prompt)
        # From the cursor outwards: what is far away from it costs nothing.
        begin = end = self._cursor
        before = taken = 0
        while begin and (wider := before + columns_of(self.text[begin - 1])) < room:
            before, begin = wider, begin - 1
        taken = before
        while end < len(self.text) and (wider := taken + columns_of(self.text[end])) <= room:
            taken, end = wider, end + 1
        at = columns_of(self.prompt) + before
        self._write(f"\r{self.prompt}{self.text[begin:end]}\x1b[K\r" + (f"\x1b[{at}C" if at else ""))

    def hide(self) -> None:
        """Leave the row empty, for something else to be written."""
        self._write(_CLEAR_LINE)

    def take(self) -> str:
        """The line, which is done: the next one begins."""
        line, self.text, self._cursor = self.text, "", 0
        if line.strip() and self._history[-1:] != [line]:
            self._history.append(line)
            del self._history[:-HISTORY]
        self._shown = len(self._history)
        return line

    def key(self, key: str) -> str | None:
        """Act on one key."""
        if key == "enter":
            self.draw()
            self._write("\r\n")
            return key
        if key == "interrupt":
            self.draw()
            self._write("^C\r\n")
            self.text, self._cursor = "", 0
            self._shown = len(self._history)
            return key
        if key == "end of input" and not self.text:
            self._write("\r\n")
            return key
        if len(key) == 1:
            self._insert(key)
        else:
            getattr(self, f"_{key.replace(' ', '_')}")()
        return None

    def _set(self, text: str, cursor: int | None = None) -> None:
        self.text = text
        self._cursor = len(text) if cursor is None else cursor

    def _insert(self, text: str) -> None:
        if len(self.text) + len(text) > MAX_LINE:
            self._write(_BELL)
            return
        self._set(self.text[: self._cursor] + text + self.text[self._cursor :], self._cursor + len(text))

    def _left(self) -> None:
        self._cursor = max(self._cursor - 1, 0)

    def _right(self) -> None:
        self._cursor = min(self._cursor + 1, len(self.text))

    def _home(self) -> None:
        self._cursor = 0

    def _end(self) -> None:
        self._cursor = len(self.text)

    def _word_left(self) -> None:
        self._cursor = self._word_before()

    def _word_right(self) -> None:
        self._cursor = self._word_after()

    def _word_before(self) -> int:
        return len(self.text[: self._cursor].rstrip().rpartition(" ")[0] + " ") if self._begun_word() else 0

    def _begun_word(self) -> bool:
        return " " in self.text[: self._cursor].rstrip()

    def _word_after(self) -> int:
        after = self.text[self._cursor :]
        word = after.lstrip().partition(" ")[0]
        return self._cursor + len(after) - len(after.lstrip()) + len(word)

    def _remove(self, begin: int, end: int, *, keep: bool = True) -> None:
        if keep and end > begin:
            self._cut = self.text[begin:end]
        self._set(self.text[:begin] + self.text[end:], begin)

    def _erase(self) -> None:
        self._remove(max(self._cursor - 1, 0), self._cursor, keep=False)

    def _delete(self) -> None:
        self._remove(self._cursor, min(self._cursor + 1, len(self.text)), keep=False)

    # Ctrl+D on a line that is not empty.
    _end_of_input = _delete

    def _erase_word(self) -> None:
        self._remove(self._word_before(), self._cursor)

    def _delete_word(self) -> None:
        self._remove(self._cursor, self._word_after())

    def _cut_before(self) -> None:
        self._remove(0, self._cursor)

    def _cut_after(self) -> None:
        self._remove(self._cursor, len(self.text))

    def _paste(self) -> None:
        self._insert(self._cut)

    def _clear_screen(self) -> None:
        self._write("\x1b[H\x1b[2J")

    def _up(self) -> None:
        self._show(self._shown - 1)

    def _down(self) -> None:
        self._show(self._shown + 1)

    def _show(self, number: int) -> None:
        if not 0 <= number <= len(self._history):
            return
        if self._shown == len(self._history):
            self._being_written = self.text
        self._shown = number
        self._set(self._being_written if number == len(self._history) else self._history[number])

    def _complete(self) -> None:
        before, after = self.text[: self._cursor], self.text[self._cursor :]
        begun, choices = self._choices(before)
        if not choices:
            self._write(_BELL)
            return
        common = _common(choices)
        if len(choices) == 1 or len(common) > len(begun):
            added = common[len(begun) :] + (" " if len(choices) == 1 else "")
            self._set(before + added + after, len(before) + len(added))
            return
        self._write("\r\n" + "  ".join(choices[:_CHOICES]) + ("  …" if len(choices) > _CHOICES else "") + "\r\n")


def _common(words: list[str]) -> str:
    first, last = min(words), max(words)
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:length]
