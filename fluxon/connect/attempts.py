"""When a request that is carried out once may be asked again: after a lost connection, and after a refusal.

Rules of this module, which is pure:

- After a lost connection only while the server still has the memory of the session that it was asked under. A hello
  that was not ``recovered`` says that it may not have it. A login on another connection moved the session to where the
  memory of this one's requests is not; one on this connection took it along.
- After a refusal that says when (``retry_after``): not sooner, a while later that grows and has a random part, so that
  those who were refused together do not come again together, and only where that is within the request's time.
"""

from __future__ import annotations

from collections.abc import Callable

from fluxon.connect.backoff import Backoff
from fluxon.connect.session import Session, SessionHolder
from fluxon.errors import FluxonError, OutcomeUnknown, ResourceExhausted, Unavailable

_FORGOTTEN = (
    "the connection was lost before the answer, and the server no longer remembers what it was asked; "
    "the request may or may not have been carried out"
)


class Attempts:
    """Those of one request. ``random`` gives floats in [0, 1)."""

    __slots__ = ("_backoff", "_breaks", "_public_id", "_random", "_session", "unanswered")

    def __init__(self, session: Session, random: Callable[[], float]) -> None:
        assert isinstance(session, SessionHolder)
        self._random = random
        self._backoff: Backoff | None = None
        self._session = session
        #: The last one that was lost with its connection, if there was one.
        self.unanswered: FluxonError | None = None
        self._breaks = 0
        self._public_id: str | None = None

    def check_remembered(self) -> None:
        """Before each. Raises ``OutcomeUnknown`` when it might be carried out a second time."""
        session = self._session
        if self.unanswered is None:
            self._breaks = session.breaks
        elif self._breaks != session.breaks or self._public_id != session.public_id:
            raise OutcomeUnknown(_FORGOTTEN) from self.unanswered

    def lost(self, error: FluxonError, token: str | None) -> None:
        """One was lost with its connection, which had ``token``. Raises ``error`` when there is to be no other."""
        if token != self._session.token:
            raise error
        self.unanswered = error
        self._public_id = self._session.public_id

    def refused(self, error: ResourceExhausted | Unavailable, left: float) -> float:
        """The server did nothing: how long to wait before the next. Raises ``error`` when there is to be no other.

        ``left`` is the request's time.
        """
        if error.retry_after is not None:
            if self._backoff is None:
                self._backoff = Backoff(self._random)
            wait = error.retry_after + self._backoff.next()
            if wait < left:
                return wait
        if self.unanswered is not None:
            raise OutcomeUnknown(
                f"the connection was lost before the answer, and then the server refused: {error.text}; "
                "the request may or may not have been carried out"
            ) from error
        raise error

    def check_nothing_sent(self, error: Exception) -> None:
        """There is no connection for another, for this reason. Raises ``OutcomeUnknown`` if there was one."""
        if self.unanswered is not None:
            raise OutcomeUnknown(
                "the connection was lost before the answer and did not come back in time; "
                "the request may or may not have been carried out"
            ) from error
