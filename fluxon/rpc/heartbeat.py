"""The clock's side of a connection: a hello in time, no silence without end, no frame that does not grow.

Rules of this module: one timer at a time; any bytes are a sign of life, a pong has nothing to add; the beat looks at
what reading has noted, so reading itself asks no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol


class Heartbeat:
    """Watches ``protocol``; ends it with ``abort``."""

    __slots__ = ("_call", "_incomplete", "_protocol", "_quiet")

    def __init__(self, protocol: PeerProtocol) -> None:
        self._protocol = protocol
        self._call: IDelayedCall | None = None
        # Seconds without a byte, and the frame that was incomplete, as the last beat saw them.
        self._quiet = 0.0
        self._incomplete: tuple[int, int] | None = None

    def expect_hello(self) -> None:
        """The connection is made: patience begins, the TLS handshake included."""
        self._call_in(self._protocol.factory.limits.handshake, self._not_greeted)

    def start(self) -> None:
        """Hello was answered: from now on silence is measured, not patience."""
        self.stop()
        self._call_in(self._interval(), self._beat)

    def stop(self) -> None:
        """Watch no longer."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _not_greeted(self) -> None:
        self._call = None
        self._protocol.abort("it did not say hello in time")

    def _beat(self) -> None:
        self._call = None
        protocol = self._protocol
        limits, interval = protocol.factory.limits, self._interval()
        if self._stalls(limits.frame_rate * interval):
            protocol.abort("it stalls within a frame")
            return
        if protocol.heard:
            protocol.heard = False
            self._quiet = 0.0
        else:
            self._quiet += interval
            if self._quiet >= 2 * limits.heartbeat:
                protocol.abort("it is silent")
                return
            if self._quiet >= limits.heartbeat:
                protocol.conversation.ping()
                protocol.flush_soon()
        self._call_in(interval, self._beat)

    def _stalls(self, growth: float) -> bool:
        """Whether the frame that was incomplete at the last beat still is, and has grown by less than ``growth``."""
        before, self._incomplete = self._incomplete, self._protocol.conversation.incomplete
        if before is None or self._incomplete is None:
            return False
        (number, size), (number_now, size_now) = before, self._incomplete
        return number == number_now and size_now - size < growth

    def _interval(self) -> float:
        limits = self._protocol.factory.limits
        return min(limits.heartbeat, limits.frame_stall)

    def _call_in(self, seconds: float, function: Callable[[], None]) -> None:
        self._call = self._protocol.factory.clock.callLater(seconds, function)
