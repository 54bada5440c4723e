"""The console on the terminal that the server was started from.

Rules of this module:

- Only where there is one: standard input and output are a terminal, and this process is in its foreground. Otherwise
  nothing here is begun, and nothing reads standard input, ever.
- The terminal is opened anew, so that being non-blocking is this module's own affair: flags belong to an open file, and
  the shell and every child share the one behind descriptors 0, 1 and 2.
- Its modes are as they were whenever somebody else has it: at every end of the process that code can see, while it is
  stopped (Ctrl+Z), and in the background, where nothing is read.
- A terminal that goes away ends the console and not the server.
- Nobody waits for a terminal: what it does not take is left out, and said so.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import select
import signal
import termios
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.console.actions import ACTIONS
from fluxon.console.console import Console
from fluxon.console.served import Served
from fluxon.console.shell import Shell
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.console")

#: Output that the terminal has not taken: above it, lines of the log are left out.
_ROOM = 256 * 1024
#: Seconds that the last words may take to leave.
_LAST_WORDS = 0.5
_THREADS = 4


def owns_terminal() -> bool:
    """Whether this process has a terminal for itself: to read from, to write to, and in its foreground."""
    if os.environ.get("TERM") == "dumb":  # an editor's, say, which can show no prompt
        return False
    try:
        return os.isatty(0) and os.isatty(1) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


class Terminal(FileDescriptor):
    """The console of ``served`` on the terminal behind descriptor 0.

    ``on_interrupt`` is called for a Ctrl+C that is no command's and abandons no line.
    """

    reactor: Any

    def __init__(self, served: Served, on_interrupt: Callable[[], object]) -> None:
        super().__init__(served.reactor)
        self._on_interrupt = on_interrupt
        self._threads = WorkerPool("console", _THREADS, served.reactor)
        self._fd = -1
        self._saved: list[Any] | None = None
        self._signals: dict[int, Any] = {}
        self._left_out = 0
        self._in_background = False
        self._shell = Shell(
            Console(served, "terminal", self._threads, ACTIONS),
            self._put,
            self._columns,
            room=lambda: self._has_room,
            on_end=self._asked_to_leave,
        )

    # --- from its beginning to its end --------------------------------------------------------------------------------

    def open(self) -> None:
        """Show the prompt. Raises ``OSError`` where there is no terminal after all."""
        self._fd = os.open(os.ttyname(0), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._saved = termios.tcgetattr(self._fd)
            self._take()
        except termios.error as error:
            fd, self._fd = self._fd, -1
            os.close(fd)
            raise OSError(*error.args) from error
        self.connected = 1
        atexit.register(self._give_back)
        handlers: dict[int, Any] = {
            # In the background reading fails instead of stopping the server, and so does changing the modes.
            signal.SIGTTIN: signal.SIG_IGN,
            signal.SIGTTOU: signal.SIG_IGN,
            signal.SIGTSTP: self._stop_for_a_while,
            signal.SIGCONT: lambda *_: self.reactor.callFromThread(self._continued),
            signal.SIGWINCH: lambda *_: self.reactor.callFromThread(self._redraw),
            signal.SIGINT: lambda *_: self.reactor.callFromThread(self._interrupted),
        }
        self._signals = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        self._shell.start("Type help for the commands, Ctrl+C to stop the server.")
        self.startReading()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """End the console, and give the terminal back as it was. Again does nothing."""
        if self._fd < 0:
            return
        self._shell.end()
        self.write(b"\r\x1b[K")
        self._let_last_words_leave()
        self._end()

    def _end(self) -> None:
        self.stopReading()  # type: ignore[no-untyped-call]
        self.stopWriting()  # type: ignore[no-untyped-call]
        self.connected = 0
        self.disconnected = 1
        self._give_back()
        atexit.unregister(self._give_back)
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        self._signals.clear()
        fd, self._fd = self._fd, -1
        os.close(fd)
        self._threads.stop()

    def _let_last_words_leave(self) -> None:
        left = self.dataBuffer[self.offset :] + b"".join(self._tempDataBuffer)
        until = time.monotonic() + _LAST_WORDS
        while left and (patience := until - time.monotonic()) > 0:
            try:
                if not select.select([], [self._fd], [], patience)[1]:
                    return
                left = left[os.write(self._fd, left) :]
            except OSError:  # it is gone
                return

    # --- the terminal's modes -----------------------------------------------------------------------------------------

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False

    def _take(self) -> None:
        """Keys one by one and unseen. Ctrl+C and Ctrl+Z stay signals: they work whatever the reactor is doing."""
        modes = termios.tcgetattr(self._fd)
        modes[0] &= ~(termios.IXON | termios.ICRNL | termios.INLCR | termios.ISTRIP)
        modes[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
        modes[3] |= termios.ISIG
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        # Ctrl+\ would end the process on the spot, with the terminal like this.
        modes[6][termios.VQUIT] = b"\0"
        termios.tcsetattr(self._fd, termios.TCSANOW, modes)

    def _give_back(self) -> None:
        if self._saved is not None and self._fd >= 0 and self._in_foreground():
            with contextlib.suppress(OSError, termios.error):  # it is gone
                termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)

    def _stop_for_a_while(self, number: int, _: object) -> None:
        """Ctrl+Z: the shell gets its terminal as it was."""
        self._give_back()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # Somebody has continued it: ``_continued`` looks in which way.
        signal.signal(number, self._stop_for_a_while)

    def _continued(self) -> None:
        if self._fd < 0:
            return
        self._in_background = not self._in_foreground()
        if self._in_background:
            self.stopReading()  # type: ignore[no-untyped-call]
        else:
            with contextlib.suppress(OSError, termios.error):
                self._take()
            self.startReading()  # type: ignore[no-untyped-call]
            self._redraw()

    # --- input and output ---------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """The descriptor, for the reactor."""
        return self._fd

    def doRead(self) -> Any:
        """Keys have come, or the end of the terminal."""
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EIO and self._is_there():
                # Somebody else has the terminal: nothing of what is typed is ours.
                self._in_background = True
                self.stopReading()  # type: ignore[no-untyped-call]
                return None
            return CONNECTION_LOST
        if not data:
            return CONNECTION_LOST
        self._shell.received(data)
        return None

    def _is_there(self) -> bool:
        try:
            os.tcgetpgrp(self._fd)
        except OSError:
            return False
        return True

    def writeSomeData(self, data: bytes) -> Any:
        """How much of ``data`` the terminal has taken."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            return CONNECTION_LOST

    def connectionLost(self, reason: Failure) -> None:
        """The terminal is gone."""
        if self._fd < 0:
            return
        self._shell.end()
        self._end()
        _log.info("the terminal is gone; the server runs on")

    def _put(self, text: str) -> None:
        # The terminal itself makes a return of every line's end, for whoever else writes on it.
        self.write(text.replace("\r\n", "\n").encode("utf-8", "replace"))

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._fd).columns or 80
        except OSError:
            return 80

    @property
    def _has_room(self) -> bool:
        return len(self.dataBuffer) - self.offset + self._tempDataLen < _ROOM

    # --- from elsewhere -----------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it has the terminal."""
        return self._fd >= 0

    def print_above(self, text: str) -> None:
        """Show lines of somebody else, such as the log. On the reactor thread."""
        if not self.is_open:
            return
        if not self._has_room:
            self._left_out += 1
            return
        if self._left_out:
            text = f"[{self._left_out} entries were left out: the terminal did not take them]\n{text}"
            self._left_out = 0
        if self._in_background:
            self._put(text)
        else:
            self._shell.print_above(text)

    def _redraw(self) -> None:
        if self.is_open and not self._in_background:
            self._shell.redraw()

    def _interrupted(self) -> None:
        if not self.is_open or not self._shell.interrupt():
            self._on_interrupt()

    def _asked_to_leave(self) -> None:
        self._shell.complain("Ctrl+C or terminate stops the server; there is nothing to leave here.")
