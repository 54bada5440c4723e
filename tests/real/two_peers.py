"""A server's and a client's connection with a line between them that delivers what, and when, it is told to.

Everything they run, send and take is written down: jobs by the number of the ask that began them, sinks and sources by
how they ended.
"""

from __future__ import annotations

from typing import Any

from memory_transport import Transport
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock

from fluxon.commands import Command, Integer, Leaving, Text
from fluxon.commands.arguments import Anything
from fluxon.errors import FluxonError, NotFound
from fluxon.limits import Limits
from fluxon.rpc import ClientFactory, Incoming, Opening, Outgoing, Responders, ServerFactory

WINDOW = 2_000


class Job(Command):
    """What ``kind`` says; ``number`` is the asker's."""

    name = "job"
    arguments = {"kind": Text(max_bytes=32), "number": Integer()}
    response = Anything()
    errors = (FluxonError,)
    opens = True


class Sink:
    """Takes what comes at once, or when it is told to."""

    def __init__(self, slow: bool) -> None:
        self.slow = slow
        self.heard = b""
        self.ends: list[FluxonError | None] = []
        self.waiting: list[Deferred[None]] = []

    def data(self, piece: memoryview) -> Deferred[None] | None:
        assert not self.ends, "bytes after the end"
        self.heard += piece
        if not self.slow:
            return None
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def ended(self, error: FluxonError | None) -> None:
        self.ends.append(error)

    def take(self) -> None:
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.callback(None)


class Source:
    """So many bytes that say where they stand."""

    def __init__(self, size: int) -> None:
        self.content = bytes(each % 251 for each in range(size))
        self.left = memoryview(self.content)
        self.closed = 0

    def read(self, size: int) -> bytes:
        piece, self.left = self.left[: min(size, 700)], self.left[min(size, 700) :]
        return bytes(piece)

    def close(self) -> None:
        self.closed += 1


class Later:
    """A job that ends when it is told to; a ``stubborn`` one not even when it is cancelled."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.done = False
        self.awaited: Deferred[Any] = Deferred()

    async def wait(self) -> Any:
        try:
            while True:
                try:
                    return await self.awaited
                except CancelledError:
                    if self.kind != "stubborn":
                        raise
                    self.awaited = Deferred()
        finally:
            self.done = True

    def finish(self, value: Any) -> None:
        if not self.done:
            self.awaited.callback(value)


class Side:
    """One end."""

    def __init__(self, clock: Clock, factory: Any, limits: Limits) -> None:
        self.clock = clock
        self.work: dict[int, Any] = {}
        self.began: list[int] = []
        self.sinks: list[Sink] = []
        self.sources: list[Source] = []
        self.lost: list[Any] = []
        self.slow = False
        self.factory = factory(
            Responders({Job: self.run, Leaving: lambda peer, arguments: {}}),
            clock,
            limits,
            on_disconnect=lambda peer, reason: self.lost.append(reason),
        )
        self.protocol = self.factory.buildProtocol(None)
        self.peer = self.protocol.peer
        self.conversation = self.protocol.conversation
        self.transport = Transport(clock)
        self.transport.reading = False
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)
        self.peer.greeted = True
        self.conversation.receive_limit = self.conversation.send_limit = limits.frame_to_client
        self.protocol.greeted()

    def run(self, peer: Any, arguments: dict[str, Any]) -> Any:
        kind, number = arguments["kind"], arguments["number"]
        assert number not in self.began, "run twice"
        self.began.append(number)
        match kind:
            case "now":
                return [number]
            case "fail":
                raise NotFound("no", details={"number": number})
            case "get":
                self.sources.append(Source(5_000))
                return Opening({}, Outgoing(self.sources[-1]))
            case "put":
                self.sinks.append(Sink(self.slow))
                return Opening({}, Incoming(self.sinks[-1], WINDOW))
        self.work[number] = work = Later(kind)
        return work.wait()


class Pair:
    """Both ends, and the line."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        made = Limits(**limits)
        self.sides = [Side(self.clock, ServerFactory, made), Side(self.clock, ClientFactory, made)]
        self.read = [0, 0]

    @property
    def cut(self) -> bool:
        """Whether the line is no more."""
        return any(side.transport.disconnected or side.transport.aborted for side in self.sides)

    def deliver(self, side: int, size: int, pieces: int) -> int:
        """The other side reads up to ``size`` bytes of what ``side`` has sent, in so many reads."""
        here, there = self.sides[side], self.sides[1 - side]
        if there.transport.disconnected:
            return 0
        here.transport.take(size)
        data = here.transport.sent[self.read[side] :]
        self.read[side] += len(data)
        step = max(1, -(-len(data) // pieces))
        for start in range(0, len(data), step):
            if not there.transport.disconnected and not there.transport.aborted:
                there.protocol.dataReceived(data[start : start + step])
        self.follow()
        return len(data)

    def follow(self) -> None:
        """An end that is gone is gone for the other as well, once it has read what was sent."""
        self.clock.advance(0)
        for here, there in (self.sides, self.sides[::-1]):
            over = here.transport.aborted or here.transport.disconnected
            if over and not there.transport.disconnected:
                there.transport.lose(ConnectionLost())
        self.clock.advance(0)

    def lose(self) -> None:
        """The line is cut."""
        for side in self.sides:
            side.transport.lose(ConnectionLost())
        self.clock.advance(0)
