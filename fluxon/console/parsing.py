"""From a line to a command and its values, and to what may come next in a line.

Rules of this module: pure. What is wrong with a line is told in one sentence that says how it is written.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from fluxon.console.command import JSON_OPTION, REST_OF_LINE, Argument, Command, Kind, Option, WrongUsage
from fluxon.console.table import COMMANDS

#: Names that could come next: asked by kind.
Candidates = Callable[[Kind], Sequence[str]]


@attrs.frozen
class Word:
    """A word and where it begins in its line."""

    text: str
    start: int
    #: It was written in quotes: no option, whatever it looks like.
    quoted: bool = False


@attrs.frozen
class Parsed:
    """A command to be carried out."""

    command: Command
    values: dict[str, Any]
    as_json: bool
    #: The line without what may hold a secret: for the log.
    told: str


def split(line: str) -> list[Word]:
    """The words of a line: separated by spaces, or in quotes; a backslash takes the next character as it is."""
    words: list[Word] = []
    text, start, quote, quoted = "", -1, "", False
    position = 0
    while position < len(line):
        each = line[position]
        if quote:
            if each == quote:
                quote = ""
            else:
                text += each
        elif each in "\"'":
            start, quote, quoted = (position if start < 0 else start), each, True
        elif each == "\\" and position + 1 < len(line):
            start = position if start < 0 else start
            position += 1
            text += line[position]
        elif each.isspace():
            if start >= 0:
                words.append(Word(text, start, quoted))
            text, start, quoted = "", -1, False
        else:
            start = position if start < 0 else start
            text += each
        position += 1
    if quote:
        raise WrongUsage(f"a quote ({quote}) is not closed")
    if start >= 0:
        words.append(Word(text, start, quoted))
    return words


#: What other programs call a command.
_MEANT = dict.fromkeys(("exit", "quit", "stop", "shutdown", "bye"), ("terminate",))


def parse(line: str, commands: Sequence[Command] = COMMANDS) -> Parsed:
    """The command that a line asks for. ``WrongUsage`` says what is wrong with it."""
    try:
        words = split(line)
    except WrongUsage:
        # Only JSON and code may have quotes of their own.
        words = [Word(part, line.index(part)) for part in line.split()]
        command, _ = find(words, commands)
        if not any(each.kind in REST_OF_LINE for each in command.places):
            raise
        words = _words_before_rest(line)
    command, count = find(words, commands)
    return _Reader(line, command, words, count).read()


def find(words: Sequence[Word], commands: Sequence[Command] = COMMANDS) -> tuple[Command, int]:
    """The command that words begin with, and how many of them are its name."""
    for command in sorted(commands, key=lambda each: -len(each.name)):
        name = command.name.split()
        if [each.text for each in words[: len(name)]] == name:
            return command, len(name)
    first = words[0].text if words else ""
    longer = [each.name for each in commands if each.name.split()[0] == first]
    near = longer or _MEANT.get(first) or difflib.get_close_matches(first[:40], [each.name for each in commands], n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else "type help"
    raise WrongUsage(f"there is no command {first[:40]!r}; {hint}")


def _words_before_rest(line: str) -> list[Word]:
    """Words by spaces alone: for a line whose rest has quotes that are not ours."""
    words, position = [], 0
    for part in line.split():
        start = line.index(part, position)
        position = start + len(part)
        words.append(Word(part, start))
    return words


class _Reader:
    """Reads the words after a command's name."""

    def __init__(self, line: str, command: Command, words: Sequence[Word], count: int) -> None:
        self._line = line
        self._command = command
        self._words = list(words[count:])
        self._places = list(command.places)
        self._values: dict[str, Any] = {each.name: None for each in command.places}
        for option in command.options:
            self._values[option.key] = [] if option.repeated else None if option.takes else False
        self._as_json = False
        self._told_until = len(line)

    def read(self) -> Parsed:
        taken = 0
        while self._words:
            word = self._words.pop(0)
            option = self._option(word, taken)
            if word.text == JSON_OPTION and not word.quoted:
                self._as_json = True
            elif option is not None:
                self._take_option(option)
            elif word.text.startswith("--") and not word.quoted:
                raise self._wrong(f"it has no option {word.text}")
            elif not self._places:
                raise self._wrong(f"{word.text!r} is too much")
            else:
                self._take_place(self._places.pop(0), word)
                taken += 1
        missing = next((each for each in self._places if each.required), None)
        if missing is not None:
            raise self._wrong(f"{missing.name.upper()} is missing")
        return Parsed(self._command, self._values, self._as_json, self._line[: self._told_until].strip())

    def _option(self, word: Word, taken: int) -> Option | None:
        if word.quoted:
            return None
        for option in self._command.options:
            # A word such as `as` is one only after what it belongs to.
            if word.text in (option.name, option.short) and (word.text.startswith("-") or taken):
                return option
        return None

    def _take_option(self, option: Option) -> None:
        if option.takes is None:
            self._values[option.key] = True
            return
        if not self._words:
            raise self._wrong(f"{option.name} needs {option.takes}")
        value = self._read(option.kind, option.takes, self._words.pop(0).text)
        if option.repeated:
            self._values[option.key].append(value)
        else:
            self._values[option.key] = value

    def _take_place(self, argument: Argument, word: Word) -> None:
        if argument.kind in REST_OF_LINE:
            self._told_until = word.start
            self._values[argument.name] = self._rest(argument.kind, self._line[word.start :].strip())
            self._words.clear()
        else:
            self._values[argument.name] = self._read(argument.kind, argument.name.upper(), word.text)

    def _read(self, kind: Kind, name: str, text: str) -> Any:
        if kind is Kind.NUMBER:
            if not (text.isascii() and text.isdigit()) or len(text) > 18:
                raise self._wrong(f"{name} is a number, not {text[:40]!r}")
            return int(text)
        return text

    def _rest(self, kind: Kind, text: str) -> Any:
        if kind is Kind.CODE:
            return text
        if len(text) > 1 and text[0] == text[-1] == "'":  # as one would quote it for a shell
            text = text[1:-1]
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise self._wrong(f"the payload is no JSON: {text[:40]!r}") from None

    def _wrong(self, what: str) -> WrongUsage:
        return WrongUsage(f"{what}; it is written: {self._command.usage}")


def complete(line: str, candidates: Candidates, commands: Sequence[Command] = COMMANDS) -> tuple[str, list[str]]:
    """What the line's last word could become: the part of it that is there, and the whole words that fit."""
    before, _, begun = line.rpartition(" ")
    words = _words_before_rest(before)
    found = [each for each in commands if _is_prefix([word.text for word in words], each.name.split())]
    choices = {each.name.split()[len(words)] for each in found}
    try:
        command, count = find(words, commands)
    except WrongUsage:
        pass
    else:
        choices.update(_values_next(command, [each.text for each in words[count:]], begun, candidates))
    return begun, sorted(each for each in choices if each.startswith(begun) and each != begun)


def _is_prefix(words: list[str], name: list[str]) -> bool:
    return len(words) < len(name) and name[: len(words)] == words


def _values_next(command: Command, words: list[str], begun: str, candidates: Candidates) -> list[str]:
    places = list(command.places)
    waiting: Option | None = None
    for word in words:
        if waiting is not None:
            waiting = None
            continue
        option = next((each for each in command.options if word in (each.name, each.short)), None)
        if option is not None:
            waiting = option if option.takes else None
        elif word != JSON_OPTION and places:
            places.pop(0)
    if waiting is not None:
        return list(candidates(waiting.kind))
    options = [each.name for each in command.options if each.name not in words or each.repeated] + [JSON_OPTION]
    if begun.startswith("-"):
        return options
    plain = [each for each in options if not each.startswith("-") and words]
    return plain + (list(candidates(places[0].kind)) if places else [])
