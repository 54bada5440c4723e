"""The sessions of this process: which are live, and whose they are.

Rules of this module:

- A session is found here as long as somebody has it, so two hellos of one id share one object; it is held here only
  while a connection is attached. When the last holder lets go it is gone, without anybody having to say so.
- The last holder may be a view's thread, so a session's disappearance is only noted where it happens; the tables are
  changed on the reactor thread, at the next look.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable

from fluxon.sessions.session import Session


class _Reference(weakref.ref[Session]):
    """A weak reference that still knows where to look for itself when its session is gone."""

    __slots__ = ("key", "user_id")

    key: bytes
    user_id: int | None

    def __new__(cls, session: Session, gone: Callable[[_Reference], object]) -> _Reference:
        self = super().__new__(cls, session, gone)
        self.key = session.key
        self.user_id = session.user_id
        return self


class LiveSessions:
    """Live sessions by key and by user. ``released`` is called when a session's last connection has gone."""

    def __init__(self, connections_per_session: int, released: Callable[[Session], None]) -> None:
        self.connections_per_session = connections_per_session
        self._released = released
        self._by_key: dict[bytes, _Reference] = {}
        self._by_user: dict[int, set[_Reference]] = {}
        self._held: set[Session] = set()
        self._gone: deque[_Reference] = deque()
        # Every session has this: one object for all.
        self._note_gone = self._gone.append

    def __len__(self) -> int:
        self._forget_gone()
        return len(self._by_key)

    def get(self, key: bytes) -> Session | None:
        reference = self._by_key.get(key)
        return None if reference is None else reference()

    def held(self) -> list[Session]:
        """The sessions with a connection."""
        return list(self._held)

    def of_user(self, user_id: int) -> list[Session]:
        """The live sessions of a user: those with a connection, and those on their way to one."""
        self._forget_gone()
        references = self._by_user.get(user_id)
        if not references:
            return []
        return [session for reference in references.copy() if (session := reference()) is not None]

    def add(self, session: Session) -> None:
        self._forget_gone()
        reference = _Reference(session, self._note_gone)
        self._by_key[session.key] = reference
        if session.user_id is not None:
            self._by_user.setdefault(session.user_id, set()).add(reference)

    def remove(self, session: Session) -> None:
        """The session has ended: nobody finds it any more."""
        self._held.discard(session)
        reference = self._by_key.get(session.key)
        if reference is not None and reference() is session:
            self._forget(reference)

    def hold(self, session: Session) -> None:
        self._held.add(session)

    def release(self, session: Session) -> None:
        if session in self._held:
            self._held.remove(session)
            self._released(session)

    def _forget_gone(self) -> None:
        while self._gone:
            self._forget(self._gone.popleft())

    def _forget(self, reference: _Reference) -> None:
        # A session of the same key may have come since: only the one that is meant goes.
        if self._by_key.get(reference.key) is reference:
            del self._by_key[reference.key]
        if reference.user_id is not None:
            references = self._by_user[reference.user_id]
            references.discard(reference)
            if not references:
                del self._by_user[reference.user_id]
