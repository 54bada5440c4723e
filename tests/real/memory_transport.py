"""A transport in memory, with an end to its patience."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure


class Transport:
    """Sends into ``sent``, as a socket does: at once while it is ``reading``, else into a queue that may be full.

    It pauses its producer, and lets it go on, exactly where ``twisted.internet.abstract.FileDescriptor`` does.
    """

    bufferSize = 64 * 1024

    def __init__(self, clock: Clock, peer: Any = None) -> None:
        self.clock = clock
        self.protocol: Any = None
        self.peer = peer
        self.reading = True
        self.sent = b""
        self.writes: list[int] = []
        self.queue = b""
        self.aborted = self.disconnecting = self.disconnected = False
        #: Whether the protocol wants no more to be read. What a test delivers all the same is the test's business.
        self.paused = False
        self._producer: Any = None
        self._paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def write(self, data: bytes) -> None:
        assert type(data) is bytes and not self.aborted and not self.disconnected
        self.writes.append(len(data))
        self.queue += data
        if self.reading and not self._paused:
            self.sent, self.queue = self.sent + self.queue, b""
        elif self._producer is not None and len(self.queue) > self.bufferSize:
            self._paused = True
            self._producer.pauseProducing()

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        self.write(b"".join(pieces))

    def take(self, size: int = 2**62) -> None:
        """The other side reads that many bytes of what is queued."""
        while size and self.queue:
            part, self.queue = self.queue[:size], self.queue[size:]
            self.sent += part
            size -= len(part)
            if not self.queue and self._producer is not None and self._paused:
                self._paused = False
                self._producer.resumeProducing()
        self._maybe_close()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming and self._producer is None
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def loseConnection(self) -> None:
        self.disconnecting = True
        self._maybe_close()

    def _maybe_close(self) -> None:
        if self.disconnecting and not self.queue and self._producer is None and not self.disconnected:
            self.clock.callLater(0, self.lose, ConnectionDone())

    def abortConnection(self) -> None:
        if not self.aborted and not self.disconnected:
            self.aborted = True
            self.clock.callLater(0, self.lose, ConnectionAborted())

    def lose(self, why: Exception) -> None:
        if not self.disconnected:
            self.disconnected = True
            self.protocol.connectionLost(Failure(why))

    def getPeer(self) -> Any:
        return self.peer
