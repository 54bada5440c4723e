"""From a line to its output, its exit status, and the log."""

from __future__ import annotations

from typing import Any

from consoles import Said, Slow, console_of
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fluxon.console.console import DONE, FAILED, MAX_LINE, STILL_EVERY, STOPPED, WRONG, Console
from fluxon.console.output import Lines, Value
from fluxon.errors import Conflict


class ConsoleTests(SynchronousTestCase):
    """Commands whose work is the test's."""

    def setUp(self) -> None:
        self.said = Said()
        self.logged: list[str] = []

        def observe(event: LogEvent) -> None:
            self.logged.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def run_line(self, console: Console, line: str) -> int:
        return self.successResultOf(console.run(line, self.said))

    async def lines(self, served: Any, run: Any) -> Any:
        return Lines(["one"])

    def test_output(self) -> None:
        """As text, or as JSON if asked for; nothing for nothing."""
        console = console_of({"status": self.lines})
        for line, status in (("status", DONE), ("status --json", DONE), ("", DONE), ("  # note", DONE)):
            self.assertEqual(self.run_line(console, line), status)
        self.assertEqual((self.said.lines, self.said.errors), (["one", '["one"]'], []))

    def test_errors(self) -> None:
        """One line each, with its status; a fault of ours is in the log with its traceback."""

        async def refused(served: Any, run: Any) -> Any:
            raise Conflict("two\nlines \x1b[2J")

        async def broken(served: Any, run: Any) -> Any:
            raise ValueError("a fault")

        console = console_of({"status": refused, "views": broken})
        self.assertEqual(self.run_line(console, "status"), FAILED)
        self.assertEqual(self.run_line(console, "views"), FAILED)
        self.assertEqual(self.run_line(console, "nothing"), WRONG)
        self.assertEqual(self.run_line(console, "x" * (MAX_LINE + 1)), WRONG)
        self.assertEqual(self.said.errors[0], "status: two\\nlines \\x1b[2J")
        self.assertEqual(self.said.errors[1], "views: ValueError: a fault; its traceback is in the log")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_output_that_cannot_be_shown(self) -> None:
        """Is told as what it is: the command was done."""

        async def odd(served: Any, run: Any) -> Any:
            return Value({("no", "text"): 1})

        console = console_of({"status": odd})
        self.assertEqual(self.run_line(console, "status"), FAILED)
        self.assertIn("it was done", self.said.errors[0])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertFalse(console.busy)

    def test_looking_is_stopped(self) -> None:
        """What only looks ends at once when its operator gives up; there is nothing in the log of it."""
        slow = Slow()
        console = console_of({"status": slow})
        outcome = console.run("status", self.said)
        self.assertTrue(console.busy)
        console.interrupt()
        self.assertEqual(self.successResultOf(outcome), STOPPED)
        self.assertEqual(slow.stopped, 1)
        self.assertEqual((self.said.errors, self.logged), (["status: stopped"], []))

    def test_changing_is_not(self) -> None:
        """The operator need not wait, the work goes on, and the log has its end; the next command may begin."""
        slow = Slow()
        console = console_of({"saveschema": slow, "status": self.lines})
        outcome = console.run("saveschema", self.said)
        console.interrupt()
        self.assertEqual(self.successResultOf(outcome), STOPPED)
        self.assertEqual(self.run_line(console, "status"), DONE)
        slow.waiting.callback(Lines(["saved"]))
        self.assertEqual(self.said.lines, ["one"])
        self.assertEqual(self.logged[-1], "console: emma (SHA256:x): saveschema: done")

    def test_long_work(self) -> None:
        """Somebody at a terminal is told now and then that it goes on; a program, and who follows, is not."""
        clock = Clock()
        for line, width, told in (
            ("saveschema", 80, ["saveschema: at work for 10 seconds", "saveschema: at work for 20 seconds"]),
            ("saveschema", None, []),
            ("saveschema --json", 80, []),
            ("tail logs", 80, []),
        ):
            slow = Slow()
            console = console_of({"saveschema": slow, "tail logs": slow}, clock=clock)
            self.said.width, self.said.lines = width, []
            outcome = console.run(line, self.said)
            clock.pump([STILL_EVERY, STILL_EVERY, STILL_EVERY / 2])
            self.assertEqual(self.said.lines, told, line)
            slow.waiting.callback(None)
            self.assertEqual(self.successResultOf(outcome), DONE)
            self.assertEqual(clock.getDelayedCalls(), [], line)

    def test_what_is_logged(self) -> None:
        """Who, what, and how it ended; never a payload."""

        async def refused(served: Any, run: Any) -> Any:
            raise Conflict("no")

        console = console_of({"call": refused})
        self.run_line(console, 'call echo as ada {"password": "secret"}')
        self.assertEqual(
            self.logged,
            ["console: emma (SHA256:x): call echo as ada", "console: emma (SHA256:x): call echo as ada: no"],
        )

    def test_python_is_off(self) -> None:
        """Unless the setup allows it there is no such command, in lines, help or completion."""
        closed, open_ = console_of({"python": self.lines}), console_of({"python": self.lines}, python=True)
        self.assertEqual((self.run_line(closed, "python 1"), self.run_line(open_, "python 1")), (WRONG, DONE))
        self.assertEqual((closed.complete("pyt")[1], open_.complete("pyt")[1]), ([], ["python"]))

    def test_steps(self) -> None:
        """Progress is for people; what is shown on the way is for both."""

        async def stepping(served: Any, run: Any) -> Any:
            run.progress("half")
            run.write(Lines(["part"]))
            await Deferred.fromCoroutine(self.lines(served, run))

        console = console_of({"status": stepping})
        self.run_line(console, "status")
        self.run_line(console, "status --json")
        self.assertEqual(self.said.lines, ["half", "part", '["part"]'])
