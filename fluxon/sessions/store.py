"""What every session store promises; ``tests/contract/test_session_stores.py`` holds each of them to it.

Rules of every store:

- It is called on the reactor thread and answers with Deferreds; it blocks nothing.
- What it has answered is done: a later call, of this process or of another on the same store, sees it.
- A call that fails has changed nothing (``OutcomeUnknown`` excepted, which says so).
- It judges nothing. Whether a record is too old or its user still exists is the business of ``Sessions``.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from fluxon.sessions.record import SessionRecord


class SessionStore(Protocol):
    """Records by key."""

    def load(self, key: bytes) -> Deferred[SessionRecord | None]:
        """The record, or None."""

    def save(self, record: SessionRecord) -> Deferred[None]:
        """Keep ``record``, in place of any of the same key."""

    def touch(self, key: bytes, used: float) -> Deferred[None]:
        """Note that the session was in use at ``used``. Never turns time back, and never revives a deleted record."""

    def delete(self, key: bytes) -> Deferred[bool]:
        """Forget one record; whether there was one."""

    def delete_user(self, user_id: int, except_key: bytes | None = None) -> Deferred[int]:
        """Forget every record of a user, but the one of ``except_key``; how many there were."""

    def replace(self, old_key: bytes, record: SessionRecord) -> Deferred[bool]:
        """Forget the record of ``old_key`` and keep ``record``, in one step: no one ever sees both or neither.

        When there is no record of ``old_key`` any more, nothing is kept and the answer is False: a session that
        was revoked a moment ago must not live on under a new id.
        """

    def list_user(self, user_id: int) -> Deferred[list[SessionRecord]]:
        """The records of a user, the most recently used first."""

    def purge(self, now: float, idle: float, absolute: float) -> Deferred[int]:
        """Forget what was not used for ``idle`` seconds, or was made ``absolute`` seconds ago; how many."""
