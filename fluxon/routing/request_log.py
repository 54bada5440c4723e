"""A line in the log for each request, as far as there is room for them.

Rules kept here:

- A line says which request, whose, which view, how it ended and how long it took. Never a payload, a password or a
  token; the session by its public name, an error by its code and the incident that the client was told.
- A busy server must not spend itself on its log, nor a flood push everything else out of it: so many lines a second for
  what was answered, as many for what failed, and one that says how many there were beyond them.
- What is the server's own fault is a warning; what a client did wrong is not.
"""

from __future__ import annotations

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
    """Lines about requests, ``lines`` a second of each kind at most; 0 for none."""

    def __init__(self, clock: IReactorTime, lines: int) -> None:
        self._clock = clock
        self._lines = lines
        self._until = 0.0
        self._answered_left = self._failed_left = 0
        self._skipped = 0
        self._telling: IDelayedCall | None = None

    def note(self, request: Request, now: float, seconds: float, error: FluxonError | None) -> None:
        """``request`` ended at ``now`` after ``seconds``, with ``error`` if there is one."""
        if now >= self._until:
            self._until = now + 1
            self._answered_left = self._failed_left = self._lines
        if error is None:
            left = self._answered_left = self._answered_left - 1
        else:
            left = self._failed_left = self._failed_left - 1
        if left >= 0:
            self._write(request, seconds, error)
            return
        self._skipped += 1
        if self._telling is None and self._lines:
            self._telling = self._clock.callLater(1, self._tell)

    def stop(self) -> None:
        """Say what was not said yet."""
        if self._telling is not None:
            self._telling.cancel()
            self._tell()

    def _tell(self) -> None:
        self._telling = None
        skipped, self._skipped = self._skipped, 0
        _log.info("{skipped} more requests, without a line each", skipped=skipped)

    def _write(self, request: Request, seconds: float, error: FluxonError | None) -> None:
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
