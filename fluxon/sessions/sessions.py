"""The sessions of a server: resumed, logged in, logged out, revoked.

Rules of this module:

- A login or a logout makes a new id. The old one is dead, in the store and here, before the new one is answered: an id
  that somebody planted or copied before a login is worth nothing after it.
- Whatever fails leaves the session as it was. Arguments are looked at before anything is touched.
- One login or logout of a session at a time, each carried to its end. One session has one successor at most.
- Nobody learns why a token was not honoured: forged, unknown, expired and revoked ones get the same new session.
- Anonymous sessions live in memory. Logged-in ones are rows of the persistent store too, and the row decides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fluxon.errors import Conflict, InvalidPayload, NotFound
from fluxon.limits import MAX_INT, Limits
from fluxon.security.tokens import SESSION_ID_BYTES, TokenSigner
from fluxon.sessions.accounts import Accounts, Digest, password_digest
from fluxon.sessions.live import LiveSessions
from fluxon.sessions.memory import MemoryStore
from fluxon.sessions.record import SessionRecord, idle_limit, key_of
from fluxon.sessions.session import Ending, Session, fresh_record, new_session
from fluxon.sessions.shared import Shared, unstoppable
from fluxon.sessions.store import SessionStore
from fluxon.sessions.verification import Verification

T = TypeVar("T")

#: Endings that a login still may follow: the view that asks for it has just checked who the user is. Not so after a
#: revocation, or whoever was thrown out could stay by logging in from a request under way.
_MAY_LOG_IN = (None, Ending.EXPIRED, Ending.PASSWORD_CHANGED)

#: A held session's use is written back before purging when the store's word is older than this part of the idle time.
_PURGE_MARGIN = 0.25


@attrs.frozen
class Resumed:
    """The answer to a hello."""

    session: Session
    #: What the client presents next time; signed with the newest key.
    token: str
    #: A token was offered and not honoured: this is a new anonymous session instead.
    fresh: bool


class Sessions:
    """All sessions of one server process. To be used on the reactor thread.

    ``digest`` is ``Secrets.digest``; ``random(n)`` gives n unpredictable bytes; ``clock`` tells POSIX seconds, as
    reactors do. Without ``persistent`` logged-in sessions live in this process only. ``on_end`` hears of each session
    once, at its end, with ``session.ending`` and its connections still there. ``look_for_keys()`` has ``signer`` take
    up keys that another process has made.
    """

    log = Logger()

    def __init__(
        self,
        signer: TokenSigner,
        accounts: Accounts,
        clock: IReactorTime,
        limits: Limits,
        *,
        digest: Digest,
        memory: SessionStore | None = None,
        persistent: SessionStore | None = None,
        random: Callable[[int], bytes] = os.urandom,
        on_end: Callable[[Session], None] | None = None,
        look_for_keys: Callable[[], Deferred[None]] | None = None,
    ) -> None:
        self._signer = signer
        self._look_for_keys = look_for_keys
        self._accounts = accounts
        self._clock = clock
        self._limits = limits
        self._digest = digest
        self._memory: SessionStore = MemoryStore(limits.anonymous_sessions) if memory is None else memory
        # A store of its own even then: strangers must not push out those who are logged in.
        self._persistent: SessionStore = MemoryStore(limits.anonymous_sessions) if persistent is None else persistent
        self._random = random
        self._on_end = on_end
        self._live = LiveSessions(limits.connections_per_session, self._released)
        self._loading: Shared[Session | None] = Shared()
        self._revocations = 0
        self._verification = Verification(self._memory, self._persistent, accounts, clock, limits, digest, self._end)

    @property
    def live_count(self) -> int:
        """How many sessions are live: have a connection, or are on their way to one."""
        return len(self._live)

    def used(self, now: float) -> dict[str, float]:
        """What is used of the limits of sessions, by their names; the most of one, where they are each one's."""
        held = self._live.held()
        return {
            "connections_per_session": max((len(each.connections) for each in held), default=0),
            "anonymous_sessions": len(self._memory) if isinstance(self._memory, MemoryStore) else 0,
            # Of the busiest, over the last seconds.
            "request_rate": max((each.bucket.used(now) for each in held if each.bucket is not None), default=0.0)
            / self._limits.request_burst,
        }

    def connected(self) -> list[Session]:
        """The sessions with a connection."""
        return self._live.held()

    def of_user(self, user_id: int) -> list[Session]:
        """The live sessions of a user, none of them known to have ended."""
        return self._live.of_user(user_id)

    def find(self, key: bytes) -> Session | None:
        """The live session that stores know by ``key``."""
        return self._live.get(key)

    def list_user(self, user_id: int) -> Deferred[list[SessionRecord]]:
        """Every session of a user, of all processes, the most recently used first."""
        return self._persistent.list_user(user_id)

    def resume(self, token: str | None) -> Deferred[Resumed]:
        """The session of ``token``, or a new anonymous one. Fails only when the store, or a look for keys, does."""
        session_id = None if token is None else self._signer.verify(token)
        if session_id is None:
            if self._look_for_keys is not None and self._signer.is_of_unknown_key(token):
                return Deferred.fromCoroutine(self._resume_after(self._look_for_keys(), token))
            return succeed(self._begin_anonymous(refused=token is not None))
        return Deferred.fromCoroutine(self._resume(session_id))

    def verify(self, session: Session) -> Deferred[bool]:
        """Whether the session holds, read again if need be; False: it has ended. Fails when the store does."""
        return self._verification.verify(session)

    def login(self, session: Session, user_id: int) -> Deferred[tuple[Session, str]]:
        """Log a user in: the session that follows ``session``, and its token.

        The caller has checked who the user is. ``InvalidPayload`` when ``user_id`` is no positive int, ``NotFound``
        when there is no such user, ``Conflict`` when the session was logged in, logged out or revoked meanwhile.
        """
        if type(user_id) is not int or not 0 < user_id <= MAX_INT:
            return fail(InvalidPayload("login takes the id of a user, a positive int"))
        return self._in_turn(session, lambda: self._login(session, user_id))

    def logout(self, session: Session) -> Deferred[tuple[Session, str]]:
        """End the session: the new anonymous one that follows it, and its token. ``Conflict`` after a login."""
        return self._in_turn(session, lambda: self._logout(session))

    def revoke(self, target: Session | SessionRecord) -> Deferred[bool]:
        """End one session; False if it was over already."""
        session = target if isinstance(target, Session) else self._live.get(target.key)
        if session is not None:
            return self._in_turn(session, lambda: self._revoke(session))
        return unstoppable(Deferred.fromCoroutine(self._revoke_stored(target.key)))

    def revoke_user(self, user_id: int, keep: Session | None = None) -> Deferred[int]:
        """End every session of a user but ``keep``: how many. Other processes notice within the freshness limit."""
        return unstoppable(Deferred.fromCoroutine(self._revoke_user(user_id, keep)))

    def purge(self) -> Deferred[int]:
        """Forget what has expired: how many. For a service to call now and then."""
        return Deferred.fromCoroutine(self._purge())

    async def _resume_after(self, look: Deferred[None], token: str | None) -> Resumed:
        await look
        session_id = self._signer.verify(token)
        return self._begin_anonymous(refused=True) if session_id is None else await self._resume(session_id)

    async def _resume(self, session_id: bytes) -> Resumed:
        key = key_of(session_id)
        session = self._live.get(key)
        if session is None:
            session = await self._loading.run(key, lambda: Deferred.fromCoroutine(self._load(session_id, key)))
        if session is None or not await self.verify(session):
            return self._begin_anonymous(refused=True)
        self._verification.note_use(session, self._clock.seconds())
        return Resumed(session, self._signer.sign(session.id), False)

    async def _load(self, session_id: bytes, key: bytes) -> Session | None:
        now = self._clock.seconds()
        record, user = await self._memory.load(key), None
        if record is not None:
            if self._verification.expired(record.created, record.used, None, now):
                await self._memory.delete(key)
                return None
            session = self._live_session(session_id, record, None, now)
            session.losses = int(record.had_answers)
            return session
        revocations = self._revocations
        reading = await self._verification.read(key, now)
        record, user = reading.record, reading.user
        if record is None:
            return None
        if reading.ending is not None:
            self._verification.clear_away(key)
            return None
        session = self._live_session(session_id, record, user, now)
        # It was forgotten here, or another process has had it: what was kept for it, nobody knows.
        session.losses = 1
        if revocations != self._revocations:
            # Perhaps this one, after it was read: verify, which follows, has to look again.
            session.fresh_until = now
        return session

    async def _login(self, session: Session, user_id: int) -> tuple[Session, str]:
        now = self._clock.seconds()
        user = await self._accounts.load_user(user_id)
        if user is None:
            raise NotFound("there is no user of that id to log in")
        if session.ending not in _MAY_LOG_IN:
            raise _over(session)
        session_id = self._random(SESSION_ID_BYTES)
        record = fresh_record(session_id, now, user_id, password_digest(self._accounts, self._digest, user))
        if session.user_id is None or session.ended:
            await self._persistent.save(record)
        elif not await self._persistent.replace(session.key, record):
            self._end(session, Ending.REVOKED)
            raise _over(session)
        self._end(session, Ending.ROTATED)
        if session.user_id is None:
            await self._memory.delete(session.key)
        return self._live_session(session_id, record, user, now), self._signer.sign(session_id)

    async def _logout(self, session: Session) -> tuple[Session, str]:
        if session.ending is Ending.ROTATED:
            raise _over(session)
        if not session.ended:
            await self._store_of(session).delete(session.key)
            self._end(session, Ending.LOGGED_OUT)
        following = self._begin_anonymous(refused=False)
        return following.session, following.token

    async def _revoke(self, session: Session) -> bool:
        if session.ended:
            return False
        await self._store_of(session).delete(session.key)
        return self._end(session, Ending.REVOKED)

    async def _revoke_stored(self, key: bytes) -> bool:
        deleted = await self._persistent.delete(key)
        self._revocations += 1
        if (session := self._live.get(key)) is not None:  # it came while the row was being deleted
            self._end(session, Ending.REVOKED)
        return deleted

    async def _revoke_user(self, user_id: int, keep: Session | None) -> int:
        count = await self._persistent.delete_user(user_id, None if keep is None else keep.key)
        self._revocations += 1
        for session in self._live.of_user(user_id):
            if session is not keep:
                self._end(session, Ending.REVOKED)
        return count

    async def _purge(self) -> int:
        now, limits = self._clock.seconds(), self._limits
        for session in self._live.held():
            if now - session.created >= limits.session_absolute:
                self._end(session, Ending.EXPIRED)
            else:
                # Who only listens makes no request that would have told the store.
                self._verification.note_use(session, now, _PURGE_MARGIN * idle_limit(limits, session.user_id))
        gone = await self._memory.purge(now, limits.session_anonymous_idle, limits.session_absolute)
        return gone + await self._persistent.purge(now, limits.session_idle, limits.session_absolute)

    def _begin_anonymous(self, refused: bool) -> Resumed:
        now = self._clock.seconds()
        session_id = self._random(SESSION_ID_BYTES)
        record = fresh_record(session_id, now)
        self._memory.save(record)
        return Resumed(self._live_session(session_id, record, None, now), self._signer.sign(session_id), refused)

    def _live_session(self, session_id: bytes, record: SessionRecord, user: Any, now: float) -> Session:
        return new_session(session_id, record, user, now, now + self._limits.session_freshness, self._live)

    def _in_turn(self, session: Session, work: Callable[[], Coroutine[Any, Any, T]]) -> Deferred[T]:
        if session.turn is None:
            session.turn = DeferredLock()
        return unstoppable(session.turn.run(lambda: Deferred.fromCoroutine(work())))

    def _store_of(self, session: Session) -> SessionStore:
        return self._memory if session.user_id is None else self._persistent

    def _end(self, session: Session, ending: Ending) -> bool:
        if not session.end(ending):
            return False
        if self._on_end is not None:
            try:
                self._on_end(session)
            except Exception:
                self.log.failure("hearing of the end of session {session} failed", session=session.public_id)
        return True

    def _released(self, session: Session) -> None:
        """The last connection has gone; the session waits in its store for its client to come back."""
        now = self._clock.seconds()
        if session.user_id is None:
            session.used = session.used_written = now
            # Saved, not touched: its record may have been pushed out, or purged, while it was in use.
            had_answers = session.answers is not None or session.losses > session.losses_told
            self._memory.save(SessionRecord(session.key, None, session.created, now, had_answers=had_answers))
        else:
            self._verification.note_use(session, now)


def _over(session: Session) -> Conflict:
    why = session.ending.value if session.ending is not None else "over"
    return Conflict(f"this session was {why} by another request meanwhile; log in again")
