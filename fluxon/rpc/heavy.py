"""Reads that hold more than can be worked on at once: one portion after the other, of one connection after the other.

What is left of a read that took long, and one of many items while others wait, waits for its turn: behind the reads of
everybody else, and behind the portions of those who came before. However many connections send such reads, whoever
sends others waits for one portion of them.

Rules of this module:

- Turns are in the order in which they came; who has more after theirs goes to the end. A connection that waits is not
  read.
- They share the part of the server's time that is for reads which cost much (``BusyReads``).
- Nobody waits longer than ``Limits.busy_pause``: an ask whose turn has not come by then is refused, unread, and its
  asker told to try again later. What answers is worked on all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from fluxon.errors import ResourceExhausted
from fluxon.rpc.busy import BusyReads

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol

#: Those whose time is over are refused, so many in a turn.
_AT_ONCE = 64


class HeavyReads:
    """The connections of a port of which something is put off."""

    def __init__(self, busy: BusyReads, clock: IReactorTime) -> None:
        self._busy = busy
        self._clock = clock
        # In their order, with when each came.
        self._waiting: dict[PeerProtocol, float] = {}
        self._call: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def weighs(self, now: float | None) -> bool:
        """Whether what is read is to be weighed; ``now`` is known for reads of many bytes."""
        return bool(self._waiting) or (now is not None and self._busy.presses(now))

    def join(self, protocol: PeerProtocol) -> None:
        """Have the rest of what ``protocol`` read worked on in its turn."""
        if protocol not in self._waiting:
            self._waiting[protocol] = self._busy.now()
            self._wake()

    def leave(self, protocol: PeerProtocol) -> None:
        """The connection is gone."""
        self._waiting.pop(protocol, None)
        if not self._waiting and self._call is not None:
            self._call.cancel()
            self._call = None

    def _wake(self) -> None:
        if self._call is None and self._waiting:
            self._call = self._clock.callLater(min(self._busy.wait(), self._busy.longest), self._turn)

    def _turn(self) -> None:
        self._call = None
        longest = self._busy.longest
        for protocol, since in list(self._waiting.items())[:_AT_ONCE]:
            if self._waiting.pop(protocol, None) is None:
                continue  # one before it has ended it
            began = self._busy.now()
            late = began - since >= longest
            refusal = None
            if late:
                text = f"too many large requests wait to be read; try again in {longest:g} s"
                refusal = ResourceExhausted(text, details={"retry_after": longest})
            more = protocol.go_on(refusal)
            if not late:
                while more and not self._busy.took_long(began):
                    more = protocol.go_on()
                self._busy.charge(began, alone=not self._waiting)
            if more:
                self._waiting[protocol] = self._busy.now()
            if not late:
                break
        self._wake()
