"""Keys of the cloud's rows: numbers of 63 bits in the order of time.

Rules kept here: within a process each is greater than the one before, whatever the clock does; of several processes on
one database two draw the same number about once in a million milliseconds that they share, and the database then
refuses one of the rows.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable

#: Bits below the milliseconds since 1970. 43 bits of milliseconds last until 2248.
_RANDOM_BITS = 20

#: The item ``/``.
ROOT_ID = 1


class Identifiers:
    """Draws keys. Threads may share it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()

    def draw(self) -> int:
        """The next key."""
        drawn = first_of(self._clock()) | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            self._last = max(drawn, self._last + 1)
            return self._last


def first_of(moment: float) -> int:
    """The smallest key that is drawn at ``moment`` (POSIX seconds) or later."""
    return max(int(moment * 1000), 0) << _RANDOM_BITS
