"""``server.groups``: sessions and users who are sent the same.

Rules of this module:

- Groups are the server's: a client is in one because a view, or other code of the server, put it there.
- A member is a session or a user. A *session* is the client that asked, on all its connections: it keeps its places
  while it reconnects, and when somebody logs in on it; it loses them when it ends (a logout, a revocation), or stays
  away for longer than ``Limits.group_away``. A *user* is a member on every device, until ``leave``.
- A group is there while it has members, in this process; nothing is stored.
- Every call obeys the thread rule (``fluxon.blocking``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall

from fluxon.blocking import Pending, either
from fluxon.commands.arguments import Text
from fluxon.errors import InvalidPayload, Unavailable
from fluxon.limits import MAX_NAME, Limits
from fluxon.routing.audience import Everybody, EverybodyExpected, Members, sessions_of
from fluxon.routing.clients import Clients, clients_of
from fluxon.routing.delivery import Delivery
from fluxon.routing.events import Event
from fluxon.routing.fanout import Fanout
from fluxon.routing.keeping import Keeping
from fluxon.routing.membership import Key, Membership
from fluxon.routing.online import OnlineSession, Wait
from fluxon.routing.request import Request
from fluxon.sessions import Session
from fluxon.sessions.session import public_id
from fluxon.sessions.user import AuthenticatedUser

T = TypeVar("T")

_NAME = Text(max_bytes=MAX_NAME, min_bytes=1)


@attrs.frozen
class Member:
    """A member of a group, as it was when it was asked for: a session, or a user on every device."""

    #: The session's public name; None for a user.
    session: str | None
    #: The user's id, or that of whoever is logged in on the session; None for a stranger.
    user_id: int | None
    #: Their row; None for a stranger, and where nobody is connected.
    user: AuthenticatedUser | None
    #: Whether a client is connected now.
    online: bool


class Groups:
    """See the module. ``wait`` blocks a thread until what is begun on the reactor has its answer."""

    def __init__(self, clients: Clients, keeping: Keeping, reactor: Any, limits: Limits, wait: Wait) -> None:
        self._clients = clients
        self._sessions = clients.sessions
        self._keeping = keeping
        # A stranger's client that may be sent something by its group is expected back, as a user's is.
        keeping.has_a_place = lambda session: session.key in self._membership
        self._fanout = Fanout(reactor, limits, keeping)
        self._reactor = reactor
        self._limits = limits
        self._wait = wait
        self._membership = Membership(limits.group_places, limits.groups_per_member)
        # Sessions without a connection that keep their places until then, in the order of that.
        self._away: OrderedDict[bytes, float] = OrderedDict()
        self._away_call: IDelayedCall | None = None

    # --- for programs -------------------------------------------------------------------------------------------------

    def join(self, name: str, member: Any) -> Any:
        """Put a member into the group ``name``: True, or False if it was in it.

        ``member`` is a ``request`` (or an ``Event``, or a session of ``server.online``): that session; or a user, by id
        or as ``request.user``: every device of theirs. May be called without ``await``. ``ResourceExhausted`` beyond
        ``Limits.group_places`` and ``groups_per_member``, ``Unavailable`` when the session has no connection any more.
        """
        return self._at_once(lambda: self._membership.join(_named(name), self._joining(member)))

    def leave(self, name: str, member: Any) -> Any:
        """Take a member out, given as to ``join``: True, or False if it was not in it. It hears nothing any more."""
        return self._at_once(lambda: self._membership.leave(_named(name), _key_of(member)))

    def close(self, name: str) -> Any:
        """Take everybody out: how many."""
        return self._at_once(lambda: self._membership.close(_named(name)))

    def members(self, name: str) -> Any:
        """A list of ``Member``: who is in the group, in the order of their coming. Empty if there is no such group."""
        return self._at_once(lambda: [self._told(each.key) for each in self._membership.members(_named(name))])

    def of(self, member: Any) -> Any:
        """A list of names: the groups that a member is in, who is given as to ``join``."""
        return self._at_once(lambda: self._membership.of(_key_of(member)))

    def names(self) -> Any:
        """A dict: every group by name, with how many members it has."""
        return self._at_once(self._membership.groups)

    def send(
        self,
        group: str,
        name: str,
        payload: Any = None,
        *,
        exclude: Any = None,
        timeout: float | None = None,
        acknowledge: bool = True,
        keep: float | None = None,
    ) -> Any:
        """Call the function ``name`` in every client of a group: what became of it at each.

        The ``Delivery`` is there when every client has answered, or ``timeout`` seconds are over (default
        ``Limits.reverse_timeout``); without ``acknowledge``, when all have been sent it. What the functions returned is
        not kept. ``exclude`` is a member, given as to ``join``, or a list of them, who are left out. A dict as payload
        becomes the function's keyword arguments. Sends to one group arrive in their order. Raises what
        ``AsyncServer.reverse_request`` does.

        With ``keep`` it is kept for so many seconds for each session that is a member, or a member's, and carried out
        once by each, in order: also by those whose client is away and expected back ("queued").
        """

        def start() -> Deferred[Delivery]:
            line, excluded = _named(group), _excluded(exclude)
            seats = self._membership.members(line)
            sessions, keeping = self._sessions, self._keeping
            audience = Members(line, seats, excluded, sessions, keeping, self._reactor, self._limits)
            if keep is not None:
                return self._fanout.keep(line, audience, name, payload, timeout, acknowledge, keep)
            return self._fanout.send(line, audience, name, payload, timeout, acknowledge)

        return self._begin(start)

    def broadcast(
        self, name: str, payload: Any, exclude: Any, timeout: float | None, acknowledge: bool, keep: float | None
    ) -> Any:
        """See ``AsyncServer.broadcast``."""

        def start() -> Deferred[Delivery]:
            excluded = _excluded(exclude)
            if keep is not None:
                expected = EverybodyExpected(self._clients, self._keeping, excluded)
                return self._fanout.keep(None, expected, name, payload, timeout, acknowledge, keep)
            return self._fanout.send(None, Everybody(self._clients, excluded), name, payload, timeout, acknowledge)

        return self._begin(start)

    # --- for consoles and metrics -------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many groups there are."""
        return len(self._membership)

    @property
    def places(self) -> int:
        """How many members all of them have together."""
        return self._membership.places

    # --- for ``Presence`` ---------------------------------------------------------------------------------------------

    def came(self, session: Session) -> None:
        """A session has a connection."""
        self._away.pop(session.key, None)

    def went(self, session: Session) -> None:
        """A session has lost one."""
        if session.ended or session.key not in self._membership or clients_of(session):
            return
        self._away[session.key] = self._reactor.seconds() + self._limits.group_away
        self._away.move_to_end(session.key)
        if self._away_call is None:
            self._away_call = self._reactor.callLater(self._limits.group_away, self._forget_away)

    def _forget_away(self) -> None:
        self._away_call = None
        now = self._reactor.seconds()
        while self._away:
            key, until = next(iter(self._away.items()))
            if until > now:
                self._away_call = self._reactor.callLater(until - now, self._forget_away)
                return
            del self._away[key]
            self._membership.forget(key)

    def moved(self, former: Session, session: Session | None) -> None:
        """A session has ended; ``session`` takes its places, if there is one."""
        self._away.pop(former.key, None)
        if session is None:
            self._membership.forget(former.key)
        else:
            self._membership.move(former.key, session.key)

    def stop(self) -> None:
        """Nobody is there any more."""
        if self._away_call is not None:
            self._away_call.cancel()
            self._away_call = None

    # --- inside -------------------------------------------------------------------------------------------------------

    def _at_once(self, work: Callable[[], T]) -> T | Pending[T]:
        return self._begin(work)  # type: ignore[no-any-return]

    def _begin(self, start: Callable[[], Any]) -> Any:
        def begin() -> Deferred[Any]:
            # What is wrong with the arguments is the outcome, as for every other call.
            return maybeDeferred(start)

        return either(begin, lambda: self._wait(begin))

    def _joining(self, member: Any) -> Key:
        key = _key_of(member)
        if isinstance(key, bytes):
            session = self._sessions.find(key)
            if session is None or not clients_of(session):
                raise Unavailable("the session has no client connected any more")
        return key

    def _told(self, key: Key) -> Member:
        found = [each for each in sessions_of(self._sessions, key) if clients_of(each)]
        row = found[0].user if found else None
        return Member(
            session=None if isinstance(key, int) else public_id(key),
            user_id=key if isinstance(key, int) else found[0].user_id if found else None,
            user=None if row is None else AuthenticatedUser(row),
            online=bool(found),
        )


def _named(name: str) -> str:
    _NAME.check(name, "group")
    return name


def _key_of(member: Any) -> Key:
    if isinstance(member, (Request, Event)):
        return member.session.key
    if isinstance(member, OnlineSession):
        return member.key
    user_id = getattr(member, "id", member)
    if type(user_id) is not int:
        raise InvalidPayload("a member is a request, an event, a session of server.online, or a user, who has an id")
    return user_id


def _excluded(exclude: Any) -> frozenset[Key]:
    if exclude is None:
        return frozenset()
    return frozenset(map(_key_of, exclude if isinstance(exclude, (list, tuple, set, frozenset)) else [exclude]))
