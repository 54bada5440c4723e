"""The part of the server's time that connections get whose messages cost much.

A flood of asks, or frames full of small items, keeps the reactor busy for tens of milliseconds a read; and there is
always a next read. Answering with errors costs as much, so those connections are read later instead: they wait, and
nobody else does.

Rules of this module: only reads of many bytes are timed, so a usual request pays nothing. A pause has an end: what the
other side answers or controls is read late, never never.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

from fluxon.limits import Limits

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol

#: Reads of fewer bytes are not looked at: not even one that is full of the smallest asks takes a millisecond.
MUCH = 4 * 1024


class BusyReads:
    """What the reads of all connections of a port have cost."""

    def __init__(self, limits: Limits, now: Callable[[], float] = perf_counter) -> None:
        #: Seconds of a clock that is fine enough, and never turned back.
        self.now = now
        self._most = limits.busy_read
        self._share = limits.busy_share
        #: Seconds that a connection is not read at most.
        self.longest = min(limits.busy_pause, limits.heartbeat)
        # Until then the time that they may have is used up.
        self._free_at = 0.0
        #: Reads so far that took too long.
        self.count = 0

    def pause_after(self, began: float) -> float:
        """How long a connection is not to be read, whose read began at ``began`` and is over; mostly 0."""
        now = self.now()
        took = now - began
        if took <= self._most:
            return 0.0
        self.count += 1
        self._spend(began, took)
        return min(self._free_at - now, self.longest)

    def charge(self, began: float, *, alone: bool) -> None:
        """What began at ``began`` is over; who is ``alone`` with such reads is charged for what took too long only."""
        took = self.now() - began
        if took > self._most:
            self.count += 1
        elif alone:
            return
        self._spend(began, took)

    def _spend(self, began: float, took: float) -> None:
        self._free_at = max(self._free_at, began) + took * self._share

    def presses(self, now: float) -> bool:
        """Whether the time that such reads may have is used up for now."""
        return now < self._free_at

    def took_long(self, began: float) -> bool:
        """Whether what began at ``began`` has taken too long already."""
        return self.now() - began > self._most

    def wait(self) -> float:
        """How long until there is time for more of it."""
        return max(0.0, self._free_at - self.now())


class Pause:
    """A connection that is not read for a while, or until what it read is worked on."""

    __slots__ = ("_call", "_held", "_protocol")

    def __init__(self, protocol: PeerProtocol) -> None:
        self._protocol = protocol
        self._call: IDelayedCall | None = None
        self._held = False

    def begin(self, seconds: float) -> None:
        """Read no more for so many seconds; one that has begun goes on as it is."""
        if self._call is None and self._pause():
            self._call = self._protocol.call_later(seconds, self._over)

    def hold(self) -> None:
        """Read no more until ``release``."""
        self._held = self._pause()

    def release(self) -> None:
        """Read again, unless it is too early for that."""
        if self._held:
            self._held = False
            self._resume()

    def _pause(self) -> bool:
        # A transport that cannot pause has no other side that could be too fast.
        pause = getattr(self._protocol.transport, "pauseProducing", None)
        if pause is None or self._protocol.peer.lost:
            return False
        pause()
        return True

    def _over(self) -> None:
        self._call = None
        self._resume()

    def _resume(self) -> None:
        if self._call is None and not self._held and not self._protocol.peer.lost:
            self._protocol.transport.resumeProducing()

    def end(self) -> None:
        """The connection is gone."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
