"""Whose session a cloud client presents.

Rules of this module: a token never goes to another host, nor from TLS to plain TCP; and nobody is made a stranger, or
somebody else, without having been asked.
"""

from __future__ import annotations

from typing import Any, Final

from fluxon.connect import living
from fluxon.connect.session import FollowedSession, Session, SessionHolder
from fluxon.errors import ConfigurationError


class _Anonymous:
    def __repr__(self) -> str:
        return "ANONYMOUS"


#: For ``connection=``: nobody's session, though this program has connections.
ANONYMOUS: Final = _Anonymous()


def session_for(connection: Any, host: str, secure: bool) -> Session:
    """The session for a cloud client at ``host``. Raises ``ConfigurationError`` where that has to be said."""
    if connection is ANONYMOUS:
        return SessionHolder(host, secure)
    if connection is not None:
        session = connection if isinstance(connection, SessionHolder) else getattr(connection, "session", None)
        if not isinstance(session, SessionHolder):
            raise ConfigurationError(
                "connection= is the ConnectionInterface (or the Client) that logs in, or ANONYMOUS"
            )
        session.check_shared_with(host, secure)
        return FollowedSession(session)
    sessions = living.open_sessions()
    if not sessions:
        return SessionHolder(host, secure)
    if len(sessions) > 1:
        raise ConfigurationError(
            f"this program has {len(sessions)} sessions: say whose this is with connection=, or connection=ANONYMOUS"
        )
    try:
        sessions[0].check_shared_with(host, secure)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"connection= is required here (ANONYMOUS for nobody's): this program's only one does not fit, as "
            f"{error.text}"
        ) from None
    return FollowedSession(sessions[0])
