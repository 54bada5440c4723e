"""What leaves a connection: gathered, written at once, and held here when the transport takes no more.

Rules of this module:

- All answers of a read leave in one write; answers that come later wait for the end of the reactor's turn.
- The transport holds little: what it does not take waits here (``backlog``). A peer that never reads costs the answer
  that is being sent and ``Limits.output_abort`` behind it, and is aborted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol

from fluxon.rpc.backlog import JOINED, MAX_PIECES, SLICE, Backlog, slices
from fluxon.wire import Conversation

if TYPE_CHECKING:
    from fluxon.rpc.factory import PeerFactory
    from fluxon.rpc.peer import Peer


class Output(Protocol):
    """The part of a connection that sends. ``PeerProtocol`` adds what arrives, how it ends, and its deadlines."""

    __slots__ = (
        "_backlog",
        "_corked",
        "_ended",
        "_flush_call",
        "_paused",
        "_stall_call",
        "conversation",
        "factory",
        "peer",
        "transport",
    )

    factory: PeerFactory
    peer: Peer
    transport: Any

    def __init__(self, factory: PeerFactory, conversation: Conversation) -> None:
        self.factory = factory
        self.conversation = conversation
        self._backlog: Backlog | None = None
        # A read is being worked on: its end sends what there is.
        self._corked = False
        # The transport takes no more.
        self._paused = False
        # Nothing is read or written any more.
        self._ended = False
        self._flush_call: IDelayedCall | None = None
        self._stall_call: IDelayedCall | None = None

    def abort(self, text: str) -> None:
        """End the connection at once; ``text`` goes to the log."""
        raise NotImplementedError

    def now(self) -> float:
        """Seconds of the reactor's clock."""
        return self.factory.clock.seconds()

    def call_later(self, delay: float, function: Any, *arguments: Any) -> IDelayedCall:
        """``callLater`` of the reactor's clock."""
        return self.factory.clock.callLater(delay, function, *arguments)

    @property
    def backlog(self) -> int:
        """Bytes of output that the transport has not taken."""
        return self._backlog.size if self._backlog is not None else 0

    @property
    def room(self) -> int:
        """Bytes that an answer may have while those before it are not read; the last quarter is for saying so."""
        behind = self._backlog.behind if self._backlog is not None else 0
        return self.factory.limits.output_abort * 3 // 4 - behind - self.conversation.output_size

    @property
    def idle(self) -> bool:
        """Whether the transport takes more, and nothing waits for that."""
        return not self._paused and not self._backlog and not self._ended

    def flush_soon(self) -> None:
        """Send what there is at the end of this turn of the reactor."""
        if not self._corked and self._flush_call is None and self.conversation.output:
            if self._ended:
                self._discard()
            else:
                self._flush_call = self.call_later(0, self._flush_late)

    def flush(self) -> None:
        """Send what there is now; during a read its end sends it."""
        if not self._corked and self.conversation.output:
            self._write()

    def write_much(self) -> None:
        """Send what there is now if it is much: what is answered at once must not pile up."""
        if self.conversation.output_size > SLICE:
            self._write()

    def _flush_late(self) -> None:
        self._flush_call = None
        if self.conversation.output:
            self._write()

    def _write(self) -> None:
        conversation = self.conversation
        output = conversation.output
        if not self._paused and not self._ended and conversation.output_size <= SLICE:
            size, conversation.output_size = conversation.output_size, 0
            if len(output) == 1:  # as nearly always: without the calls
                self.factory.sent += size
                self.transport.write(output.pop())
                return
            whole = output[:]
            output.clear()
            self._send(whole, size)
            return
        # Answer by answer, so that each is counted, however many are ready at once.
        ready = slices(output)
        self._discard()
        if self._ended:
            return
        if self._backlog is None:
            self._backlog = Backlog(self.factory.limits.output_abort)
        for each in ready:
            if not self._backlog.add(each):
                self.abort("it does not read its answers")
                return
            self._write_backlog()
        if self.backlog > self.factory.limits.output_high:
            self.peer.holding = True

    def _write_backlog(self) -> None:
        backlog = self._backlog
        while backlog and not self._paused and not self._ended:
            before = backlog.size
            pieces = backlog.take()
            self._send(pieces, before - backlog.size)

    def _send(self, pieces: list[bytes], size: int) -> None:
        self.factory.sent += size
        if len(pieces) == 1 or size < JOINED or len(pieces) > MAX_PIECES:
            self.transport.write(b"".join(pieces))
        else:
            self.transport.writeSequence(pieces)

    def _discard(self) -> None:
        self.conversation.output.clear()
        self.conversation.output_size = 0

    # The transport tells when it is full, and when no longer. As a push producer without end:

    def pauseProducing(self) -> None:
        """The transport is full: send no more, and see that it does not stay so."""
        self._paused = True
        if self._stall_call is None and not self._ended:
            self._stall_call = self.call_later(self.factory.limits.output_stalled, self._stalled)

    def _resume(self) -> bool:
        """The transport takes more; whether also more than was waiting for that."""
        self._paused = False
        if self._stall_call is not None:
            self._stall_call.cancel()
            self._stall_call = None
        if self._ended:
            return False
        self._write_backlog()
        return not self._paused and not self._ended

    def _stalled(self) -> None:
        self._stall_call = None
        self.abort("it took too little of its answers in time")

    def stopProducing(self) -> None:
        """The transport is closing; ``connectionLost`` does what there is to do."""

    def _stop_sending(self) -> None:
        """There is no transport any more."""
        for call in (self._flush_call, self._stall_call):
            if call is not None and call.active():
                call.cancel()
        self._flush_call = self._stall_call = None
        self._backlog = None
