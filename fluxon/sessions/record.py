"""What a store keeps of a session.

Rules of this module:

- A record never holds the session's id, only its SHA-256: who reads a database or a backup can resume nobody.
- Times are POSIX seconds, so that they mean the same to the next process and on another machine.
"""

from __future__ import annotations

from hashlib import sha256

import attrs

from fluxon.limits import Limits


def key_of(session_id: bytes) -> bytes:
    """The 32 bytes under which a store knows the session of this id.

    A plain hash is enough, unlike for passwords: the id is random, so there is nothing to try out.
    """
    return sha256(session_id).digest()


@attrs.frozen(slots=True)
class SessionRecord:
    """One stored session. ``user_id`` and ``password_digest`` are None together: nobody is logged in."""

    #: ``key_of`` the session's id.
    key: bytes
    user_id: int | None
    #: When this id was made, in POSIX seconds. A login makes a new id.
    created: float
    #: When it was last known to be in use, in POSIX seconds; up to a minute behind the truth.
    used: float
    #: Keyed digest of the user's password field at the login: when the password changes, the session is over.
    password_digest: bytes | None = None
    #: Whether answers were remembered for it, which only the live session has: see ``Session.answers``.
    had_answers: bool = False


def idle_limit(limits: Limits, user_id: int | None) -> float:
    """How many seconds a session of this user (None: of nobody) may stay unused."""
    return limits.session_anonymous_idle if user_id is None else limits.session_idle
