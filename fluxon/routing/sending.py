"""One call on its way to many clients: what became of it at each of them.

Rules of this module:

- One timer for a sending, none for each client. Whoever has not answered by then is told that nobody waits any more.
- A caller who gives up stops the waiting, not the sending.
- Of an answer only that it came is remembered: ten thousand clients could return a megabyte each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from fluxon.errors import (
    DeadlineExceeded,
    FluxonError,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
    from_wire,
    says_stopping,
)
from fluxon.routing.clients import clients_of
from fluxon.routing.delivery import FAILED, HANDLED, OFFLINE, QUEUED, REACHED, SENT, TIMEOUT, Delivery, Result
from fluxon.routing.keeping import Keeping
from fluxon.routing.kept import Kept
from fluxon.rpc import Peer
from fluxon.sessions import Session
from fluxon.wire import Failed, SharedAsk, SharedTell

#: A user's id, if one is logged in, and a session's public name.
Who: TypeAlias = tuple[int | None, str]

#: What became of it at one client: a state, the client's session, and why if it has failed.
Known: TypeAlias = "tuple[str, Session, FluxonError | None]"


class ManyDelivery(Delivery):
    """The same of thousands of clients, whose results are made when somebody looks at them: most only count."""

    __slots__ = ("_known", "_rest", "_results")

    def __init__(self, known: list[Known], rest: list[Result]) -> None:
        self._known = known
        self._rest = rest
        self._results: tuple[Result, ...] | None = None

    @property
    def results(self) -> tuple[Result, ...]:
        if self._results is None:
            known = (Result(state, each.user_id, each.public_id, error=error) for state, each, error in self._known)
            self._results = (*known, *self._rest)
            self._known, self._rest = [], []
        return self._results

    def __bool__(self) -> bool:
        known = any(state in REACHED for state, _, _ in self._known)
        return known or any(each.state in REACHED for each in self._results or self._rest)

    def count(self, state: str) -> int:
        if self._results is not None:
            return super().count(state)
        return [each[0] for each in self._known].count(state) + sum(each.state == state for each in self._rest)

    def __len__(self) -> int:
        return len(self.results) if self._results is not None else len(self._known) + len(self._rest)


class Audience(Protocol):
    """Who is to be sent something."""

    @property
    def members(self) -> Sequence[Any]:
        """All of them."""

    def who(self, member: Any) -> Who:
        """How a member is named in a result that has no client."""


class ClientAudience(Audience, Protocol):
    """Who has clients."""

    async def clients(self, part: Sequence[Any], away: list[Who]) -> Sequence[Peer]:
        """The clients of some of them; who has none is added to ``away``."""


class SessionAudience(Audience, Protocol):
    """Who has clients, or had some that are expected back."""

    async def sessions(self, part: Sequence[Any], away: list[Who]) -> Sequence[Session]:
        """The sessions of some of them that are connected or expected; who has none is added to ``away``."""


class Sending:
    """One call on its way to many. ``done`` fires when all that is waited for has happened."""

    #: Whether those whose turn has not come when its time is over are sent it all the same.
    goes_on = False

    def __init__(self, acknowledge: bool) -> None:
        self._acknowledge = acknowledge
        self._unanswered = 0
        self._results: list[Known] = []
        #: Members who had no client, and those whose turn did not come in time; None as long as it may.
        self.away: list[Who] = []
        self._unreached: list[Who] | None = None
        self.timer: IDelayedCall | None = None
        self.done: Deferred[Delivery] = Deferred()

    @property
    def over(self) -> bool:
        """Whether its time is."""
        return self.timer is None

    async def reach(self, part: Sequence[Any]) -> None:
        """Send it to some of the members."""
        raise NotImplementedError

    def spread(self, unreached: list[Who]) -> None:
        """Everybody has been sent it, but for these."""
        self._unreached = unreached
        self._look()

    def expire(self) -> list[Copy]:
        """The time is over: those who have not answered, and will not be heard any more."""
        raise NotImplementedError

    def _note(self, session: Session, state: str, error: FluxonError | None = None) -> None:
        self._results.append((state, session, error))

    def _look(self) -> None:
        if self._unreached is None:
            return
        if not self._unanswered and self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if not self.done.called and (not self._unanswered or not self._acknowledge):
            late, away = DeadlineExceeded(), Unavailable("the client is away")
            rest = [Result(TIMEOUT, *who, error=late) for who in self._unreached]
            rest += [Result(OFFLINE, *who, error=away) for who in self.away]
            self.done.callback(ManyDelivery(self._results, rest))


class Copy:
    """One client's part of a call to all clients that are there; what its conversation keeps as waiter."""

    __slots__ = ("_sending", "over", "peer", "session", "tag")

    def __init__(self, sending: CallSending, peer: Peer) -> None:
        self._sending = sending
        self.peer = peer
        self.session: Session = peer.session
        self.tag = -1
        #: Whether it is known what became of it.
        self.over = False

    def answered(self, value: Any) -> None:
        """Its function has run."""
        self._sending.ended(self, HANDLED)

    def failed(self, message: Failed) -> None:
        """It answered with an error."""
        state = OFFLINE if says_stopping(from_wire(message.code, message.text, message.details)) else FAILED
        # Without its details: ten thousand clients could send a megabyte each.
        self._sending.ended(self, state, from_wire(message.code, message.text, {}))

    def lost(self, sent: bool) -> None:
        """Its connection is gone."""
        if sent:
            self._sending.ended(self, TIMEOUT, OutcomeUnknown())
        else:
            self._sending.ended(self, OFFLINE, Unavailable())


class CallSending(Sending):
    """To the clients that are there, each of which is asked."""

    def __init__(self, audience: ClientAudience, shared: SharedAsk, tell: SharedTell | None) -> None:
        super().__init__(acknowledge=tell is None)
        self._audience = audience
        self._shared = shared
        # What is sent instead to those who need not answer, if nobody wants to know.
        self._tell = tell
        # None of who was told.
        self._copies: dict[Peer, Copy | None] = {}

    async def reach(self, part: Sequence[Any]) -> None:
        for peer in await self._audience.clients(part, self.away):
            self._send_to(peer)

    def _send_to(self, peer: Peer) -> None:
        if peer in self._copies or peer.session is None:
            return
        if self._tell is not None and peer.conversation.may_tell:
            self._copies[peer] = None
            try:
                peer.tell_shared(self._tell)
            except FluxonError as error:
                self._note(peer.session, FAILED if isinstance(error, ResourceExhausted) else OFFLINE, error)
            else:
                self._results.append((SENT, peer.session, None))
            return
        copy = self._copies[peer] = Copy(self, peer)
        self._unanswered += 1
        try:
            copy.tag = peer.ask_shared(self._shared, copy)
        except FluxonError as error:
            self.ended(copy, FAILED if isinstance(error, ResourceExhausted) else OFFLINE, error)
            return
        if not self._acknowledge:
            self._note(copy.session, SENT)

    def ended(self, copy: Copy, state: str, error: FluxonError | None = None) -> None:
        """It is known what became of one."""
        if copy.over:
            return
        copy.over = True
        self._unanswered -= 1
        if self._acknowledge or copy.tag < 0:
            self._note(copy.session, state, error)
        self._look()

    def expire(self) -> list[Copy]:
        self.timer = None
        late = [each for each in self._copies.values() if each is not None and not each.over]
        error = DeadlineExceeded()
        for each in late:
            self.ended(each, TIMEOUT, error)
        return late


class KeptSending(Sending):
    """To the sessions that are there or expected, in whose outboxes it waits until they have it."""

    # What is kept is late in no case.
    goes_on = True

    def __init__(self, audience: SessionAudience, kept: Kept, keeping: Keeping, acknowledge: bool) -> None:
        super().__init__(acknowledge)
        self._audience = audience
        self._kept = kept
        self._keeping = keeping
        # With whether it is known what became of it.
        self._sessions: dict[Session, bool] = {}

    async def reach(self, part: Sequence[Any]) -> None:
        for session in await self._audience.sessions(part, self.away):
            if session not in self._sessions:
                self._keep_for(session)

    def _keep_for(self, session: Session) -> None:
        self._sessions[session] = False
        self._unanswered += 1
        self._keeping.put(session, self._kept).addCallback(self._settled, session)
        if self.over or not self._acknowledge:
            self._settled(Result(QUEUED, session.user_id, session.public_id), session)

    def _settled(self, result: Result, session: Session) -> None:
        if not self._sessions[session]:
            self._sessions[session] = True
            self._unanswered -= 1
            self._note(session, result.state, result.error)
            self._look()

    def expire(self) -> list[Copy]:
        self.timer = None
        for session in [each for each, known in self._sessions.items() if not known]:
            self._settled(Result(QUEUED, session.user_id, session.public_id), session)
        return []


def is_reachable(session: Session, keeping: Keeping) -> bool:
    """Whether what is kept for a session may reach its client: it is there, or expected back."""
    return not session.ended and bool(clients_of(session) or keeping.expects(session))
