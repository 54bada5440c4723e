"""The table of responders: explicit, and wrong ones are found when it is made."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.commands import Command
from fluxon.rpc import Responders


def _command(command_name: str) -> type[Command]:
    return type("Made", (Command,), {"name": command_name})


def _answer(peer: Any, arguments: dict[str, Any]) -> None:
    return None


class RespondersTests(SynchronousTestCase):
    def test_lookup(self) -> None:
        """Names find their command and function; other names nothing."""
        first, second = _command("first"), _command("second")
        table = Responders({first: _answer, second: _answer})
        self.assertEqual(sorted(table), ["first", "second"])
        found = table.find("first")
        assert found is not None
        self.assertEqual(found[:2], (first, _answer))
        self.assertIsNone(table.find("third"))

    def test_two_of_one_name(self) -> None:
        """Two commands of one name are a mistake, told at once."""
        with self.assertRaisesRegex(ValueError, "two responders"):
            Responders({_command("same"): _answer, _command("same"): _answer})

    def test_names(self) -> None:
        """A name that could not be asked for is a mistake; the longest and a short one are none."""
        for name in ("", "x" * 256, "é" * 128):
            with self.assertRaisesRegex(ValueError, "1 to 255 bytes"):
                Responders({_command(name): _answer})
        Responders({_command("x" * 255): _answer, _command("y"): _answer})
