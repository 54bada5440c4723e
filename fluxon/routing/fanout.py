"""One call into many clients: encoded once, sent a few connections a turn, in order.

Rules of this module:

- Everybody is sent the same bytes. What a slow client has not taken is a reference to them, and bounded as all output.
- A turn of the reactor sends to ``SLICE`` members at most; between two turns everybody else is served.
- What is sent to one line (a group, or everybody) arrives in the order in which it was sent; lines do not wait for each
  other.
- One timer for a sending, none for each client. Whoever has not answered by then is told that nobody waits any more.
- A caller who gives up stops the waiting, not the sending.
- Of an answer only that it came is kept: ten thousand clients could return a megabyte each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall

from fluxon.commands import Call
from fluxon.errors import (
    DeadlineExceeded,
    FluxonError,
    InvalidPayload,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
    from_wire,
    says_stopping,
)
from fluxon.limits import Limits
from fluxon.routing.delivery import FAILED, HANDLED, OFFLINE, SENT, TIMEOUT, Delivery, Result
from fluxon.rpc import Peer
from fluxon.sessions import Session
from fluxon.sessions.shared import unstoppable
from fluxon.wire import Failed, SharedAsk

#: Members that are sent to in one turn of the reactor: about a millisecond.
SLICE = 64

#: A user's id, if one is logged in, and a session's public name.
Who: TypeAlias = tuple[int | None, str]

M = TypeVar("M")


class Audience(Protocol[M]):
    """Who is to be sent something."""

    members: Sequence[M]

    async def clients(self, part: Sequence[M], away: list[Who]) -> Sequence[Peer]:
        """The clients of some of them; who has none is added to ``away``."""

    def who(self, member: M) -> Who:
        """How a member is named in a result that has no client."""


class Copy:
    """One client's part of a sending; what its conversation keeps as waiter."""

    __slots__ = ("_sending", "over", "peer", "session", "tag")

    def __init__(self, sending: Sending, peer: Peer) -> None:
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


class Sending:
    """One call on its way to many. ``done`` fires when all that is waited for has happened."""

    def __init__(self, shared: SharedAsk, acknowledge: bool) -> None:
        self._shared = shared
        self._acknowledge = acknowledge
        self._copies: dict[Peer, Copy] = {}
        self._unanswered = 0
        # Made one by one, as they become known: ten thousand at once would hold up the reactor for a moment.
        self._results: list[Result] = []
        #: Members who had no client, and those whose turn did not come in time; None as long as it may.
        self.away: list[Who] = []
        self._unreached: list[Who] | None = None
        self.timer: IDelayedCall | None = None
        self.done: Deferred[Delivery] = Deferred()

    @property
    def over(self) -> bool:
        """Whether its time is."""
        return self.timer is None

    def send_to(self, peer: Peer) -> None:
        """To one client, once."""
        if peer in self._copies or peer.session is None:
            return
        copy = self._copies[peer] = Copy(self, peer)
        self._unanswered += 1
        try:
            copy.tag = peer.ask_shared(self._shared, copy)
        except FluxonError as error:
            self.ended(copy, FAILED if isinstance(error, ResourceExhausted) else OFFLINE, error)
            return
        if not self._acknowledge:
            self._note(copy, SENT)

    def ended(self, copy: Copy, state: str, error: FluxonError | None = None) -> None:
        """It is known what became of one."""
        if copy.over:
            return
        copy.over = True
        self._unanswered -= 1
        if self._acknowledge or copy.tag < 0:
            self._note(copy, state, error)
        self._look()

    def _note(self, copy: Copy, state: str, error: FluxonError | None = None) -> None:
        session = copy.session
        self._results.append(Result(state, session.user_id, session.public_id, error=error))

    def spread(self, unreached: list[Who]) -> None:
        """Everybody has been sent it, but for these."""
        self._unreached = unreached
        self._look()

    def expire(self) -> list[Copy]:
        """The time is over: those who have not answered, and will not be heard any more."""
        self.timer = None
        late = [each for each in self._copies.values() if not each.over]
        error = DeadlineExceeded()
        for each in late:
            self.ended(each, TIMEOUT, error)
        return late

    def _look(self) -> None:
        if self._unreached is None:
            return
        if not self._unanswered and self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if not self.done.called and (not self._unanswered or not self._acknowledge):
            late, away = DeadlineExceeded(), Unavailable("the client is away")
            self._results += [Result(TIMEOUT, *who, error=late) for who in self._unreached]
            self._results += [Result(OFFLINE, *who, error=away) for who in self.away]
            self.done.callback(Delivery(self._results))


class Fanout:
    """Sends calls to many. To be used on the reactor thread."""

    def __init__(self, reactor: Any, limits: Limits) -> None:
        self._reactor = reactor
        self._limits = limits
        self._lines: dict[str | None, DeferredLock] = {}

    def send(
        self, line: str | None, audience: Audience[M], name: str, payload: Any, timeout: float | None, acknowledge: bool
    ) -> Deferred[Delivery]:
        """Call ``name`` of all clients of ``audience``. Fires with what became of it.

        Raises ``InvalidPayload``, ``Unserialisable`` or ``ResourceExhausted`` for what no client could be sent, and
        ``ResourceExhausted`` when too much waits for the same line.
        """
        seconds = self._limits.reverse_timeout if timeout is None else timeout
        if type(seconds) not in (int, float) or not seconds > 0:
            raise InvalidPayload(f"a timeout is a number of seconds above 0, not {seconds!r}")
        arguments = {"view": name, "payload": payload}
        Call.check_arguments(arguments)
        shared = SharedAsk(Call.name, arguments, seconds)
        limit = self._limits.frame_to_client
        if shared.size > limit:
            raise ResourceExhausted(f"a call of {shared.size:,} bytes; a client takes {limit:,} at once: send a file")
        turn = self._lines.setdefault(line, DeferredLock())
        if len(turn.waiting) >= self._limits.waiting_asks:
            raise ResourceExhausted(f"{self._limits.waiting_asks} calls wait for those before them to be sent")
        sending = Sending(shared, acknowledge)
        sending.timer = self._reactor.callLater(seconds, self._expire, sending)
        Deferred.fromCoroutine(self._spread(line, turn, sending, audience)).addErrback(sending.done.errback)
        return unstoppable(sending.done)

    async def _spread(self, line: str | None, turn: DeferredLock, sending: Sending, audience: Audience[M]) -> None:
        await turn.acquire()
        members, reached = audience.members, 0
        try:
            while reached < len(members):
                if reached:
                    await self._next_turn()
                if sending.over:
                    break
                part = members[reached : reached + SLICE]
                for peer in await audience.clients(part, sending.away):
                    sending.send_to(peer)
                reached += len(part)
        finally:
            turn.release()
            if not turn.locked and self._lines.get(line) is turn:
                del self._lines[line]
        sending.spread([audience.who(each) for each in members[reached:]])

    def _expire(self, sending: Sending) -> None:
        Deferred.fromCoroutine(self._give_up(sending.expire()))

    async def _give_up(self, late: Sequence[Copy]) -> None:
        for begin in range(0, len(late), SLICE):
            if begin:
                await self._next_turn()
            for each in late[begin : begin + SLICE]:
                each.peer.give_up(each.tag)

    def _next_turn(self) -> Deferred[None]:
        turn: Deferred[None] = Deferred()
        self._reactor.callLater(0, turn.callback, None)
        return turn
