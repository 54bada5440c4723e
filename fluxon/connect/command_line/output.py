"""How results are shown: for a person, or as JSON. Pure, but for the two files that it writes to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any, TextIO

import attrs


class Output:
    """Where a command's results go."""

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool, quiet: bool) -> None:
        self._out = out
        self.err = err
        self.as_json = as_json
        self.quiet = quiet

    def line(self, text: str) -> None:
        """A line for a person."""
        print(printable(text), file=self._out)

    def note(self, text: str) -> None:
        """Something beside the result."""
        if not self.quiet:
            print(printable(text), file=self.err)

    def complaint(self, text: str) -> None:
        """Something that went wrong, in words that may be a server's."""
        print(printable(text), file=self.err)

    def flush(self) -> None:
        self._out.flush()

    def said(self, text: str) -> None:
        """What went well; not of interest to programs."""
        if not self.quiet and not self.as_json:
            self.line(text)

    def value(self, value: Any) -> None:
        """Something that only JSON shows well."""
        print(as_json(value, self._out, indent=None if self.as_json else 2), file=self._out)
        self._out.flush()

    def result(self, value: Any, lines: Iterable[str]) -> None:
        """``value`` as JSON, or ``lines`` for a person."""
        if self.as_json:
            self.value(value)
        else:
            for line in lines:
                self.line(line)


def as_json(value: Any, out: TextIO, indent: int | None = None) -> str:
    """``value`` as JSON that ``out`` can take, and that is no command to a terminal."""
    text = json.dumps(_plain(value), ensure_ascii=False, indent=indent)
    try:
        text.encode(out.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(_plain(value), indent=indent)
    # What is not printable can only stand in a text, where JSON has another way to write it.
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def printable(text: str) -> str:
    """``text`` without what would control the terminal: a name of the server's is no command to it."""
    return "".join(each if each.isprintable() or each == "\t" else "\ufffd" for each in text)


def moment(at: datetime) -> str:
    """A time as this machine's clock shows it."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: int) -> str:
    """Bytes, in the unit that is read most easily."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return {name: _plain(each) for name, each in attrs.asdict(value, recurse=False).items()}
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(each) for each in value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
