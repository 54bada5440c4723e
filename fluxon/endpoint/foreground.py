"""What a program in the foreground has of its terminal: the log on it, the console if it owns it, and its loss.

Rules of this module:

- The log is on the terminal from the first moment to the last: plainly, or above the console's prompt while there is
  one. It may come from any thread.
- A terminal that goes away (SIGHUP) ends nobody's server: where it was, there is ``/dev/null``. After ``nohup`` the
  signal is nobody's business.
"""

from __future__ import annotations

import contextlib
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

_STANDARD = (0, 1, 2)


class Foreground:
    """The terminal's part of ``run_server``."""

    def __init__(self, server: Any, reactor: Any) -> None:
        self._server = server
        self._reactor = reactor
        self._terminal: Terminal | None = None
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
            ready.addCallback(lambda _: self._open(on_interrupt))
            # Why it did not start is said elsewhere.
            ready.addErrback(lambda failure: failure.trap(Exception) and None)

    def _open(self, on_interrupt: Callable[[], object]) -> None:
        with contextlib.suppress(OSError, Unavailable):  # the terminal, or the server, went meanwhile
            terminal = Terminal(self._server.served, on_interrupt)
            terminal.open()
            self._terminal = terminal

    def end_console(self) -> None:
        """Give the terminal back."""
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            terminal.close()

    def _show(self, event: LogEvent) -> None:
        text = formatEventAsClassicLogText(event)
        if text is None:
            return
        if self._terminal is None:
            _print(text)
        elif threadable.isInIOThread():
            self._show_text(text)
        else:
            self._reactor.callFromThread(self._show_text, text)

    def _show_text(self, text: str) -> None:
        if self._terminal is not None and self._terminal.is_open:
            self._terminal.print_above(text)
        else:
            _print(text)

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


def _print(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # a terminal that is gone, a closed file
        sys.stdout.write(text)
        sys.stdout.flush()


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
