"""What a program in the foreground has of its terminal: the log, what views print, and the terminal's loss."""

from __future__ import annotations

import io
import os
import pty
import signal
import sys
import threading
import warnings
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogBeginner, Logger, LogPublisher, globalLogPublisher
from twisted.python import threadable
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from fluxon.endpoint import foreground as foreground_module
from fluxon.endpoint.foreground import Foreground, Printed
from fluxon.errors import Unavailable


class Turns(MemoryReactorClock):
    """A reactor that turns when the test says so."""

    def callFromThread(self, function: Any, *args: object) -> None:
        self.callLater(0, function, *args)


class PrintedTests(SynchronousTestCase):
    """``sys.stdout`` while there is a prompt."""

    def setUp(self) -> None:
        self.shown: list[str] = []
        self.file = io.TextIOWrapper(io.BytesIO(), "latin-1")
        self.printed = Printed(self.file, self.shown.append)

    def test_lines(self) -> None:
        """Are shown when they are complete, whatever pieces they come in."""
        for piece in ("one", " line\ntwo", "\nthree\nfo", "ur"):
            self.assertEqual(self.printed.write(piece), len(piece))
        self.assertEqual(self.shown, ["one line\n", "two\nthree\n"])

    def test_a_line_without_an_end(self) -> None:
        """Is shown in pieces, and not kept without end; nothing of it is lost or shown twice."""
        for _ in range(5):
            self.printed.write("x" * 30_000)
        self.printed.write("!\n")
        self.assertGreater(len(self.shown), 1)
        self.assertEqual("".join(self.shown).replace("\n", ""), "x" * 150_000 + "!")
        self.assertLess(max(map(len, self.shown)), 100_000)

    def test_as_the_file_below(self) -> None:
        """Who asks what it is hears of the real one."""
        self.assertEqual((self.printed.encoding, self.printed.isatty()), ("latin-1", False))
        self.assertRaises(OSError, self.printed.fileno)


class ForegroundTests(SynchronousTestCase):
    """``self.own`` is the person's side of a terminal that is on descriptors 0 to 2 when ``on_terminal`` was called."""

    def setUp(self) -> None:
        self.reactor = Turns()
        self.publisher = LogPublisher()
        beginner = LogBeginner(self.publisher, io.StringIO(), sys, warnings)
        self.patch(foreground_module, "globalLogBeginner", beginner)
        self.log = Logger(namespace="test", observer=self.publisher)
        self.out = io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.server: Any = object()
        hang_up = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, hang_up)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.own = -1
        #: What the room itself has logged.
        self.told: list[str] = []

        def observe(event: Any) -> None:
            self.told.append(event["log_format"])

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def on_terminal(self) -> None:
        """The program is started from a terminal, and in its foreground."""
        self.own, its = pty.openpty()
        os.set_blocking(self.own, False)
        self.addCleanup(self.hang_up)
        for number in (0, 1, 2):
            before = os.dup(number)
            self.addCleanup(os.close, before)
            self.addCleanup(os.dup2, before, number)
            os.dup2(its, number)
        os.close(its)
        self.patch(os, "tcgetpgrp", lambda _: os.getpgrp())
        self.patch(os, "environ", {**os.environ, "TERM": "xterm"})

    def hang_up(self) -> None:
        if self.own >= 0:
            own, self.own = self.own, -1
            os.close(own)

    def begin(self) -> Foreground:
        made = Foreground(self.server, self.reactor)
        self.addCleanup(made.end_console)
        made.begin_log()
        made.begin_console(lambda: None)
        return made

    def shown(self) -> str:
        """What the terminal has shown since the last time."""
        self.reactor.advance(0)
        for each in list(self.reactor.writers):
            each.doWrite()
        parts = []
        try:
            while part := os.read(self.own, 65536):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts).decode()

    def serve(self, ready: Deferred[Any]) -> None:
        """A server with a console, which is ready, or not."""

        class Server:
            served: Any = SimpleNamespace(setup=SimpleNamespace(console_python=False), own={}, reactor=self.reactor)

            def when_ready(self) -> Deferred[Any]:
                return ready

        self.server = Server()

    def test_without_a_console(self) -> None:
        """The log is plain text on standard output; what has no text is no line."""
        self.begin()
        self.log.info("{what} happened", what="something")
        self.log.info("")
        self.assertEqual(len(self.out.getvalue().splitlines()), 1)
        self.assertIn("something happened", self.out.getvalue())

    def test_without_any_output(self) -> None:
        """A program that was started without standard output logs to nobody, and does not fail."""
        self.patch(sys, "stdout", None)
        self.begin()
        self.log.info("nobody sees it")
        self.assertEqual(self.out.getvalue(), "")

    def test_a_console_that_cannot_be_made(self) -> None:
        """A fault of ours is in the log, and the server serves on without a console."""
        self.on_terminal()
        self.serve(succeed(None))
        self.server.served.setup = None
        self.begin()
        self.assertEqual(self.shown(), "")
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_above_the_prompt(self) -> None:
        """Log and prints stand above it, from the reactor's thread at once and from others in its next turn."""
        self.on_terminal()
        self.serve(succeed(None))
        threadable.registerAsIOThread()
        self.begin()
        self.assertIn("fluxon> ", self.shown())
        self.log.info("from here")
        print("printed here")
        shown = self.shown()
        self.assertLess(shown.index("from here"), shown.index("printed here"))
        self.assertTrue(shown.endswith("\x1b[8C"), ascii(shown))
        thread = threading.Thread(target=lambda: (self.log.info("from there"), print("printed there")))
        thread.start()
        thread.join()
        self.assertRaises(BlockingIOError, os.read, self.own, 1)
        shown = self.shown()
        self.assertLess(shown.index("from there"), shown.index("printed there"))
        self.assertEqual(self.out.getvalue(), "")

    def with_console(self) -> Foreground:
        self.on_terminal()
        self.serve(succeed(None))
        threadable.registerAsIOThread()
        foreground = self.begin()
        self.assertIn("fluxon> ", self.shown())
        return foreground

    def test_after_the_console(self) -> None:
        """Its end gives prints and log back to standard output; a second end changes nothing."""
        foreground = self.with_console()
        for _ in range(2):
            foreground.end_console()
            self.assertIs(sys.stdout, self.out)
        self.log.info("afterwards")
        self.assertIn("afterwards", self.out.getvalue())

    def test_after_the_terminal(self) -> None:
        """Once it is gone, prints and log go where standard output leads, and the server's end is as any other."""
        foreground = self.with_console()
        [terminal] = self.reactor.getReaders()
        self.hang_up()
        terminal.connectionLost(Failure(CONNECTION_LOST))
        self.log.info("logged afterwards")
        print("printed afterwards")
        for what in ("logged", "printed"):
            self.assertIn(f"{what} afterwards", self.out.getvalue())
        foreground.end_console()
        self.assertIs(sys.stdout, self.out)

    def test_a_server_that_does_not_start(self) -> None:
        """Has no console, and the terminal stays as it is."""
        self.on_terminal()
        self.serve(fail(Unavailable("the port is taken")))
        self.begin()
        self.assertEqual((self.shown(), self.reactor.getReaders()), ("", []))
        self.assertIs(sys.stdout, self.out)

    def test_a_terminal_that_is_gone_already(self) -> None:
        """There when the program began, and not when its server is ready: no console, and no error."""
        self.on_terminal()
        ready: Deferred[Any] = Deferred()
        self.serve(ready)
        self.begin()
        self.patch(os, "ttyname", self.no_terminal)
        ready.callback(None)
        self.assertEqual((self.shown(), self.reactor.getReaders()), ("", []))
        self.assertIs(sys.stdout, self.out)

    def no_terminal(self, _: int) -> str:
        raise OSError("it is gone")

    def test_a_hang_up(self) -> None:
        """Ends nothing: where the terminal was there is the null device, and whatever reads or prints goes on."""
        self.on_terminal()
        self.begin()
        self.hang_up()
        os.kill(os.getpid(), signal.SIGHUP)
        self.reactor.advance(0)
        self.assertEqual(os.read(0, 1), b"")
        for number in (1, 2):
            self.assertEqual(os.write(number, b"to nobody"), 9)
        self.assertIn("hang-up: the server runs on", self.told)

    def test_a_hang_up_of_another(self) -> None:
        """A signal that somebody sends while the terminal is there takes nothing away."""
        self.on_terminal()
        self.begin()
        os.kill(os.getpid(), signal.SIGHUP)
        self.reactor.advance(0)
        self.assertTrue(all(os.isatty(number) for number in (0, 1, 2)))
        self.assertIn("hang-up: the server runs on", self.told)

    def test_a_signal_that_is_ignored(self) -> None:
        """After ``nohup`` it stays so."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.on_terminal()
        self.begin()
        self.assertIs(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)
