"""Lines to commands, and the table they are checked against."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from fluxon.console.actions import ACTIONS
from fluxon.console.command import JSON_OPTION, REST_OF_LINE, Kind, WrongUsage
from fluxon.console.parsing import Parsed, complete, parse, split
from fluxon.console.table import COMMANDS


class TableTests(SynchronousTestCase):
    """What every declaration has to be."""

    def test_every_command_does_something(self) -> None:
        """The table and the functions name the same commands, each once."""
        names = [each.name for each in COMMANDS]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(set(names), set(ACTIONS))

    def test_a_screen(self) -> None:
        """The list of commands fits a terminal of 80 columns."""
        wide = max(len(each.name) for each in COMMANDS)
        for each in COMMANDS:
            self.assertLessEqual(wide + 2 + len(each.help), 80, each.name)

    def test_the_rest_comes_last(self) -> None:
        """What takes the rest of a line can have nothing after it; what may be left out, nothing that may not."""
        for command in COMMANDS:
            for each in command.places[:-1]:
                self.assertNotIn(each.kind, REST_OF_LINE, command.name)
            required = [each.required for each in command.places]
            self.assertEqual(required, sorted(required, reverse=True), command.name)

    def test_no_name_is_taken_twice(self) -> None:
        """Options have names of their own, and none is the one that all commands have."""
        for command in COMMANDS:
            names = [name for each in command.options for name in (each.name, each.short) if name]
            self.assertEqual(len(names), len(set(names)), command.name)
            self.assertNotIn(JSON_OPTION, names)


class SplitTests(SynchronousTestCase):
    """Words."""

    def test_words(self) -> None:
        """Spaces part them, quotes and backslashes keep them together."""
        for line, words in (
            ("a  b\tc", ["a", "b", "c"]),
            ("'a b' \"c d\"", ["a b", "c d"]),
            (r"a\ b", ["a b"]),
            ("''", [""]),
            ("", []),
            ("x'y'z", ["xyz"]),
        ):
            self.assertEqual([each.text for each in split(line)], words, line)

    def test_an_open_quote(self) -> None:
        """Is told."""
        with self.assertRaisesRegex(WrongUsage, "not closed"):
            split("logout 'emma")


class ParseTests(SynchronousTestCase):
    """Commands and values."""

    def parsed(self, line: str) -> Parsed:
        return parse(line)

    def wrong(self, line: str, text: str) -> None:
        with self.assertRaises(WrongUsage) as caught:
            parse(line)
        self.assertIn(text, caught.exception.text)

    def test_two_words(self) -> None:
        """A command may have two words, an option a short name."""
        parsed = self.parsed("tail logs 5 -f")
        self.assertEqual((parsed.command.name, parsed.values), ("tail logs", {"lines": 5, "follow": True}))

    def test_options(self) -> None:
        """Anywhere, some more than once, and --json for all."""
        parsed = self.parsed("updateschema --drop User.name 3 --drop Room --plan --json")
        self.assertEqual(parsed.values, {"number": 3, "plan": True, "drop": ["User.name", "Room"]})
        self.assertTrue(parsed.as_json)

    def test_json(self) -> None:
        """The rest of the line, as it stands or quoted as for a shell; the log is told only what is before it."""
        for payload in ('{"a": "b  c\'s"}', '\'{"a": "b  c\'s"}\''):
            parsed = self.parsed(f"call echo as emma {payload}")
            self.assertEqual(parsed.values, {"view": "echo", "as_": "emma", "json": {"a": "b  c's"}})
            self.assertEqual(parsed.told, "call echo as emma")
        self.assertEqual(self.parsed('push emma news "as"').values["json"], "as")
        self.wrong("call echo {", "no JSON")

    def test_as(self) -> None:
        """The word is an option only after what it belongs to, and never in quotes."""
        self.assertEqual(self.parsed("call as").values, {"view": "as", "as_": None, "json": None})
        self.wrong("call echo as", "as needs USER")

    def test_names_in_quotes(self) -> None:
        """A name with a space, or one that looks like an option, is quoted."""
        self.assertEqual(self.parsed("logout 'van Dyk'").values, {"user": "van Dyk"})
        self.assertEqual(self.parsed("logout '--all'").values, {"user": "--all"})

    def test_wrong_lines(self) -> None:
        """Each says what is wrong and how it is written."""
        self.wrong("kick", "TARGET is missing; it is written: kick TARGET")
        self.wrong("kick 1 2", "'2' is too much")
        self.wrong("users --some", "no option --some")
        self.wrong("updateschema three", "NUMBER is a number")
        self.wrong("updateschema --drop", "--drop needs MODEL.FIELD")
        self.wrong("stauts", "did you mean status?")
        self.wrong("tail", "did you mean tail logs?")
        self.wrong("exit", "did you mean terminate?")
        self.wrong("x" * 1000, "type help")
        self.wrong("updateschema " + "9" * 5000, "NUMBER is a number")
        self.wrong("call echo " + "[" * 100_000, "no JSON")


class CompletionTests(SynchronousTestCase):
    """What may come next."""

    def completed(self, line: str) -> tuple[str, list[str]]:
        known = {Kind.VIEW: ["echo", "enter"], Kind.USER: ["emma"], Kind.LEVEL: ["info", "debug"]}
        return complete(line, lambda kind: known.get(kind, ()))

    def test_names(self) -> None:
        """Of commands, word by word."""
        self.assertEqual(self.completed("sche"), ("sche", ["schemas"]))
        self.assertEqual(self.completed("tail "), ("", ["logs"]))
        self.assertIn("updateschema", self.completed("")[1])

    def test_values(self) -> None:
        """Of what the server has; options after a dash."""
        self.assertEqual(self.completed("call e"), ("e", ["echo", "enter"]))
        self.assertEqual(self.completed("call echo as "), ("", ["emma"]))
        self.assertEqual(self.completed("call echo "), ("", ["as"]))
        self.assertEqual(self.completed("loglevel d"), ("d", ["debug"]))
        self.assertEqual(self.completed("updateschema --p"), ("--p", ["--plan"]))
        self.assertEqual(self.completed("nothing "), ("", []))

    def test_after_an_option(self) -> None:
        """Its value is no place of the command's, and what was given once is not offered again."""
        self.assertEqual(self.completed("users --limit 5 --"), ("--", ["--all", "--json"]))
        self.assertEqual(self.completed("sessions --user emma --l"), ("--l", ["--limit"]))


class NoiseTests(SynchronousTestCase):
    """Lines that nobody means."""

    def test_any_line(self) -> None:
        """Is a command or a ``WrongUsage``, and can be completed, whatever is in it."""
        chance = random.Random(11)
        parts = [each.name for each in COMMANDS] + [
            "--json",
            "--drop",
            "as",
            "-f",
            "'",
            '"',
            "\\",
            "{}",
            "[",
            "9",
            " ",
            "\x1b",
            "é",
            "\ud800",
        ]
        for _ in range(3_000):
            line = "".join(chance.choice(parts) + chance.choice(["", " "]) for _ in range(chance.randrange(8)))
            try:
                parse(line)
            except WrongUsage:
                pass
            complete(line, lambda kind: ["one", "two words"])
