"""The session that a client resumes: its newest token, shared by all connections that belong to it.

Rules of this module:

- A session is kept by connections to the server that made it; a connection to another one (the cloud's, which may be a
  process of its own) follows it: presents its token, and never replaces it.
- A token is only replaced by one that continues it: what an older token was answered with is dropped, so that two
  connections of one session cannot log each other out.
- A token never goes to another host, nor from TLS to plain TCP.
- Safe to use from any thread. Nothing is written to disk, and ``repr`` shows no token.
"""

from __future__ import annotations

import threading
from typing import Protocol

from fluxon.arguments import shown
from fluxon.connect.numbers import Numbers
from fluxon.errors import ConfigurationError


class SessionHolder:
    """What the client knows of its session with ``host``."""

    __slots__ = ("_lock", "authenticated", "breaks", "host", "numbers", "public_id", "secure", "token")

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
        #: The server's numbered calls, of which none is to be carried out twice.
        self.numbers = Numbers()
        #: How often the server said in a hello that it does not remember all of the session. What was asked before and
        #: is asked again after one may be carried out twice.
        self.breaks = 0

    @property
    def seen(self) -> int:
        """What to say in a hello of the numbered calls."""
        return self.numbers.seen

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

    def resume(self, token: str) -> None:
        """Begin with the token of a session in which somebody was logged in."""
        with self._lock:
            self.token = token
            self.authenticated = True

    def greeted(
        self,
        presented: str | None,
        token: str,
        public_id: str,
        *,
        authenticated: bool,
        fresh: bool,
        recovered: bool = False,
    ) -> bool:
        """A hello with ``presented`` was answered. True when that means that the session was lost.

        The token stays as it is when a newer one came in the meantime: the connection that said hello is then behind,
        and says it again before its next command.
        """
        with self._lock:
            if not recovered:
                self.breaks += 1
            if self.token != presented:
                return False
            self.token = token
            self.public_id = public_id
            self.authenticated = authenticated
            return fresh

    def known_as(self, presented: str | None, token: str, *, fresh: bool) -> str | None:
        """The token that a connection has when its hello with ``presented`` was answered with ``token``."""
        return token

    def is_behind(self, token: str | None) -> bool:
        """Whether a connection that has ``token`` has to say hello again before its next command."""
        return token != self.token

    def changed(self, token: str, public_id: str, authenticated: bool) -> None:
        """The server says what the session is from now on: somebody logged in or out."""
        with self._lock:
            self.token = token
            self.public_id = public_id
            self.authenticated = authenticated


class FollowedSession:
    """``leader``, a session of another server of the same host, as one connection to this one presents it."""

    __slots__ = ("_leader", "authenticated", "public_id")

    #: What to say in a hello of numbered calls: this server makes none.
    seen = 0

    def __init__(self, leader: SessionHolder) -> None:
        self._leader = leader
        #: Whether this server took the connection for a logged-in user's when it last spoke of it.
        self.authenticated = False
        self.public_id: str | None = None

    def __repr__(self) -> str:
        return f"<follows {self._leader!r}>"

    @property
    def token(self) -> str | None:
        """What to present in a hello."""
        return self._leader.token

    @property
    def host(self) -> str:
        return self._leader.host

    def check_shared_with(self, host: str, secure: bool) -> None:
        """Raise ``ConfigurationError`` if a connection to ``host`` must not be given this session's token."""
        self._leader.check_shared_with(host, secure)

    def greeted(
        self,
        presented: str | None,
        token: str,
        public_id: str,
        *,
        authenticated: bool,
        fresh: bool,
        recovered: bool = False,
    ) -> bool:
        """A hello with ``presented`` was answered. True when the leader's user is not known to this server."""
        self.public_id = public_id
        self.authenticated = authenticated
        return fresh and self._leader.authenticated and presented == self._leader.token

    def known_as(self, presented: str | None, token: str, *, fresh: bool) -> str | None:
        """The leader's token that a connection has; None when this server made it a stranger's."""
        return None if fresh else presented

    def is_behind(self, token: str | None) -> bool:
        """As ``SessionHolder.is_behind``. Two strangers are alike: for them no hello is worth its time."""
        return token != self._leader.token and (self._leader.authenticated or self.authenticated)

    def changed(self, token: str, public_id: str, authenticated: bool) -> None:
        """This server says what the connection's session is from now on, which is none of the leader's business."""
        self.public_id = public_id
        self.authenticated = authenticated


#: What a connection presents.
Session = SessionHolder | FollowedSession


class HasSession(Protocol):
    """A client whose session others may share or follow."""

    @property
    def session(self) -> SessionHolder: ...


def shared_session(client: object, host: str, secure: bool) -> SessionHolder:
    """The session for a client at ``host`` that shares that of ``client``; a new one for None.

    Raises ``ConfigurationError``.
    """
    if client is None:
        return SessionHolder(host, secure)
    session = client if isinstance(client, SessionHolder) else getattr(client, "session", None)
    if not isinstance(session, SessionHolder):
        raise ConfigurationError(f"session= is another client, whose session is shared; not {shown(client)}")
    session.check_shared_with(host, secure)
    return session
