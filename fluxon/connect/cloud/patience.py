"""How long a transfer goes on trying: as long as it makes progress, and a while more. Pure: the time is an argument."""

from __future__ import annotations

from collections.abc import Callable

from fluxon.errors import FluxonError, OutcomeUnknown, Unavailable

#: What a transfer tries again: the connection was lost, or the server is about to stop.
PASSING = (Unavailable, OutcomeUnknown)

#: Before the first new attempt, and at most before any other; the connection has delays of its own.
_FIRST_DELAY = 0.05
_MAX_DELAY = 2.0

#: Bytes of the first piece that is sent with one deadline, and of the largest. A piece that took less than ``_QUICK``
#: seconds is followed by one of twice the size, one that took more than ``_SLOW`` by one of half: on a slow line
#: progress is still seen, and told, every second or so; on a fast one the pieces cost nothing.
FIRST_PIECE = 256 * 1024
_SMALLEST_PIECE = 16 * 1024
_LARGEST_PIECE = 4 * 1024 * 1024
_QUICK = 0.1
_SLOW = 1.0


class Patience:
    """The time that is left to one transfer: ``seconds`` since anything was gained, by the clock ``now``."""

    def __init__(self, seconds: float, now: Callable[[], float]) -> None:
        self.seconds = seconds
        self._now = now
        self._since = now()
        self._delay = _FIRST_DELAY
        #: Bytes to be sent next.
        self.piece = FIRST_PIECE

    @property
    def deadline(self) -> float:
        """When it is over, if nothing is gained until then."""
        return self._since + self.seconds

    @property
    def left(self) -> float:
        """Seconds until then; never so few that nothing could be asked."""
        return max(self.deadline - self._now(), 0.001)

    def gained(self) -> None:
        """Bytes went over: the time begins anew."""
        self._since = self._now()
        self._delay = _FIRST_DELAY

    def piece_took(self, began: float) -> None:
        """A piece of ``piece`` bytes was begun at ``began``, and went over just now."""
        self.gained()
        took = self._since - began
        if took < _QUICK:
            self.piece = min(self.piece * 2, _LARGEST_PIECE)
        elif took > _SLOW:
            self.piece = max(self.piece // 2, _SMALLEST_PIECE)

    def delay(self, error: FluxonError) -> float:
        """How long to wait before trying again after ``error``; raises it when the time is over."""
        if self._now() + self._delay >= self.deadline:
            raise error
        delay = self._delay
        self._delay = min(delay * 2, _MAX_DELAY)
        return delay
