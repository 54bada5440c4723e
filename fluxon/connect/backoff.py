"""How long to wait before the next attempt to connect.

Exponential with jitter: thousands of clients that lost one server must not come back in the same instant, nor one
client knock ten times a second for a night. (Marc Brooker, "Exponential Backoff and Jitter", 2015: here the "equal
jitter" variant, half of the delay being certain.)
"""

from __future__ import annotations

from collections.abc import Callable

#: A server that was only restarted is back within a blink.
FIRST_DELAY = 0.1
FACTOR = 2.0
#: Well below the default timeout of a request, so that one that waits for the connection sees several attempts.
MAX_DELAY = 10.0
#: A connection that held so long, in seconds, was a real one: the next loss begins with the first delay again. One that
#: is lost sooner is a server that takes connections and drops them.
SETTLED = 1.0


class Backoff:
    """The delays of one client, in seconds. ``random`` gives floats in [0, 1)."""

    __slots__ = ("_delay", "_random")

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._delay = FIRST_DELAY

    def next(self) -> float:
        """The delay before the next attempt; twice as long each time, up to ``MAX_DELAY``."""
        delay = self._delay
        self._delay = min(delay * FACTOR, MAX_DELAY)
        return delay * (0.5 + self._random() / 2)

    def connected_for(self, seconds: float) -> None:
        """A connection held so long."""
        if seconds >= SETTLED:
            self._delay = FIRST_DELAY
