"""What a program in the foreground has of its terminal: the log on it, the console if it owns it, and its loss.

Rules of this module:

- The log is on the terminal from the first moment to the last: plainly, or above the console's prompt while there is
  one. It may come from any thread.
- What views print is shown like the log, so that it does not run into the line that is being written.
- A terminal that goes away (SIGHUP) ends nobody's server: where it was, there is ``/dev/null``. After ``nohup`` the
  signal is nobody's business.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, Logger, formatEventAsClassicLogText, globalLogBeginner
from twisted.python import threadable

from fluxon.console.terminal import Terminal, owns_terminal
from fluxon.errors import Unavailable

_log = Logger(namespace="fluxon.server")

#: What is printed without ever ending a line is shown in pieces.
_LONGEST_LINE = 64 * 1024

_STANDARD = (0, 1, 2)


class Printed(io.TextIOBase):
    """``sys.stdout`` while there is a prompt: what views print goes above it, line by line."""

    def __init__(self, file: Any, show: Callable[[str], object]) -> None:
        self._file = file
        self._show = show
        self._begun = ""

    def write(self, text: str) -> int:
        """Show the lines that are complete with ``text``."""
        done, newline, self._begun = (self._begun + text).rpartition("\n")
        if newline:
            self._show(done + newline)
        elif len(self._begun) > _LONGEST_LINE:
            begun, self._begun = self._begun, ""
            self._show(begun + "\n")
        return len(text)

    def fileno(self) -> int:
        """That of the terminal."""
        return int(self._file.fileno())

    def isatty(self) -> bool:
        """As before."""
        return bool(self._file.isatty())

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As before."""
        return str(self._file.encoding)


class Foreground:
    """The terminal's part of ``run_server``."""

    def __init__(self, server: Any, reactor: Any) -> None:
        self._server = server
        self._reactor = reactor
        self._terminal: Terminal | None = None
        self._printed: Any = sys.stdout
        self._terminals = [each for each in _STANDARD if _is_terminal(each)]

    def begin_log(self) -> None:
        """Have the log shown."""
        # A program without a terminal, as a service may be started, has no standard output at all.
        observers: list[Any] = [] if sys.stdout is None else [self._show]
        globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)

    def begin_console(self, on_interrupt: Callable[[], object]) -> None:
        """Show the console when the server runs, if there is a terminal for it."""
        if self._terminals and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._hung_up))
        if owns_terminal() and hasattr(type(self._server), "served"):
            ready: Deferred[Any] = self._server.when_ready()
            # Why it did not start is said elsewhere.
            ready.addCallbacks(lambda _: self._open(on_interrupt), lambda failure: None)
            ready.addErrback(lambda failure: _log.failure("there is no console on this terminal", failure))

    def _open(self, on_interrupt: Callable[[], object]) -> None:
        with contextlib.suppress(OSError, Unavailable):  # the terminal, or the server, went meanwhile
            terminal = Terminal(self._server.served, on_interrupt)
            terminal.open()
            self._terminal = terminal
            self._printed, sys.stdout = sys.stdout, Printed(sys.stdout, self._show_from_anywhere)

    def end_console(self) -> None:
        """Give the terminal back."""
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            terminal.close()
            sys.stdout = self._printed

    def _show(self, event: LogEvent) -> None:
        text = formatEventAsClassicLogText(event)
        if text is None:
            return
        if self._terminal is None:
            self._print(text)
        else:
            self._show_from_anywhere(text)

    def _show_from_anywhere(self, text: str) -> None:
        if threadable.isInIOThread():
            self._show_text(text)
        else:
            self._reactor.callFromThread(self._show_text, text)

    def _show_text(self, text: str) -> None:
        if self._terminal is not None and self._terminal.is_open:
            self._terminal.print_above(text)
        else:
            self._print(text)

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that is gone, a closed file
            self._printed.write(text)
            self._printed.flush()

    def _hung_up(self) -> None:
        gone = [each for each in self._terminals if not _is_terminal(each)]
        if gone:
            # Whatever prints goes on without an error.
            nothing = os.open(os.devnull, os.O_RDWR)
            for each in gone:
                os.dup2(nothing, each)
            os.close(nothing)
            self._terminals = [each for each in self._terminals if each not in gone]
        _log.info("hang-up: the server runs on")


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
