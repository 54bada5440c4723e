"""A network that misbehaves: a proxy that cuts, delays, stalls, truncates and duplicates what passes, at random.

What happens is decided by the ``random.Random`` that it is given, read by read: a seed tells a run's faults, if not
their exact times.

- *cut*: both ends are aborted, and what is in the proxy's hands is lost.
- *truncate*: a part of a read is passed on, then both ends are closed in good order.
- *delay*: one direction waits for some milliseconds; the other goes on.
- *stall*: nothing passes in either direction, as behind a dead router, until both ends give up or are cut.
- *duplicate*: a read, or the end of one, is passed on twice. Over TLS that is a broken record. Without, it is a frame
  once more, or bytes in the middle of one, which then breaks. An ask once more has a tag that is in use, and ends the
  connection; or one that was answered, and is a repeat by its key or number. An answer once more is one that nobody
  waits for.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol

#: How often each fault happens, of a thousand reads.
FAULTS = {"cut": 6, "truncate": 6, "delay": 60, "stall": 1, "duplicate": 5}

#: A read of so few bytes is whole frames.
WHOLE = 4_096

#: Longest delay and stall, in seconds.
DELAY, STALL = 0.03, 1.0


class End(Protocol):
    """One end of a connection through the proxy."""

    transport: Any
    other: End | None = None
    over = False

    def __init__(self, proxy: ChaosProxy) -> None:
        self.proxy = proxy
        self.waiting: list[bytes] = []
        self.held = False

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        if self.held or self.other is None:
            self.waiting.append(data)
        else:
            self.proxy.passing(self, data)

    def pass_on(self, data: bytes) -> None:
        """Send ``data`` to the other end."""
        if self.other is not None and not self.other.over:
            self.other.transport.write(data)

    def hold(self, seconds: float) -> None:
        """Pass nothing on for so long."""
        self.held = True
        self.proxy.later(seconds, self.release)

    def release(self) -> None:
        self.held = False
        waiting, self.waiting = self.waiting, []
        for index, data in enumerate(waiting):
            if self.held:  # again; in order all the same, as TCP is
                self.waiting += waiting[index:]
                return
            self.dataReceived(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.over = True
        self.proxy.ends.discard(self)
        if self.other is not None and not self.other.over:
            self.other.transport.loseConnection()

    def end(self, abort: bool) -> None:
        """End both directions."""
        for each in (self, self.other):
            if each is not None and not each.over:
                (each.transport.abortConnection if abort else each.transport.loseConnection)()


class ChaosProxy:
    """Stands before ``port`` of this machine. ``calm`` while it passes everything on as it is."""

    def __init__(self, reactor: Any, port: int, random: Random) -> None:
        self.reactor = reactor
        self.calm = True
        #: Whether parts of frames are duplicated, too: only TLS finds out for certain that a payload was changed.
        self.pieces = False
        #: How often what happened.
        self.happened: Counter[str] = Counter()
        self.ends: set[End] = set()
        self._calls: list[Any] = []
        self._random = random
        self._target = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        self._faults = [name for name, often in FAULTS.items() for _ in range(often)]

    async def open(self) -> int:
        """Listen: the port."""
        factory = Factory.forProtocol(lambda: self._accepted())  # type: ignore[arg-type]
        factory.noisy = False
        self._listening = await TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1").listen(factory)
        return int(self._listening.getHost().port)

    async def close(self) -> None:
        """End everything."""
        await self._listening.stopListening()
        for call in self._calls:
            if call.active():
                call.cancel()
        for each in tuple(self.ends):
            each.end(abort=True)
        while self.ends:
            turn: Deferred[None] = Deferred()
            self.reactor.callLater(0.01, turn.callback, None)
            await turn

    def later(self, seconds: float, function: Any, *arguments: Any) -> None:
        """``callLater``, unless it is closed before."""
        self._calls = [call for call in self._calls if call.active()]
        self._calls.append(self.reactor.callLater(seconds, function, *arguments))

    def _accepted(self) -> End:
        near = End(self)
        self.ends.add(near)
        self.happened["connections"] += 1
        factory = Factory.forProtocol(lambda: End(self))  # type: ignore[arg-type]
        factory.noisy = False

        def connected(far: Any) -> None:
            far.other, near.other = near, far
            self.ends.add(far)
            if near.over:
                far.transport.loseConnection()
            near.release()
            far.release()

        self._target.connect(factory).addCallbacks(connected, lambda _: near.end(abort=True))
        return near

    def passing(self, end: End, data: bytes) -> None:
        """``data`` arrived at ``end``: pass it on, more or less."""
        roll = self._random.randrange(1_000)
        if self.calm or roll >= len(self._faults):
            end.pass_on(data)
            return
        fault = self._faults[roll]
        self.happened[fault] += 1
        getattr(self, f"_{fault}")(end, data)

    def _cut(self, end: End, data: bytes) -> None:
        end.end(abort=True)

    def _truncate(self, end: End, data: bytes) -> None:
        end.pass_on(data[: self._random.randrange(len(data))])
        end.end(abort=False)

    def _delay(self, end: End, data: bytes) -> None:
        end.hold(self._random.random() * DELAY)
        end.waiting.append(data)

    def _stall(self, end: End, data: bytes) -> None:
        # Kept: who is released before the end goes on where it was, as TCP would.
        end.waiting.append(data)
        for each in (end, end.other):
            if each is not None:
                each.held = True
        self.later(self._random.random() * STALL, end.end, True)

    def _duplicate(self, end: End, data: bytes) -> None:
        end.pass_on(data)
        if self.pieces:
            end.pass_on(data if self._random.random() < 0.5 else data[-self._random.randrange(1, len(data) + 1) :])
        elif len(data) < WHOLE:
            end.pass_on(data)
