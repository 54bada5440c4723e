"""One call into many clients: encoded once, sent a few members a turn, in order.

Rules of this module:

- Everybody is sent the same bytes. What a slow client has not taken is a reference to them, and bounded as all output.
- A turn of the reactor sends to ``SLICE`` members at most; between two turns everybody else is served.
- What is sent to one line (a group, or everybody) arrives in the order in which it was sent; lines do not wait for each
  other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock

from fluxon.commands import Call
from fluxon.errors import InvalidPayload, ResourceExhausted
from fluxon.limits import Limits
from fluxon.routing.delivery import Delivery
from fluxon.routing.keeping import Keeping
from fluxon.routing.kept import keep
from fluxon.routing.sending import Audience, CallSending, ClientAudience, Copy, KeptSending, Sending, SessionAudience
from fluxon.sessions.shared import unstoppable
from fluxon.wire import SharedAsk, SharedTell

#: Members that are sent to in one turn of the reactor: about a millisecond.
SLICE = 64


class Fanout:
    """Sends calls to many. To be used on the reactor thread."""

    def __init__(self, reactor: Any, limits: Limits, keeping: Keeping) -> None:
        self._reactor = reactor
        self._keeping = keeping
        self._limits = limits
        self._lines: dict[str | None, DeferredLock] = {}

    def send(
        self,
        line: str | None,
        audience: ClientAudience,
        name: str,
        payload: Any,
        timeout: float | None,
        acknowledge: bool,
    ) -> Deferred[Delivery]:
        """Call ``name`` of all clients of ``audience``. Fires with what became of it.

        Raises ``InvalidPayload``, ``Unserialisable`` or ``ResourceExhausted`` for what no client could be sent, and
        ``ResourceExhausted`` when too much waits for the same line.
        """
        seconds = self._seconds(timeout)
        arguments = {"view": name, "payload": payload}
        Call.check_arguments(arguments)
        shared = SharedAsk(Call.name, arguments, seconds)
        limit = self._limits.frame_to_client
        if shared.size > limit:
            raise ResourceExhausted(f"a call of {shared.size:,} bytes; a client takes {limit:,} at once: send a file")
        tell = None if acknowledge else SharedTell(Call.name, arguments)
        return self._begin(line, CallSending(audience, shared, tell), audience, seconds)

    def keep(
        self,
        line: str | None,
        audience: SessionAudience,
        name: str,
        payload: Any,
        timeout: float | None,
        acknowledge: bool,
        seconds: float,
    ) -> Deferred[Delivery]:
        """The same, kept for ``seconds`` for the clients that are away, or slow."""
        within = self._seconds(timeout)
        kept = keep(name, payload, seconds, self._limits)
        return self._begin(line, KeptSending(audience, kept, self._keeping, acknowledge), audience, within)

    def _seconds(self, timeout: float | None) -> float:
        seconds = self._limits.reverse_timeout if timeout is None else timeout
        if type(seconds) not in (int, float) or not seconds > 0:
            raise InvalidPayload(f"a timeout is a number of seconds above 0, not {seconds!r}")
        return seconds

    def _begin(self, line: str | None, sending: Sending, audience: Audience, seconds: float) -> Deferred[Delivery]:
        turn = self._lines.setdefault(line, DeferredLock())
        if len(turn.waiting) >= self._limits.waiting_asks:
            raise ResourceExhausted(f"{self._limits.waiting_asks} calls wait for those before them to be sent")
        sending.timer = self._reactor.callLater(seconds, self._expire, sending)
        Deferred.fromCoroutine(self._spread(line, turn, sending, audience)).addErrback(sending.done.errback)
        return unstoppable(sending.done)

    async def _spread(self, line: str | None, turn: DeferredLock, sending: Sending, audience: Audience) -> None:
        await turn.acquire()
        members, reached = audience.members, 0
        try:
            while reached < len(members):
                if reached:
                    await self._next_turn()
                if sending.over and not sending.goes_on:
                    break
                part = members[reached : reached + SLICE]
                await sending.reach(part)
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
