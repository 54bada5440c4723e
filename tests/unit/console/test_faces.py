"""The two ways to use a console: a shell for a person, a script for a program."""

from __future__ import annotations

from typing import Any

from consoles import Said, Slow, console_of
from twisted.trial.unittest import SynchronousTestCase

from fluxon.console.output import Lines
from fluxon.console.script import MAX_WAITING, Script
from fluxon.console.shell import MAX_AHEAD, Shell


async def _one(served: Any, run: Any) -> Any:
    return Lines(["one"])


class ShellTests(SynchronousTestCase):
    """Somebody types."""

    def setUp(self) -> None:
        self.slow = Slow()
        self.shown = ""
        self.ends = 0
        self.console = console_of({"status": _one, "views": self.slow})
        self.shell = Shell(self.console, self.put, lambda: 80, on_end=self.end)
        self.shell.start("welcome")

    def put(self, text: str) -> None:
        self.shown += text

    def end(self) -> None:
        self.ends += 1

    def taken(self) -> str:
        shown, self.shown = self.shown, ""
        return shown

    def test_a_line_in_pieces(self) -> None:
        """Carried out when it is complete, and the prompt comes back."""
        self.assertIn("welcome\r\n", self.taken())
        for each in b"status":
            self.shell.received(bytes([each]))
        self.taken()
        self.shell.received(b"\r")
        self.assertIn("one\r\n", self.shown)
        self.assertTrue(self.shown.endswith("\x1b[8C"), ascii(self.shown))

    def test_typing_ahead(self) -> None:
        """While a command runs: its turn comes, and Ctrl+C forgets it."""
        self.shell.received(b"views\rstatus\r")
        self.assertNotIn("one", self.shown)
        self.slow.waiting.callback(None)
        self.assertIn("fluxon> status", self.shown)
        self.assertIn("one\r\n", self.taken())
        self.slow.waiting = Slow().waiting
        self.shell.received(b"views\rstatus\r\x03")
        self.assertIn("^C", self.shown)
        self.assertNotIn("one", self.taken())

    def test_too_much_ahead(self) -> None:
        """Is lost, with a bell."""
        self.shell.received(b"views\r")
        self.shell.received(b"x" * (MAX_AHEAD + 3))
        self.assertEqual(self.taken().count("\a"), 3)

    def test_a_thousand_lines_at_once(self) -> None:
        """Pasted: each is carried out, without one inside the other."""
        self.shell.received(b"status\r" * 3_000)
        self.assertEqual(self.shown.count("one\r\n"), 3_000)

    def test_others_have_something_to_say(self) -> None:
        """Above the line, which stays; in the middle of a command just there. It commands no terminal."""
        self.shell.received(b"stat")
        self.taken()
        self.shell.print_above("a log line\x1b[2J\nand another\n")
        self.assertTrue(self.shown.startswith("\r\x1b[Ka log line\\x1b[2J\r\nand another\r\n"), ascii(self.shown))
        self.assertIn("fluxon> stat", self.taken())
        self.shell.received(b"\x15views\r")
        self.taken()
        self.shell.print_above("more")
        self.assertEqual(self.taken(), "more\r\n")

    def test_the_end(self) -> None:
        """Ctrl+D on an empty line; afterwards nothing is shown, and what only looks is stopped."""
        self.shell.received(b"\x04")
        self.assertEqual(self.ends, 1)
        self.shell.received(b"views\r")
        self.taken()
        self.shell.end()
        self.assertEqual(self.slow.stopped, 1)
        self.assertEqual(self.shown, "")

    def test_a_signal(self) -> None:
        """Ctrl+C that came as one: for a command, for a line, and for nothing, which is somebody else's."""
        self.shell.received(b"views\r")
        self.assertTrue(self.shell.interrupt())
        self.shell.received(b"half")
        self.assertTrue(self.shell.interrupt())
        self.assertFalse(self.shell.interrupt())


class ScriptTests(SynchronousTestCase):
    """A program sends lines."""

    def setUp(self) -> None:
        self.slow = Slow()
        self.said = Said()
        self.ended: list[int] = []
        console = console_of({"status": _one, "views": self.slow})
        self.script = Script(console, self.said, self.ended.append)

    def test_lines_in_pieces(self) -> None:
        """However they are cut, and whatever ends them."""
        for each in (b"sta", b"tus\nstat", b"us\r\n", b"status"):
            self.script.received(each)
        self.assertEqual(self.said.lines, ["one", "one"])
        self.script.no_more()
        self.assertEqual((self.said.lines, self.ended), (["one"] * 3, [0]))

    def test_one_after_the_other(self) -> None:
        """A line waits for the end of the one before; the end of the script for all."""
        self.script.received(b"views\nstatus\n")
        self.script.no_more()
        self.assertEqual((self.said.lines, self.ended), ([], []))
        self.slow.waiting.callback(None)
        self.assertEqual((self.said.lines, self.ended), (["one"], [0]))

    def test_the_first_failure(self) -> None:
        """Ends it; what comes later is not looked at."""
        self.script.received(b"status\nnonsense\nstatus\n")
        self.script.received(b"status\n")
        self.script.no_more()
        self.assertEqual((self.said.lines, self.ended), (["one"], [2]))

    def test_thousands_of_lines(self) -> None:
        """Without one inside the other."""
        self.script.received(b"status\n" * 5_000)
        self.assertEqual(len(self.said.lines), 5_000)

    def test_too_much(self) -> None:
        """That waits behind a slow command, or in one line, ends it."""
        self.script.received(b"views\n")
        self.script.received(b"x" * (MAX_WAITING + 1))
        self.assertEqual(self.ended, [2])

    def test_nobody_waits_for_it(self) -> None:
        """A lost connection stops what only looks, and the lines behind it."""
        self.script.received(b"views\nstatus\n")
        self.script.end()
        self.assertEqual(self.slow.stopped, 1)
        self.assertEqual((self.said.lines, self.ended), ([], []))

    def test_bytes_that_are_no_text(self) -> None:
        """Are a wrong command, and nothing worse."""
        self.script.received(b"\xff\xfe\x00\x1b[2J\n")
        self.assertEqual(self.ended, [2])
        self.assertTrue(self.said.errors[0].isprintable())
