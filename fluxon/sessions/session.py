"""A session while somebody uses it: from the hello that made or resumed it to its end.

Rules of this module:

- There is one ``Session`` per session id in a process, however many connections share it.
- ``fresh`` is asked before every request: two comparisons, no call, no allocation. All that can make the answer "no"
  (time, the session's end) lies in the two numbers it compares with.
- An ended session never comes back. Its user starts another one.
- Used on the reactor thread only; ``fresh`` and reading attributes are safe anywhere.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from math import inf
from typing import TYPE_CHECKING, Any

import attrs

from fluxon.errors import Conflict, ResourceExhausted
from fluxon.rates import Bucket
from fluxon.sessions.record import SessionRecord, key_of

if TYPE_CHECKING:
    from twisted.internet.defer import DeferredLock

    from fluxon.sessions.live import LiveSessions


class Ending(enum.Enum):
    """Why a session is over."""

    #: A login gave it a new id; the old one is dead.
    ROTATED = "logged in"
    LOGGED_OUT = "logged out"
    #: By an administrator, by the user from another device, or by another process.
    REVOKED = "revoked"
    #: Unused for too long, or too old.
    EXPIRED = "expired"
    PASSWORD_CHANGED = "password changed"
    USER_DELETED = "user deleted"


@attrs.define(eq=False, kw_only=True, repr=False, weakref_slot=True)
class Session:
    """One session of this process. Made by ``Sessions`` alone; compared by identity."""

    #: The secret. Whoever has it and the server's key has the session: never log it.
    id: bytes
    #: What stores know it by.
    key: bytes
    #: Short, and safe to log: it leads neither to the id nor to a token.
    public_id: str
    #: None: nobody is logged in.
    user_id: int | None
    #: The user's row as it was at ``verified_at``; None without a user.
    user: Any
    #: POSIX seconds.
    created: float
    #: POSIX seconds. While a connection is attached the session counts as used, whatever stands here.
    used: float
    #: When the reading began that last confirmed session and user, by the clock of ``Sessions``.
    verified_at: float
    #: Until when that reading may be relied on; minus infinity once the session has ended.
    fresh_until: float
    #: What shares this session, as ``attach`` was given it, in that order. Most have one: a set would be four times as
    #: large.
    connections: tuple[Hashable, ...] = ()
    #: Why it is over; None while it is not.
    ending: Ending | None = None
    #: What the store was last told of ``used``.
    used_written: float
    live: LiveSessions
    #: One login or logout of a session at a time; made when first needed.
    turn: DeferredLock | None = None
    #: What is kept for its client, and what its client was answered: whoever keeps them says what they are.
    outbox: Any = None
    answers: Any = None
    #: How often something of these was given up, or cannot be known to be complete; and of how many of these losses the
    #: client has heard.
    losses: int = 0
    losses_told: int = 0
    #: How often it may ask; made where that is bounded.
    bucket: Bucket | None = None

    def __repr__(self) -> str:
        who = "anonymous" if self.user_id is None else f"user {self.user_id}"
        over = "" if self.ending is None else f", {self.ending.value}"
        return f"<Session {self.public_id} {who}, {len(self.connections)} connections{over}>"

    @property
    def ended(self) -> bool:
        """Whether it is over; ``ending`` says why."""
        return self.ending is not None

    def fresh(self, now: float) -> bool:
        """Whether the session may be relied on at ``now`` without asking its store. False asks for ``verify``.

        ``now`` is by the clock of ``Sessions``. A clock that was turned back makes this False, not true for hours.
        """
        return self.verified_at <= now < self.fresh_until

    def attach(self, connection: Hashable) -> None:
        """Let ``connection`` share the session. Again changes nothing.

        ``ResourceExhausted`` when as many share it as ``Limits.connections_per_session`` allows, ``Conflict``
        when the session has ended.
        """
        if self.ending is not None:
            raise Conflict("this session has ended; say hello again")
        if connection in self.connections:
            return
        bound = self.live.connections_per_session
        if len(self.connections) >= bound:
            raise ResourceExhausted(f"{bound} connections share this session already; close one of them first")
        self.connections += (connection,)
        self.live.hold(self)

    def detach(self, connection: Hashable) -> None:
        """``connection`` is gone, or follows another session. Does nothing if it is not attached."""
        if connection in self.connections:
            self.connections = tuple(each for each in self.connections if each != connection)
            if not self.connections:
                self.live.release(self)

    def end(self, ending: Ending) -> bool:
        """Over, from this moment on; False if it was already. What is stored is the caller's business."""
        if self.ending is not None:
            return False
        self.ending = ending
        self.fresh_until = -inf
        self.live.remove(self)
        return True


def new_session(
    session_id: bytes, record: SessionRecord, user: Any, verified_at: float, fresh_until: float, live: LiveSessions
) -> Session:
    """The live session of a record, known to ``live`` from now on."""
    session = Session(
        id=session_id,
        key=record.key,
        public_id=public_id(record.key),
        user_id=record.user_id,
        user=user,
        created=record.created,
        used=record.used,
        verified_at=verified_at,
        fresh_until=fresh_until,
        used_written=record.used,
        live=live,
    )
    live.add(session)
    return session


def public_id(key: bytes) -> str:
    """The short name of the session stored under ``key``: 48 bits of a hash, enough to tell sessions apart."""
    return key[:6].hex()


def fresh_record(
    session_id: bytes, now: float, user_id: int | None = None, digest: bytes | None = None
) -> SessionRecord:
    """The record of a session that begins at ``now``."""
    return SessionRecord(key_of(session_id), user_id, now, now, digest)
