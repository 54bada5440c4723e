"""A line in the log for each request, as far as there is room for them.

Rules kept here:

- A line says which request, whose, which view, how it ended and how long it took. Never a payload, a password or a
  token; the session by its public name, an error by its code and the incident that the client was told.
- A busy server must not spend itself on its log, nor a flood push everything else out of it: so many lines a second for
  what was answered, as many for what failed, and one that says how many there were beyond them.
- What is the server's own fault is a warning; what a client did wrong is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

from fluxon.errors import DeadlineExceeded, FluxonError, Internal, OutcomeUnknown, ResourceExhausted, Unserialisable

if TYPE_CHECKING:
    from fluxon.routing.request import Request

_log = Logger(namespace="fluxon.requests")

#: What an operator should look at.
_FAULTS = (Internal, DeadlineExceeded, OutcomeUnknown, ResourceExhausted, Unserialisable)

_FORMAT = "{view} {code} in {milliseconds} ms, {who}, session {session}, request {request}"


class RequestLog:
    """Lines about requests, ``lines`` a second of each kind at most; 0 for none.

    ``answered`` tells how many requests have been answered, those of ``note`` included.
    """

    def __init__(self, clock: IReactorTime, lines: int, answered: Callable[[], int]) -> None:
        self._clock = clock
        self._lines = lines
        self._answered = answered
        self._until = 0.0
        self._answered_left = self._failed_left = 0
        #: Whether there is room for one that was answered; if not, nobody needs to tell of it.
        self.open = lines > 0
        self._answered_at_closing = 0
        self._failed_skipped = 0
        self._reopening: IDelayedCall | None = None

    def note(self, request: Request[Any], now: float, seconds: float, error: FluxonError | None) -> None:
        """``request`` ended at ``now`` after ``seconds``, with ``error`` if there is one."""
        if now >= self._until and self._reopening is None:
            self._refill(now)
        if error is not None:
            if self._failed_left:
                self._failed_left -= 1
                self._write(request, seconds, error)
            else:
                self._failed_skipped += 1
                self._reopen_later(now)
        elif self.open:
            self._answered_left -= 1
            self._write(request, seconds, None)
            if not self._answered_left:
                self.open = False
                self._answered_at_closing = self._answered()
                self._reopen_later(now)

    def _refill(self, now: float) -> None:
        self._until = now + 1
        self._answered_left = self._failed_left = self._lines

    def _reopen_later(self, now: float) -> None:
        if self._reopening is None and self._lines:
            self._reopening = self._clock.callLater(max(0.0, self._until - now), self._reopen)

    def stop(self) -> None:
        """Say what was not said yet."""
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopen()

    def _reopen(self) -> None:
        self._reopening = None
        skipped, self._failed_skipped = self._failed_skipped, 0
        if not self.open:
            skipped += self._answered() - self._answered_at_closing
            self.open = True
        self._refill(self._clock.seconds())
        if skipped:
            _log.info("{skipped} more requests, without a line each", skipped=skipped)

    def _write(self, request: Request[Any], seconds: float, error: FluxonError | None) -> None:
        level = LogLevel.warn if isinstance(error, _FAULTS) else LogLevel.info
        fields: dict[str, Any] = {
            "view": request.view,
            "code": "ok" if error is None else error.code,
            "milliseconds": round(seconds * 1000, 2),
            "session": request.sessionid,
            "request": request.id,
        }
        user = request.user
        fields["user"] = None if user is None else user.id
        fields["who"] = "nobody" if user is None else f"user {user.id}"
        text = _FORMAT
        incident = None if error is None else error.details.get("incident")
        if incident is not None:
            fields["incident"] = incident
            text += ", incident {incident}"
        _log.emit(level, text, **fields)
