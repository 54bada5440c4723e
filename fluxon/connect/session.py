"""The session that a client resumes: its newest token, shared by all connections that belong to it.

Rules of this module:

- A token is only replaced by one that continues it: what an older token was answered with is dropped, so that two
  connections of one session cannot log each other out.
- A token never goes to another host, nor from TLS to plain TCP.
- Safe to use from any thread. Nothing is written to disk, and ``repr`` shows no token.
"""

from __future__ import annotations

import threading

from fluxon.errors import ConfigurationError


class SessionHolder:
    """What the client knows of its session with ``host``."""

    __slots__ = ("_lock", "authenticated", "host", "public_id", "secure", "token")

    def __init__(self, host: str, secure: bool) -> None:
        self._lock = threading.Lock()
        self.host = host
        self.secure = secure
        #: The newest token, to be presented in a hello; None before the first.
        self.token: str | None = None
        #: Whether the session was logged in when the server last spoke of it.
        self.authenticated = False
        #: Names the session in the server's logs.
        self.public_id: str | None = None

    def __repr__(self) -> str:
        state = "logged in" if self.authenticated else "anonymous"
        return f"<session {self.public_id or 'not begun'} at {self.host}, {state}>"

    def check_shared_with(self, host: str, secure: bool) -> None:
        """Raise ``ConfigurationError`` if a connection to ``host`` must not be given this session's token."""
        if host.lower() != self.host.lower():
            raise ConfigurationError(
                f"session= is a session with {self.host!r}: it cannot be used with {host!r}; log in there instead"
            )
        if self.secure and not secure:
            raise ConfigurationError("session= is a session over TLS: add secure=True, so that nobody reads its token")

    def greeted(self, presented: str | None, token: str, public_id: str, *, authenticated: bool, fresh: bool) -> bool:
        """A hello with ``presented`` was answered. True when that means that the session was lost.

        Nothing changes when a newer token came in the meantime: the connection that said hello is then behind, and
        says it again before its next command.
        """
        with self._lock:
            if self.token != presented:
                return False
            self.token = token
            self.public_id = public_id
            self.authenticated = authenticated
            return fresh

    def changed(self, token: str, public_id: str, authenticated: bool) -> None:
        """The server says what the session is from now on: somebody logged in or out."""
        with self._lock:
            self.token = token
            self.public_id = public_id
            self.authenticated = authenticated
