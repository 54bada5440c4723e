"""The clock's side of a connection: a hello in time, no silence without end, no frame that does not grow.

Rules of this module: all connections of a factory share two timers (``Rounds``); any bytes are a sign of life, a pong
has nothing to add; the beat looks at what reading has noted, so reading itself asks no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from fluxon.limits import Limits
from fluxon.rpc.rounds import Batch, Rounds

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol


class Heartbeat:
    """Watches ``protocol``; ends it with ``abort``."""

    __slots__ = ("_batch", "_incomplete", "_protocol", "_quiet", "_rounds")

    def __init__(self, protocol: PeerProtocol) -> None:
        self._protocol = protocol
        # What calls next, and where it has this.
        self._rounds: Rounds[Heartbeat] | None = None
        self._batch: Batch[Heartbeat] | None = None
        # Seconds without a byte, and the frame that was incomplete, as the last beat saw them.
        self._quiet = 0.0
        self._incomplete: tuple[int, int] | None = None

    def expect_hello(self) -> None:
        """The connection is made: patience begins, the TLS handshake included."""
        self._wait_for(self._protocol.factory.watch.handshakes)

    def start(self) -> None:
        """Hello was answered: from now on silence is measured, not patience."""
        self.stop()
        self._wait_for(self._protocol.factory.watch.beats)

    def stop(self) -> None:
        """Watch no longer."""
        if self._rounds is not None and self._batch is not None:
            self._rounds.remove(self, self._batch)
        self._rounds = self._batch = None

    def _wait_for(self, rounds: Rounds[Heartbeat]) -> None:
        self._rounds, self._batch = rounds, rounds.add(self)

    def give_up(self) -> None:
        """No hello came in time."""
        self._rounds = self._batch = None
        self._protocol.abort("it did not say hello in time")

    def beat(self, limits: Limits, interval: float, heartbeat: float) -> None:
        """``interval`` seconds have passed since the last one."""
        self._rounds = self._batch = None
        protocol = self._protocol
        if self._stalls(limits.frame_rate * interval):
            protocol.abort("it stalls within a frame")
            return
        if protocol.heard:
            protocol.heard = False
            self._quiet = 0.0
        else:
            self._quiet += interval
            if self._quiet >= 2 * heartbeat:
                protocol.abort("it is silent")
                return
            if self._quiet >= heartbeat:
                protocol.conversation.ping()
                protocol.flush_soon()
        self._wait_for(protocol.factory.watch.beats)

    def _stalls(self, growth: float) -> bool:
        """Whether the frame that was incomplete at the last beat still is, and has grown by less than ``growth``."""
        before, self._incomplete = self._incomplete, self._protocol.conversation.incomplete
        if before is None or self._incomplete is None:
            return False
        (number, size), (number_now, size_now) = before, self._incomplete
        return number == number_now and size_now - size < growth


class Watch:
    """The two timers of a factory. ``heartbeat`` is the silence after which the other side is pinged; inf for never."""

    def __init__(self, clock: IReactorTime, limits: Limits, heartbeat: float) -> None:
        self.heartbeat = heartbeat
        interval = min(heartbeat, limits.frame_stall)
        self.handshakes: Rounds[Heartbeat] = Rounds(clock, limits.handshake, Heartbeat.give_up)
        self.beats: Rounds[Heartbeat] = Rounds(clock, interval, lambda each: each.beat(limits, interval, heartbeat))
