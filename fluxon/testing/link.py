"""A connection in memory, and what may go wrong with it.

Rules of this module:

- Bytes travel frame by frame (``fluxon.wire.frames``), so that a test can name what is late, lost or comes twice: the
  next frame to the client, say. What is no frame travels as it comes.
- A line that loses a frame is lost with it: TCP never goes on behind a hole. One that delivers a frame twice is a
  faulty relay, or somebody who recorded it: a line that repeats a request is given up, and the request carried out
  once, if at all.
- Late means by the test's clock. ``hold`` keeps everything until ``release``.
- Faults end with the link; a client that reconnects has a new one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReactorTime

from fluxon.limits import MAX_FRAME
from fluxon.testing.calling import Calls
from fluxon.testing.transport import MemoryTransport
from fluxon.wire.frames import HEADER

#: How many bytes the length of a frame has, which counts what follows it.
_LENGTH = 4


class Direction:
    """One direction of a link: ``link.to_server`` or ``link.to_client``."""

    def __init__(
        self,
        calls: Calls,
        reactor: IReactorTime,
        sender: MemoryTransport,
        receiver: MemoryTransport,
        over: Callable[[], None],
    ) -> None:
        self._calls = calls
        self._over = over
        self._reactor = reactor
        self._sender = sender
        self._receiver = receiver
        sender.out = self
        self._begun = b""
        self._raw = False
        # What is on its way: when it is there, and what it is. None is the end of the line.
        self._queue: deque[tuple[float, bytes | None]] = deque()
        #: Bytes that were sent and have not arrived.
        self.size = 0
        #: Frames that have arrived.
        self.delivered = 0
        self._delay = 0.0
        self._held = False
        self._twice = 0
        self._losing = -1
        self._call: Any = None
        self._ending: tuple[Exception, Exception] | None = None

    # --- faults -------------------------------------------------------------------------------------------------------

    def delay(self, seconds: float) -> None:
        """From now on everything takes ``seconds`` of the clock; 0 for none."""
        self._delay = seconds

    def hold(self) -> None:
        """From now on nothing arrives, until ``release``."""
        self._held = True

    def release(self) -> None:
        """What was held arrives."""
        self._held = False
        self._calls.do(self._deliver_soon)

    def duplicate(self, frames: int = 1) -> None:
        """The next ``frames`` frames that are sent arrive twice."""
        self._twice = frames

    def lose(self, after: int = 0) -> None:
        """``after`` more frames are sent; the one behind them does not arrive, and the connection is lost instead.

        ``link.to_client.lose()`` before a request: it is carried out, and its client never hears.
        """
        self._losing = after

    # --- of the transports --------------------------------------------------------------------------------------------

    def put(self, data: bytes) -> None:
        """``data`` was sent."""
        if self._ending is not None:
            return
        for frame in self._frames(data):
            if self._losing == 0:
                self._queue.append((self._arrival(), None))
                self._losing = -1
                break
            self._losing -= self._losing > 0
            for _ in range(2 if self._twice else 1):
                self._queue.append((self._arrival(), frame))
                self.size += len(frame)
            self._twice -= self._twice > 0
        self._deliver_soon()

    def _frames(self, data: bytes) -> list[bytes]:
        if self._raw:
            return [data]
        data = self._begun + data
        found: list[bytes] = []
        while len(data) >= HEADER.size:
            length = _LENGTH + HEADER.unpack_from(data)[0]
            if length > MAX_FRAME:
                self._raw, self._begun = True, b""
                return [*found, data]
            if len(data) < length:
                break
            found.append(data[:length])
            data = data[length:]
        self._begun = data
        return found

    def _arrival(self) -> float:
        # Never before what was sent earlier.
        before = self._queue[-1][0] if self._queue else 0.0
        return max(self._reactor.seconds() + self._delay, before)

    @property
    def over(self) -> bool:
        """Whether nothing arrives any more, ever."""
        return self._ending is not None

    def end(self, for_sender: Exception, for_receiver: Exception) -> None:
        """The line is over: both hear of it in the next turn."""
        if self._ending is None:
            self._ending = for_sender, for_receiver
            self._queue.clear()
            self._reactor.callLater(0, self._end)

    def _end(self) -> None:
        assert self._ending is not None
        for_sender, for_receiver = self._ending
        self.size = 0
        self._sender.lost(for_sender)
        self._receiver.lost(for_receiver)
        self._over()

    # --- delivering ---------------------------------------------------------------------------------------------------

    def _deliver_soon(self) -> None:
        if self._queue and not self._held:
            if self._call is not None:
                if self._call.getTime() <= self._queue[0][0]:
                    return
                self._call.cancel()
            self._call = self._reactor.callLater(max(0.0, self._queue[0][0] - self._reactor.seconds()), self._deliver)

    def _deliver(self) -> None:
        self._call = None
        now = self._reactor.seconds()
        # What is here now, not what its answers bring.
        for _ in range(len(self._queue)):
            if not self._queue or self._queue[0][0] > now or self._held:
                break
            _, frame = self._queue.popleft()
            if frame is None:
                self.end(ConnectionLost(), ConnectionLost())
                return
            self.size -= len(frame)
            self.delivered += 1
            if self._receiver.connected:
                self._receiver.protocol.dataReceived(frame)
        if not self._queue and self._ending is None:
            self._sender.arrived()
        self._deliver_soon()


class Link:
    """One connection: a client, a server, and both directions between them."""

    def __init__(
        self,
        calls: Calls,
        reactor: IReactorTime,
        client: IPv4Address,
        server: IPv4Address,
        over: Callable[[Link], None] = lambda _: None,
    ) -> None:
        self._calls = calls
        self.client = MemoryTransport(client, server)
        self.server = MemoryTransport(server, client)
        #: What the client sends.
        self.to_server = Direction(calls, reactor, self.client, self.server, lambda: over(self))
        #: What the server sends.
        self.to_client = Direction(calls, reactor, self.server, self.client, lambda: over(self))

    def __repr__(self) -> str:
        return f"<Link of {self.client.getHost().port}, {'open' if self.open else 'over'}>"

    @property
    def open(self) -> bool:
        """Whether the connection lasts, for both ends."""
        return not (self.to_server.over or self.to_client.over)

    def cut(self) -> None:
        """The connection is lost at once, for both ends; what is on the way does not arrive."""
        self._calls.do(self._cut)

    def _cut(self) -> None:
        self.to_server.end(ConnectionLost(), ConnectionLost())
        self.to_client.end(ConnectionLost(), ConnectionLost())
