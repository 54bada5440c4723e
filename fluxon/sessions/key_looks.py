"""Looks for session keys that another process of the project has made.

Rules of this module:

- A token of a key that is not known here may be good: another process took up a new key first. So it is judged after a
  look at the keys that began after it came.
- Whoever shows such tokens without end costs one look a second. Those who ask meanwhile wait for the next, together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.errors import Unavailable

#: Seconds between the beginnings of two looks.
EVERY = 1.0


class KeyLooks:
    """``look()`` begins one, and fires when it is over; ``clock`` is the reactor."""

    log = Logger(namespace="fluxon.server")

    def __init__(self, look: Callable[[], Deferred[Any]], clock: Any) -> None:
        self._look = look
        self._clock = clock
        self._next_at = 0.0
        self._waiting: list[Deferred[None]] = []
        self._call: Any = None
        self._stopped = False

    def after_a_look(self) -> Deferred[None]:
        """Fires when a look that has not begun yet is over. Fails with ``Unavailable`` when it cannot be had."""
        if self._stopped:
            return fail(_cannot())
        answer: Deferred[None] = Deferred()
        self._waiting.append(answer)
        if self._call is None:
            delay = self._next_at - self._clock.seconds()
            self._call = self._clock.callLater(min(max(0.0, delay), EVERY), self._begin)
        return answer

    def _begin(self) -> None:
        self._call = None
        self._next_at = self._clock.seconds() + EVERY
        waiting, self._waiting = self._waiting, []
        self._look().addCallbacks(lambda _: None, self._failed).addBoth(_tell, waiting)

    def _failed(self, failure: Failure) -> Failure:
        self.log.error("the session keys cannot be read: {reason}", reason=failure.getErrorMessage())
        return Failure(_cannot())

    def stop(self) -> None:
        """Look no more: whoever waits is refused."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            waiting, self._waiting, self._call = self._waiting, [], None
            _tell(Failure(_cannot()), waiting)


def _tell(result: Any, waiting: list[Deferred[None]]) -> None:
    for each in waiting:
        each.callback(result)  # one that was cancelled takes no notice


def _cannot() -> Unavailable:
    return Unavailable("the server cannot read its session keys now; try again in a moment")
