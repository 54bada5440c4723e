"""The last lines of the log, kept for whoever asks, and followed by whoever wants more.

Rules of this module: a fixed number of lines, each of bounded length; it may be told from any thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.logger import ILogObserver, LogEvent, formatEventAsClassicLogText
from zope.interface import implementer

#: Some hours of a quiet server's log, some seconds of a noisy one's: 300 KiB of ordinary lines, 16 MiB at most.
KEPT = 2_000
#: A traceback is several lines; one of a recursion would be thousands.
_LONGEST = 8_192


@implementer(ILogObserver)
class RecentLines:
    """A log observer. ``reactor`` carries lines to followers, who hear of them on its thread."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._followers: list[Callable[[str], None]] = []
        # On their way to followers: no more than are kept, however much is logged before the reactor gets to it.
        self._untold: deque[str] = deque()
        self._left_out = 0

    def __call__(self, event: LogEvent) -> None:
        text = formatEventAsClassicLogText(event)
        if text is None:
            return
        for line in text[:_LONGEST].rstrip("\n").split("\n"):
            self._lines.append(line)
            if self._followers:
                self._pass_on(line)

    def last(self, count: int) -> list[str]:
        """The last ``count`` lines that are kept."""
        return list(self._lines)[-count:] if count > 0 else []

    def follow(self, function: Callable[[str], None]) -> Callable[[], None]:
        """Have ``function(line)`` called for each line from now on, until the answer is called."""
        self._followers.append(function)
        return lambda: self._followers.remove(function)

    def _pass_on(self, line: str) -> None:
        if len(self._untold) >= KEPT:
            self._left_out += 1
            return
        self._untold.append(line)
        if len(self._untold) == 1:
            self._reactor.callFromThread(self._tell)

    def _tell(self) -> None:
        lines = [self._untold.popleft() for _ in range(len(self._untold))]
        if self._left_out:
            lines.append(f"[{self._left_out} lines were left out: more was logged than could be shown]")
            self._left_out = 0
        for function in tuple(self._followers):
            for line in lines:
                function(line)
