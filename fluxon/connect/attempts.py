"""When a request that is carried out once may be asked again after a lost connection.

Rules of this module: only while the server still has the memory of the session that it was asked under. Pure.

- A hello that was not ``recovered`` says that it may not have it.
- A login on another connection moved the session to where the memory of this one's requests is not; one on this
  connection took it along.
"""

from __future__ import annotations

from fluxon.connect.session import Session, SessionHolder
from fluxon.errors import FluxonError, OutcomeUnknown

_FORGOTTEN = (
    "the connection was lost before the answer, and the server no longer remembers what it was asked; "
    "the request may or may not have been carried out"
)


class Attempts:
    """Those of one request."""

    __slots__ = ("_breaks", "_public_id", "_session", "unanswered")

    def __init__(self, session: Session) -> None:
        assert isinstance(session, SessionHolder)
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

    def check_nothing_sent(self, error: Exception) -> None:
        """There is no connection for another, for this reason. Raises ``OutcomeUnknown`` if there was one."""
        if self.unanswered is not None:
            raise OutcomeUnknown(
                "the connection was lost before the answer and did not come back in time; "
                "the request may or may not have been carried out"
            ) from error
