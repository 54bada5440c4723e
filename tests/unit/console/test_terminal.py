"""The console on a terminal of the test's own; what the kernel says of job control is the test's."""

from __future__ import annotations

import errno
import os
import pty
import signal
import termios
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet.main import CONNECTION_LOST
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from fluxon.console import terminal as terminal_module
from fluxon.console.terminal import Terminal, owns_terminal

ROOM = 256 * 1024


class Turns(MemoryReactorClock):
    """A reactor that turns when the test says so."""

    def callFromThread(self, function: Callable[..., object], *args: object) -> None:
        self.callLater(0, function, *args)

    def turn(self) -> None:
        """Carry out what was asked for, and write what can be written."""
        self.advance(0)
        for each in list(self.writers):
            if lost := each.doWrite():
                each.connectionLost(Failure(lost))


class TerminalTests(SynchronousTestCase):
    """``self.terminal`` on descriptor 0; ``self.type`` and ``self.shown`` are its person's hands and eyes."""

    def setUp(self) -> None:
        self.own, its = pty.openpty()
        os.set_blocking(self.own, False)
        self.addCleanup(self.hang_up)
        before = os.dup(0)
        os.dup2(its, 0)
        os.close(its)
        self.addCleanup(os.close, before)
        self.addCleanup(os.dup2, before, 0)
        #: Whose turn at the terminal it is, as the kernel tells; None: there is no terminal any more.
        self.owner: int | None = os.getpgrp()
        self.patch(os, "tcgetpgrp", self.tell_owner)
        self.reactor = Turns()
        self.interrupts: list[None] = []
        served: Any = SimpleNamespace(setup=SimpleNamespace(console_python=False), own={}, reactor=self.reactor)
        self.terminal = Terminal(served, lambda: self.interrupts.append(None))
        self.addCleanup(self.terminal.close)

    def tell_owner(self, descriptor: int) -> int:
        if self.owner is None:
            raise OSError(errno.EIO, "gone")
        return self.owner

    def hang_up(self) -> None:
        if self.own >= 0:
            own, self.own = self.own, -1
            os.close(own)

    def open(self) -> None:
        self.terminal.open()
        self.assertIn("fluxon> ", self.shown())

    def type(self, keys: bytes) -> None:
        os.write(self.own, keys)
        self.terminal.doRead()

    def shown(self) -> str:
        """What was shown since the last time."""
        self.reactor.turn()
        parts = []
        try:
            while part := os.read(self.own, 65536):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts).decode()

    def is_raw(self) -> bool:
        return not termios.tcgetattr(0)[3] & termios.ICANON

    def signalled(self, number: int) -> None:
        os.kill(os.getpid(), number)
        self.reactor.turn()

    def fill(self) -> None:
        """Nobody reads: what the terminal can hold is there, and more waits."""
        self.terminal.write(b"x" * (ROOM + 65536))
        self.reactor.turn()

    # --- whose it is --------------------------------------------------------------------------------------------------

    def test_whose_it_is(self) -> None:
        """The process's own if both ends are a terminal that can show a prompt, and it is in the foreground."""
        out = os.dup(1)
        self.addCleanup(os.close, out)
        self.patch(os, "environ", {**os.environ, "TERM": "xterm"})
        try:
            os.dup2(0, 1)
            mine = owns_terminal()
            self.owner = os.getpgrp() + 1
            somebody_elses = owns_terminal()
            self.owner = None
            nobodys = owns_terminal()
            self.owner = os.getpgrp()
            os.environ["TERM"] = "dumb"
            dumb = owns_terminal()
        finally:
            os.dup2(out, 1)
        self.assertEqual((mine, somebody_elses, nobodys, dumb), (True, False, False, False))

    # --- beginning and end --------------------------------------------------------------------------------------------

    def test_given_back(self) -> None:
        """Keys come one by one while it is open; afterwards modes and signals are as before, however often it ends."""
        modes, handler = termios.tcgetattr(0), signal.getsignal(signal.SIGINT)
        self.open()
        self.assertTrue(self.is_raw() and self.terminal.is_open)
        for _ in range(2):
            self.terminal.close()
            self.assertEqual(termios.tcgetattr(0), modes)
            self.assertIs(signal.getsignal(signal.SIGINT), handler)
            self.assertFalse(self.terminal.is_open)
        self.assertEqual((self.reactor.getReaders(), self.reactor.getWriters()), ([], []))

    def test_modes_that_are_somebody_elses(self) -> None:
        """What is in the background when it ends leaves the terminal's modes alone."""
        self.open()
        self.owner = os.getpgrp() + 1
        self.terminal.close()
        self.assertTrue(self.is_raw())

    def test_nobody_waits_for_its_end(self) -> None:
        """A terminal that takes nothing more does not hold up the end for longer than the last words may take."""
        self.patch(terminal_module, "_LAST_WORDS", 0.01)
        self.open()
        self.fill()
        self.terminal.close()
        self.assertFalse(self.terminal.is_open or self.is_raw())

    def test_one_that_goes_while_it_opens(self) -> None:
        """Is an ``OSError``, and nothing of it stays open or changed."""

        def gone(*_: object) -> None:
            raise termios.error(errno.EIO, "gone")

        handler, descriptors = signal.getsignal(signal.SIGINT), os.listdir("/proc/self/fd")
        with_modes = termios.tcsetattr
        self.patch(termios, "tcsetattr", gone)
        self.assertRaises(OSError, self.terminal.open)
        self.patch(termios, "tcsetattr", with_modes)
        self.assertEqual(os.listdir("/proc/self/fd"), descriptors)
        self.assertIs(signal.getsignal(signal.SIGINT), handler)
        self.assertFalse(self.terminal.is_open)

    def test_one_that_goes_away(self) -> None:
        """Its end is the console's, said once, and nobody else's: what is logged later is shown nowhere."""
        said: list[str] = []

        def observe(event: Any) -> None:
            said.append(event["log_format"])

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.open()
        self.hang_up()
        self.owner = None
        self.assertIs(self.terminal.doRead(), CONNECTION_LOST)
        for _ in range(2):
            self.terminal.connectionLost(Failure(CONNECTION_LOST))
        self.assertEqual(said, ["the terminal is gone; the server runs on"])
        self.assertFalse(self.terminal.is_open)
        self.terminal.print_above("to nobody\n")
        self.assertEqual((self.reactor.getReaders(), self.reactor.getWriters()), ([], []))

    # --- keys and signals ---------------------------------------------------------------------------------------------

    def test_keys(self) -> None:
        """A line is carried out; a read that finds nothing is no end."""
        self.open()
        self.type(b"nonsense\r")
        self.assertIn("there is no command", self.shown())
        self.assertIsNone(self.terminal.doRead())
        self.assertTrue(self.terminal.is_open)

    def test_signals(self) -> None:
        """Ctrl+C abandons a line, and is the server's on an empty one; a window of another size is drawn anew."""
        self.open()
        self.type(b"half")
        self.shown()
        self.signalled(signal.SIGWINCH)
        self.assertIn("fluxon> half", self.shown())
        self.signalled(signal.SIGINT)
        shown = self.shown()
        self.assertIn("^C", shown)
        self.assertNotIn("half", shown.rpartition("fluxon> ")[2])
        self.assertEqual(self.interrupts, [])
        self.signalled(signal.SIGINT)
        self.assertEqual(self.interrupts, [None])

    def test_signals_of_one_that_has_just_ended(self) -> None:
        """They are on their way while it ends: Ctrl+C is the server's, the others are nobody's."""
        self.open()
        for number in (signal.SIGINT, signal.SIGCONT, signal.SIGWINCH):
            os.kill(os.getpid(), number)
        self.terminal.close()
        self.shown()
        self.assertEqual((self.shown(), self.interrupts), ("", [None]))
        self.assertFalse(self.is_raw())

    def test_background_and_foreground(self) -> None:
        """Continued in the background it reads nothing and has no prompt; the log is plain. ``fg`` brings both back."""
        self.open()
        self.type(b"half")
        self.shown()
        self.owner = os.getpgrp() + 1
        self.signalled(signal.SIGCONT)
        self.assertEqual(self.reactor.getReaders(), [])
        self.terminal.print_above("a line\n")
        self.signalled(signal.SIGWINCH)
        self.assertEqual(self.shown(), "a line\r\n")
        self.owner = os.getpgrp()
        self.signalled(signal.SIGCONT)
        self.assertEqual(self.reactor.getReaders(), [self.terminal])
        self.assertIn("fluxon> half", self.shown())

    def test_somebody_else_takes_it(self) -> None:
        """A read that the kernel refuses is no end while there is a terminal: reading waits until it is ours."""
        self.open()
        self.owner = os.getpgrp() + 1
        with_keys = os.read

        def refuse(descriptor: int, size: int) -> bytes:
            raise OSError(errno.EIO, "in the background")

        self.patch(os, "read", refuse)
        self.assertIsNone(self.terminal.doRead())
        self.assertEqual(self.reactor.getReaders(), [])
        self.owner = None
        self.assertIs(self.terminal.doRead(), CONNECTION_LOST)
        self.owner = os.getpgrp()
        self.patch(os, "read", with_keys)
        self.signalled(signal.SIGCONT)
        self.assertEqual(self.reactor.getReaders(), [self.terminal])

    # --- output -------------------------------------------------------------------------------------------------------

    def test_what_it_does_not_take(self) -> None:
        """Lines of the log are left out while too much waits, and how many is said as soon as there is room."""
        self.open()
        self.fill()
        for _ in range(3):
            self.terminal.print_above("left out\n")
        while self.reactor.getWriters():
            self.assertNotIn("left out", self.shown())
        self.terminal.print_above("shown\n")
        shown = self.shown()
        self.assertIn("[3 entries were left out: the terminal did not take them]\r\nshown\r\n", shown)
        self.terminal.print_above("the next\n")
        self.assertNotIn("left out", self.shown())
