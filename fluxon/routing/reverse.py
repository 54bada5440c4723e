"""Calls from the server into its clients.

Rules of this module:

- By user: every live connection of every session of theirs is asked, at once. One that acknowledged is enough.
- Nothing is kept for a user who is not there, and nothing waits longer than its timeout.
- What can never be sent is the caller's mistake and raises; a client that fails or is away is an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.python.failure import Failure

from fluxon.blocking import Pending, either
from fluxon.commands import Call
from fluxon.errors import InvalidPayload, ResourceExhausted, Unavailable
from fluxon.limits import Limits
from fluxon.routing.request import Connection
from fluxon.rpc import Peer
from fluxon.sessions import Sessions
from fluxon.wire import encode


class Reverse:
    """The connections of users, as something to be called."""

    def __init__(
        self, sessions: Sessions, reactor: Any, limits: Limits, wait: Callable[[Callable[[], Deferred[Any]]], Any]
    ) -> None:
        self._sessions = sessions
        self._reactor = reactor
        self._limits = limits
        self._wait = wait

    def reverse_request(self, user_id: Any, name: str, payload: Any, timeout: float | None) -> bool | Pending[bool]:
        """See ``AsyncServer.reverse_request``."""

        def start() -> Deferred[bool]:
            return Deferred.fromCoroutine(self._reverse(user_id, name, payload, timeout))

        return either(start, lambda: self._wait(start))

    async def _reverse(self, user_id: Any, name: str, payload: Any, timeout: float | None) -> bool:
        outcome = await self._call(user_id, name, payload, timeout)
        return isinstance(outcome, tuple)

    def call_client(self, target: Any, name: str, payload: Any, timeout: float | None) -> Any:
        """See ``AsyncServer.call_client``."""
        if isinstance(target, Connection):
            return target.send(name, payload, timeout)

        def start() -> Deferred[Any]:
            return Deferred.fromCoroutine(self._first_value(target, name, payload, timeout))

        return either(start, lambda: self._wait(start))

    async def _first_value(self, target: Any, name: str, payload: Any, timeout: float | None) -> Any:
        outcome = await self._call(target, name, payload, timeout)
        if isinstance(outcome, tuple):
            return outcome[0]
        if not outcome:
            raise Unavailable("the user has no client connected now")
        failure = outcome[0][1]
        assert isinstance(failure, Failure) and failure.value is not None
        raise failure.value

    async def _call(self, user: Any, name: str, payload: Any, timeout: float | None) -> Any:
        """``(value, index)`` of the first client to answer, else a list of ``(False, Failure)``, one a client."""
        arguments = {"view": name, "payload": payload}
        # What no client could be sent is the caller's mistake, whether or not anybody is there.
        Call.check_arguments(arguments)
        self._check_size(payload)
        begun = self._reactor.seconds()
        seconds = self._limits.reverse_timeout if timeout is None else timeout
        peers = await self._peers(user, seconds)
        left = seconds - (self._reactor.seconds() - begun)
        if not peers or left <= 0:
            return []
        asked = [peer.ask(Call, arguments, left) for peer in peers]
        return await DeferredList(asked, fireOnOneCallback=True, consumeErrors=True)

    def _check_size(self, payload: Any) -> None:
        size, limit = len(encode(payload)), self._limits.frame_to_client
        if size > limit:
            raise ResourceExhausted(f"a payload of {size:,} bytes; a client takes {limit:,} at once: send a file")

    async def _peers(self, user: Any, seconds: float) -> list[Peer]:
        user_id = getattr(user, "id", user)
        if type(user_id) is not int:
            raise InvalidPayload("a reverse request names a user by id, or by request.user")
        # Whoever was logged out elsewhere must not go on hearing what is meant for the user.
        sessions = self._sessions.of_user(user_id)
        now = self._reactor.seconds()
        looks = [succeed(True) if each.fresh(now) else self._sessions.verify(each) for each in sessions]
        results = await DeferredList(looks, consumeErrors=True).addTimeout(seconds, self._reactor)
        # Only now, that nothing waits any more: one may have ended while another was looked at.
        holding = [each for each, (read, holds) in zip(sessions, results, strict=True) if read and holds]
        return [
            peer for session in holding if not session.ended for peer in session.connections if isinstance(peer, Peer)
        ]
