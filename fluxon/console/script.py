"""The console for a program: lines from a pipe, one after the other.

Rules of this module:

- A script ends at the first line that fails, with its status: what follows was written for when it has worked.
- What waits to be carried out is bounded.
"""

from __future__ import annotations

from collections.abc import Callable

from fluxon.console.console import DONE, FAILED, WRONG, Console, Sink

#: Longer scripts are sent in parts.
MAX_WAITING = 1024 * 1024


class Script:
    """Runs the lines that it is given; ``on_end(status)`` is called once, when all is done or one failed."""

    def __init__(self, console: Console, sink: Sink, on_end: Callable[[int], object]) -> None:
        self._console = console
        self._sink = sink
        self._on_end = on_end
        self._waiting = b""
        self._no_more = False
        self._ended = False
        #: The exit status if it ends now: of what is done, or that something is not.
        self.status = DONE

    def received(self, data: bytes) -> None:
        """More of the script."""
        if self._ended:
            return
        self._waiting += data
        if len(self._waiting) > MAX_WAITING:
            self._sink.complain(f"more than {MAX_WAITING:,} bytes wait to be carried out; send a script in parts")
            self._end(WRONG)
            return
        self._go_on()

    def no_more(self) -> None:
        """The script is complete."""
        self._no_more = True
        self._go_on()

    def end(self) -> None:
        """Nobody is there any more."""
        self._ended = True
        self._console.interrupt()

    def _go_on(self) -> None:
        # A loop, not a recursion: a script may have thousands of lines that are done at once.
        while not self._ended and not self._console.busy:
            line, newline, rest = self._waiting.partition(b"\n")
            if not newline and not self._no_more:
                return
            if not newline and not line:
                self._end(DONE)
                return
            self._waiting = rest
            self.status = FAILED
            outcome = self._console.run(line.decode("utf-8", "replace").strip("\r"), self._sink)
            if outcome.called:
                outcome.addCallback(self._judge)
            else:
                outcome.addCallback(self._done)

    def _done(self, status: int) -> None:
        self._judge(status)
        self._go_on()

    def _judge(self, status: int) -> None:
        self.status = status
        if status != DONE:
            self._end(status)

    def _end(self, status: int) -> None:
        if not self._ended:
            self._ended = True
            self._on_end(status)
