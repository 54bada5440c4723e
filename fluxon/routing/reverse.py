"""Calls from the server into its clients.

Rules of this module:

- By user: every live connection of every session of theirs is asked, at once; each is a client, with a result of its
  own. One that acknowledged is enough.
- With ``keep`` it is one client a session, whose outbox (``keeping``) has it until it is acknowledged or its time is
  over. Without, nothing is kept for a user who is not there. Nobody waits longer than the timeout either way.
- What can never be sent is the caller's mistake and raises; a client that fails or is away is a result.
- Connections to the cloud's port share sessions, and have no functions: they are not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.blocking import Pending, either
from fluxon.commands import Call
from fluxon.errors import DeadlineExceeded, InvalidPayload, ResourceExhausted, Unavailable
from fluxon.limits import Limits
from fluxon.routing.clients import clients_of
from fluxon.routing.delivery import FAILED, OFFLINE, QUEUED, TIMEOUT, Delivery, Gathering, Result, settled
from fluxon.routing.keeping import Keeping
from fluxon.routing.kept import Kept
from fluxon.routing.kept import keep as to_keep
from fluxon.routing.request import Connection
from fluxon.sessions import Session, Sessions
from fluxon.wire import encode

_log = Logger(namespace="fluxon.routing")

#: Seconds between two lines of the log that say why a client failed: clients decide how often they do.
_QUIET = 1.0


@attrs.frozen
class Message:
    """What clients are asked, checked."""

    arguments: dict[str, Any]
    #: As it is kept, if it is.
    kept: Kept | None


class Reverse:
    """The connections of users, as something to be called."""

    def __init__(
        self,
        sessions: Sessions,
        keeping: Keeping,
        reactor: Any,
        limits: Limits,
        wait: Callable[[Callable[[], Deferred[Any]]], Any],
    ) -> None:
        self._sessions = sessions
        self._keeping = keeping
        self._reactor = reactor
        self._limits = limits
        self._wait = wait
        self._quiet_until = -inf

    def reverse_request(
        self, user_id: Any, name: str, payload: Any, timeout: float | None, keep: float | None = None
    ) -> Delivery | Pending[Delivery]:
        """See ``AsyncServer.reverse_request``."""

        def start() -> Deferred[Delivery]:
            return Deferred.fromCoroutine(self._reverse(user_id, name, payload, timeout, keep))

        return either(start, lambda: self._wait(start))

    async def _reverse(
        self, user_id: Any, name: str, payload: Any, timeout: float | None, keep: float | None
    ) -> Delivery:
        message = self.message(name, payload, keep)
        seconds = self._seconds(timeout)
        begun = self._reactor.seconds()
        sessions = await self._sessions_of(user_id, seconds)
        left = seconds - (self._reactor.seconds() - begun)
        return await self.deliver(sessions, message, left, rest=timeout is None)

    async def deliver(self, sessions: Iterable[Session], message: Message, seconds: float, *, rest: bool) -> Delivery:
        """Have the clients of ``sessions``, which are known to hold, take ``message``, and wait for ``seconds``.

        With ``rest`` the others have ``Limits.reverse_rest`` when one has handled it.
        """
        pending: list[tuple[Result, Deferred[Result]]] = []
        away: list[Result] = []
        for session in sessions:
            found = clients_of(session)
            who = (session.user_id, session.public_id)
            if not found and not self._keeping.expects(session):
                continue
            if message.kept is not None:
                pending.append((Result(QUEUED, *who), self._keeping.put(session, message.kept)))
                continue
            for peer in found:
                asked = peer.ask(Call, message.arguments, seconds) if seconds > 0 else fail(DeadlineExceeded())
                asked.addBoth(settled, peer, *who)
                pending.append((Result(TIMEOUT, *who, error=DeadlineExceeded()), asked))
            if not found:
                away.append(Result(OFFLINE, *who, error=Unavailable("the client is away")))
        resting = self._limits.reverse_rest if rest else None
        # What is asked has its deadline itself.
        within = None if message.kept is None else seconds
        results = await Gathering(self._reactor, pending, resting, within).done
        self._tell(message.arguments["view"], results)
        return Delivery(results + away)

    def _tell(self, name: str, results: Iterable[Result]) -> None:
        """Why clients failed, where the program only sees that nobody heard: now and then, for whoever writes it."""
        failed = next((each for each in results if each.state == FAILED), None)
        now = self._reactor.seconds()
        if failed is not None and failed.error is not None and now >= self._quiet_until:
            self._quiet_until = now + _QUIET
            _log.warn(
                "the reverse request {name!r} failed at a client, session {session}: {code}: {text}",
                name=name,
                session=failed.session,
                code=failed.error.code,
                text=failed.error.text,
            )

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
        arguments = self.message(name, payload).arguments
        begun = self._reactor.seconds()
        seconds = self._seconds(timeout)
        peers = [peer for session in await self._sessions_of(user, seconds) for peer in clients_of(session)]
        left = seconds - (self._reactor.seconds() - begun)
        if not peers or left <= 0:
            return []
        asked = [peer.ask(Call, arguments, left) for peer in peers]
        return await DeferredList(asked, fireOnOneCallback=True, consumeErrors=True)

    def message(self, name: str, payload: Any, keep: float | None = None) -> Message:
        """What clients are asked. What no client could be sent raises, whether or not anybody is there."""
        arguments = {"view": name, "payload": payload}
        limits = self._limits
        if keep is not None:
            return Message(arguments, to_keep(name, payload, keep, limits))
        Call.check_arguments(arguments)
        size = len(encode(payload))
        if size > limits.frame_to_client:
            raise ResourceExhausted(
                f"a payload of {size:,} bytes; a client takes {limits.frame_to_client:,} at once: send a file"
            )
        return Message(arguments, None)

    def _seconds(self, timeout: float | None) -> float:
        return self._limits.reverse_timeout if timeout is None else timeout

    async def _sessions_of(self, user: Any, seconds: float) -> list[Session]:
        user_id = getattr(user, "id", user)
        if type(user_id) is not int:
            raise InvalidPayload("a reverse request names a user by id, or by request.user")
        return await self.holding(self._sessions.of_user(user_id), seconds)

    async def holding(self, sessions: list[Session], seconds: float) -> list[Session]:
        """Those of ``sessions`` that hold now, which is looked up for ``seconds`` at most.

        Whoever was logged out elsewhere must not go on hearing what is meant for the user.
        """
        now = self._reactor.seconds()
        looks = [succeed(True) if each.fresh(now) else self._sessions.verify(each) for each in sessions]
        results = await DeferredList(looks, consumeErrors=True).addTimeout(seconds, self._reactor)
        # Only now, that nothing waits any more: one may have ended while another was looked at.
        return [
            each for each, (read, holds) in zip(sessions, results, strict=True) if read and holds and not each.ended
        ]
