"""Who is online: the users and sessions that have a client connected to this process.

Rules of this module: every call obeys the thread rule (``fluxon.blocking``). What is told is as this process knows it:
somebody whom another process has just thrown out is found out when they next ask for something.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, execute

from fluxon.blocking import Pending, either
from fluxon.errors import InvalidPayload
from fluxon.routing.clients import Clients, clients_of
from fluxon.sessions import Session
from fluxon.sessions.user import AuthenticatedUser

T = TypeVar("T")

Wait = Callable[[Callable[[], Deferred[Any]]], Any]


@attrs.frozen
class OnlineSession:
    """A session with a client connected, as it was when it was asked for."""

    #: Its public name, ``request.sessionid`` of its requests.
    id: str
    #: Who is logged in, or None.
    user: AuthenticatedUser | None
    #: When it began; a login begins a new one.
    since: datetime
    #: How many connections share it.
    connections: int
    #: What groups know it by.
    key: bytes = attrs.field(repr=False)


class Online:
    """``server.online``. ``wait`` blocks a thread until what is begun on the reactor has its answer."""

    def __init__(self, clients: Clients, wait: Wait) -> None:
        self._clients = clients
        self._wait = wait

    def is_online(self, user: Any) -> Any:
        """A bool: whether a user, by id or as ``request.user``, has a client connected."""
        return self._at_once(lambda: bool(self._clients.sessions_of(id_of(user))))

    def users(self) -> Any:
        """A list of ``AuthenticatedUser``: who is logged in and connected, each once, by id; seconds old at most."""
        return self._at_once(self._users)

    def sessions(self, user: Any = None) -> Any:
        """A list of ``OnlineSession``: all with a client connected, or one user's. The oldest first."""

        def told() -> list[OnlineSession]:
            found = self._clients.connected() if user is None else self._clients.sessions_of(id_of(user))
            return sorted(map(_told, found), key=attrgetter("since"))

        return self._at_once(told)

    def _at_once(self, work: Callable[[], T]) -> T | Pending[T]:
        def start() -> Deferred[T]:
            return execute(work)

        return either(start, lambda: self._wait(start))

    def _users(self) -> list[AuthenticatedUser]:
        rows = {each.user_id: each.user for each in self._clients.connected() if each.user_id is not None}
        return [AuthenticatedUser(rows[key]) for key in sorted(rows)]


def _told(session: Session) -> OnlineSession:
    user = None if session.user is None else AuthenticatedUser(session.user)
    since = datetime.fromtimestamp(session.created, UTC)
    return OnlineSession(session.public_id, user, since, len(clients_of(session)), session.key)


def id_of(user: Any) -> int:
    """The id of a user who is given by id, as ``request.user`` or as a row. ``InvalidPayload`` for anything else."""
    user_id = getattr(user, "id", user)
    if type(user_id) is not int:
        raise InvalidPayload("a user is named by id, or by request.user")
    return user_id
