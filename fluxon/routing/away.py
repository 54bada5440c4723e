"""Sessions whose client is away and expected back, each held until its time is over.

Rules of this module: in the order in which they left, so one timer does for all; at most so many, of which those go
first that have been away longest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall

if TYPE_CHECKING:
    from fluxon.sessions import Session


class Away:
    """Holds sessions for ``seconds``, ``most`` of them; ``forgotten`` is called with each that did not come back."""

    def __init__(self, clock: Any, seconds: float, most: int, forgotten: Callable[[Session], None]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._forgotten = forgotten
        self._until: OrderedDict[Session, float] = OrderedDict()
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._until)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._until))

    def __contains__(self, session: object) -> bool:
        return session in self._until

    def add(self, session: Session) -> None:
        """Its client has just left."""
        self._until[session] = self._clock.seconds() + self._seconds
        self._until.move_to_end(session)
        while len(self._until) > self._most:
            self._forget(next(iter(self._until)))
        self._wake()

    def discard(self, session: Session) -> None:
        """Its client is back, or is not expected any more."""
        self._until.pop(session, None)

    def stop(self) -> None:
        """Hold nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._until.clear()

    def _wake(self) -> None:
        if self._timer is None and self._until:
            first = next(iter(self._until.values()))
            self._timer = self._clock.callLater(max(0.0, first - self._clock.seconds()), self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        while self._until and next(iter(self._until.values())) <= now:
            self._forget(next(iter(self._until)))
        self._wake()

    def _forget(self, session: Session) -> None:
        del self._until[session]
        self._forgotten(session)
