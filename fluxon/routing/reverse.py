"""Calls from the server into its clients.

Rules of this module:

- By user: every live connection of every session of theirs is asked, at once. One that acknowledged is enough.
- Nothing is kept for a user who is not there, and nothing waits longer than its timeout.
- What can never be sent is the caller's mistake and raises; a client that fails or is away is an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from fluxon.blocking import Pending, either, wait_for
from fluxon.commands import Call
from fluxon.errors import InvalidPayload, Unavailable
from fluxon.limits import Limits
from fluxon.routing.request import Connection
from fluxon.rpc import Peer
from fluxon.sessions import Sessions
from fluxon.wire import encode


class Reverse:
    """The connections of users, as something to be called."""

    def __init__(self, sessions: Sessions, reactor: IReactorFromThreads, limits: Limits) -> None:
        self._sessions = sessions
        self._reactor = reactor
        self._limits = limits

    def reverse_request(self, user_id: Any, name: str, payload: Any, timeout: float | None) -> bool | Pending[bool]:
        """See ``AsyncServer.reverse_request``."""

        def start() -> Deferred[bool]:
            try:
                peers = self._peers(user_id)
                encode(payload)
            except Exception:
                return fail()
            if not peers:
                return succeed(False)
            asked = DeferredList(self._ask(peers, name, payload, timeout), fireOnOneCallback=True, consumeErrors=True)
            return asked.addCallback(_acknowledged)

        return either(start, lambda: wait_for(self._reactor, start))

    def call_client(self, target: Any, name: str, payload: Any, timeout: float | None) -> Any:
        """See ``AsyncServer.call_client``."""
        if isinstance(target, Connection):
            return target.send(name, payload, timeout)

        def start() -> Deferred[Any]:
            try:
                peers = self._peers(target)
            except Exception:
                return fail()
            if not peers:
                return fail(Unavailable("the user has no client connected now"))
            asked = DeferredList(self._ask(peers, name, payload, timeout), fireOnOneCallback=True, consumeErrors=True)
            return asked.addCallback(_first_value)

        return either(start, lambda: wait_for(self._reactor, start))

    def _peers(self, user: Any) -> list[Peer]:
        user_id = getattr(user, "id", user)
        if type(user_id) is not int:
            raise InvalidPayload("a reverse request names a user by id, or by request.user")
        sessions = self._sessions.of_user(user_id)
        return [peer for session in sessions for peer in session.connections if isinstance(peer, Peer)]

    def _ask(self, peers: Sequence[Peer], name: str, payload: Any, timeout: float | None) -> list[Deferred[Any]]:
        limit = self._limits.reverse_timeout
        seconds = limit if timeout is None else timeout
        return [peer.ask(Call, {"view": name, "payload": payload}, seconds) for peer in peers]


# A DeferredList that fires on one callback gives (value, index) for a success, and a list of (False, Failure) else.


def _acknowledged(outcome: Any) -> bool:
    return isinstance(outcome, tuple)


def _first_value(outcome: Any) -> Any:
    if isinstance(outcome, tuple):
        return outcome[0]
    failure = outcome[0][1]
    assert isinstance(failure, Failure)
    return failure
