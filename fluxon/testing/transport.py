"""One end of a connection in memory: what a protocol has for a transport.

Rules of this module:

- It behaves as Twisted's TCP transport does where protocols can tell: nothing arrives within the call that sent it; a
  registered producer is paused when much is on the way and goes on when nothing is; a polite close lets everything
  arrive and waits for the producer; an abort does not; ``connectionLost`` comes once, from a turn of its own.
- How and when bytes arrive is the business of ``link.Direction``. A protocol cannot put it off, as it can with a
  socket: for how long would be a matter of the real clock, which a test's server must not depend on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from fluxon.testing.link import Direction

#: Bytes on the way above which a producer is paused; that of Twisted's transports.
BUFFER = 64 * 1024


@implementer(ITransport, IConsumer)
class MemoryTransport:
    """Sends into ``out``; what comes is for ``protocol``."""

    def __init__(self, here: IPv4Address, there: IPv4Address) -> None:
        self._here = here
        self._there = there
        self.protocol: Any = None
        self.out: Direction
        self.connected = True
        self.disconnecting = False
        self._producer: Any = None
        self._producer_paused = False

    def __repr__(self) -> str:
        return f"<MemoryTransport {self._here.port} to {self._there.port}>"

    def getHost(self) -> IPv4Address:
        """This end."""
        return self._here

    def getPeer(self) -> IPv4Address:
        """The other end."""
        return self._there

    # --- sending ------------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send ``data``, as far as there is still somebody to take it."""
        if self.connected and not self.disconnecting:
            self.out.put(data)
            if self._producer is not None and self.out.size > BUFFER and not self._producer_paused:
                self._producer_paused = True
                self._producer.pauseProducing()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send all of it."""
        self.write(b"".join(iovec))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have ``producer`` pause while much is on the way."""
        if self._producer is not None:
            raise RuntimeError(f"{self!r} has a producer already")
        if not streaming:
            raise NotImplementedError("pull producers")
        self._producer = producer
        if not self.connected:
            producer.stopProducing()

    def unregisterProducer(self) -> None:
        """The producer has no more."""
        self._producer = None
        self._close_if_done()

    def arrived(self) -> None:
        """Everything that was sent has arrived."""
        if self._producer_paused and self._producer is not None:
            self._producer_paused = False
            self._producer.resumeProducing()
        self._close_if_done()

    # --- ending -------------------------------------------------------------------------------------------------------

    def loseConnection(self, _: object = None) -> None:
        """End it when everything has arrived."""
        self.disconnecting = True
        self._close_if_done()

    def abortConnection(self) -> None:
        """End it now; what is on the way is lost."""
        self.disconnecting = True
        self.out.end(ConnectionAborted(), ConnectionLost())

    def _close_if_done(self) -> None:
        if self.disconnecting and self.connected and not self.out.size and self._producer is None:
            self.out.end(ConnectionDone(), ConnectionDone())

    def lost(self, reason: Exception) -> None:
        """Tell the protocol, once."""
        if self.connected:
            self.connected = False
            if self._producer is not None:
                self._producer.stopProducing()
                self._producer = None
            # Whoever keeps one end does not keep the other side's protocol.
            protocol, self.protocol = self.protocol, None
            protocol.connectionLost(Failure(reason))
