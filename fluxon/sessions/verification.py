"""Whether a session still holds: read again when what is known of it is older than ``Limits.session_freshness``.

Rules of this module:

- The age of what is known counts from before it was read, so nothing is relied on for longer than the limit says.
- A session is confirmed by its row, its user and its user's password together; what is missing ends it.
- A store that cannot be read confirms nothing and ends nothing: the error goes to whoever asked.
- Writing ``used`` back, and clearing away what has ended, keeps nobody waiting and fails nobody's request.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.limits import Limits
from fluxon.sessions.accounts import Accounts, Digest, password_digest
from fluxon.sessions.record import SessionRecord, idle_limit
from fluxon.sessions.session import Ending, Session, public_id
from fluxon.sessions.shared import Shared
from fluxon.sessions.store import SessionStore

#: A store is told of a session's use once in so many seconds: idle times are days, and each telling is a commit.
TOUCH_EVERY = 60.0


@attrs.frozen
class Reading:
    """What a store and the accounts said of a key: a record with its user, or why there is no session."""

    record: SessionRecord | None
    user: Any
    ending: Ending | None


class Verification:
    """Confirms sessions, or ends them with ``end``."""

    log = Logger()

    def __init__(
        self,
        memory: SessionStore,
        persistent: SessionStore,
        accounts: Accounts,
        clock: IReactorTime,
        limits: Limits,
        digest: Digest,
        end: Callable[[Session, Ending], object],
    ) -> None:
        self._memory = memory
        self._persistent = persistent
        self._accounts = accounts
        self._clock = clock
        self._limits = limits
        self._digest = digest
        self._end = end
        self._readings: Shared[float] = Shared()

    def verify(self, session: Session) -> Deferred[bool]:
        """Whether the session holds now. Reads at most once for all who ask at the same time."""
        now = self._clock.seconds()
        if session.ended or session.fresh(now):
            return succeed(not session.ended)
        if session.user_id is None:
            self._confirm_anonymous(session, now)
            return succeed(not session.ended)
        return Deferred.fromCoroutine(self._verify(session, now))

    async def read(self, key: bytes, now: float, used: float | None = None) -> Reading:
        """What stands behind ``key`` among the logged-in sessions. ``used`` when more is known than the store does."""
        record = await self._persistent.load(key)
        if record is None or record.user_id is None:
            return Reading(None, None, Ending.REVOKED)
        if self.expired(record.created, max(record.used, used or 0.0), record.user_id, now):
            return Reading(record, None, Ending.EXPIRED)
        user = await self._accounts.load_user(record.user_id)
        if user is None:
            return Reading(record, None, Ending.USER_DELETED)
        kept = record.password_digest
        if kept is None or not compare_digest(kept, password_digest(self._accounts, self._digest, user)):
            return Reading(record, None, Ending.PASSWORD_CHANGED)
        return Reading(record, user, None)

    def expired(self, created: float, used: float, user_id: int | None, now: float) -> bool:
        return now - created >= self._limits.session_absolute or now - used >= idle_limit(self._limits, user_id)

    def note_use(self, session: Session, now: float, every: float = TOUCH_EVERY) -> None:
        """The session is in use; its store hears of it if it did not for ``every`` seconds."""
        session.used = now
        if now - session.used_written < every:
            return
        session.used_written = now
        store = self._memory if session.user_id is None else self._persistent
        store.touch(session.key, now).addErrback(self._log, "noting its use", session.public_id)

    def clear_away(self, key: bytes) -> None:
        """Delete what stands for a session that is over. It is over without this too; purging gets what is left."""
        self._persistent.delete(key).addErrback(self._log, "deleting its row", public_id(key))

    def _log(self, failure: Failure, what: str, name: str) -> None:
        self.log.failure("session {session}: {what} failed", failure, session=name, what=what)

    async def _verify(self, session: Session, now: float) -> bool:
        begun = await self._reading_of(session)
        # A reading that was under way may have begun too long ago; the next one begins after this call.
        if not session.ended and begun + self._limits.session_freshness <= now:
            await self._reading_of(session)
        return not session.ended

    def _reading_of(self, session: Session) -> Deferred[float]:
        return self._readings.run(session.key, lambda: Deferred.fromCoroutine(self._read_again(session)))

    async def _read_again(self, session: Session) -> float:
        begun = self._clock.seconds()
        reading = await self.read(session.key, begun, begun if session.connections else session.used)
        if session.ended:
            return begun
        if reading.ending is None:
            session.user = reading.user
            self._confirm(session, begun)
            return begun
        self._end(session, reading.ending)
        if reading.record is not None:
            self.clear_away(session.key)
        return begun

    def _confirm_anonymous(self, session: Session, now: float) -> None:
        used = now if session.connections else session.used
        if self.expired(session.created, used, None, now):
            self._end(session, Ending.EXPIRED)
        else:
            self._confirm(session, now)

    def _confirm(self, session: Session, begun: float) -> None:
        session.verified_at = begun
        session.fresh_until = begun + self._limits.session_freshness
        self.note_use(session, begun)
