"""All streams of one connection at this end: who sends next, and when.

Rules of this module:

- Streams take turns, a chunk each. Answers go first: nothing of a stream is sent while output waits.
- What one connection sends in a turn of the reactor is bounded; the others' turn comes before the rest.
- Chunks go to the transport at once and only when it takes them, so they are never output that waits to be read. A peer
  that reads none of them stalls the transport, and is aborted as for any other output.
- A stream of which nothing moves for ``Limits.stream_idle`` is given up.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall

from fluxon.errors import DeadlineExceeded, FluxonError
from fluxon.rpc.buffers import keep_buffers
from fluxon.rpc.direct import DirectServer
from fluxon.rpc.outgoing import FileSource, Outgoing
from fluxon.rpc.streams import Incoming, Stream
from fluxon.wire import Chunk, Conversation, Credit, End, Flow

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol

#: What a connection may send of its streams in one turn of the reactor.
_TURN = 1024 * 1024

#: Read from the socket at once while a stream comes in: a chunk as others send it, and more, so that reads do not end
#: within the next one's header each time.
_READ = 384 * 1024


class Transfers:
    """The streams of ``protocol``'s connection."""

    __slots__ = ("_call", "_idle_call", "_protocol", "_ready", "_usual_read", "streams")

    def __init__(self, protocol: PeerProtocol) -> None:
        self._protocol = protocol
        #: Those that are open, in the order in which they were opened.
        self.streams: dict[Stream, None] = {}
        self._ready: deque[Outgoing] = deque()
        self._call: IDelayedCall | None = None
        self._idle_call: IDelayedCall | None = None
        self._usual_read: int | None = None

    @property
    def conversation(self) -> Conversation:
        return self._protocol.conversation

    # --- opening ------------------------------------------------------------------------------------------------------

    def open(self, stream: Stream) -> Flow:
        """A new stream; it begins with ``begin``, when the answer that names it is made. See ``wire.Streams.open``."""
        return self.conversation.streams.open(stream.sending, stream)

    def attach(self, tag: int, stream: Stream) -> None:
        """Take the stream that an answer named."""
        self.begin(stream, self.conversation.streams.attach(tag, stream.sending, stream))

    def begin(self, stream: Stream, flow: Flow) -> None:
        """``stream`` is open."""
        self.streams[stream] = None
        keep_buffers()
        if self._idle_call is None:
            self._watch()
        if not stream.sending:
            self._read_much()
        stream.begin(self, flow)
        self._protocol.flush_soon()

    # --- for the streams ----------------------------------------------------------------------------------------------

    @property
    def sends_files(self) -> bool:
        """Whether the kernel can send files on this transport."""
        return isinstance(self._protocol.transport, DirectServer) and DirectServer.sends_files

    def now(self) -> float:
        """Seconds of the reactor's clock."""
        return self._protocol.now()

    def grant(self, flow: Flow, count: int) -> None:
        self.conversation.streams.grant(flow, count)
        self._protocol.flush_soon()

    def complete(self, flow: Flow) -> None:
        """All of it was sent."""
        self.conversation.streams.end(flow)
        self._protocol.flush_soon()

    def give_up_flow(self, flow: Flow, error: FluxonError) -> None:
        self.conversation.streams.give_up(flow, error)
        self._protocol.flush_soon()

    def write(self, flow: Flow, data: memoryview) -> None:
        """Write a chunk."""
        header = self.conversation.streams.chunk(flow, len(data))
        self._protocol.factory.sent += len(header) + len(data)
        self._protocol.transport.write(b"".join((header, data)))

    def send_file(self, flow: Flow, source: FileSource, size: int) -> bool:
        """Have the kernel send a chunk; False, and nothing done, if that cannot be now."""
        transport = self._protocol.transport
        if not transport.idle:
            transport.pause_producer()
            return False
        header = self.conversation.streams.chunk(flow, size)
        offset = source.offset
        source.offset += size
        source.left -= size
        source.hold()
        self._protocol.factory.sent += len(header) + size
        transport.send_file(header, source.descriptor, offset, size, source.release)
        return True

    def finished(self, stream: Stream) -> None:
        """``stream`` is over."""
        self.streams.pop(stream, None)
        if stream in self._ready:
            self._ready.remove(stream)  # type: ignore[arg-type]
        if not self.streams:
            if self._idle_call is not None:
                self._idle_call.cancel()
                self._idle_call = None
            if not self.conversation.answering:
                self._protocol.all_answered()
        if self._usual_read is not None and all(each.sending for each in self.streams):
            self._read_as_usual()

    # --- sending ------------------------------------------------------------------------------------------------------

    def ready(self, stream: Outgoing) -> None:
        """``stream`` may have something to send."""
        if stream not in self._ready:
            self._ready.append(stream)
        if self._call is None:
            self._call = self._protocol.call_later(0, self._take_turn)

    def _take_turn(self) -> None:
        self._call = None
        self.send()

    def send(self) -> None:
        """Send what the transport takes, within this connection's share of the turn."""
        protocol, ready = self._protocol, self._ready
        left = _TURN
        while ready and left > 0 and protocol.idle:
            stream = ready.popleft()
            if stream.sendable:
                left -= stream.send()
                if stream.sendable and stream not in ready:
                    ready.append(stream)
        if ready and self._call is None and protocol.idle:
            self._call = protocol.call_later(0, self._take_turn)

    # --- what arrives -------------------------------------------------------------------------------------------------

    def receive(self, message: Chunk | Credit | End) -> None:
        """Act on a message of a stream."""
        stream = message.owner
        if isinstance(message, Chunk):
            stream.arrived(message.data)
        elif isinstance(message, Credit):
            stream.credited()
        else:
            stream.ended(message)

    def _read_much(self) -> None:
        socket = self._socket()
        if self._usual_read is None and socket is not None:
            self._usual_read = socket.bufferSize
            socket.bufferSize = _READ

    def _read_as_usual(self) -> None:
        self._socket().bufferSize = self._usual_read
        self._usual_read = None

    def _socket(self) -> Any:
        """What reads from the socket: below TLS, if there is any."""
        transport: Any = self._protocol.transport
        below = getattr(transport, "transport", None) or transport
        return below if hasattr(below, "bufferSize") else None

    # --- time, and the end --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        self._idle_call = self._protocol.call_later(self._protocol.factory.limits.stream_idle, self._look)

    def _look(self) -> None:
        self._idle_call = None
        for stream in list(self.streams):
            if not stream.moved and not (isinstance(stream, Incoming) and stream.waits_for_us):
                seconds = self._protocol.factory.limits.stream_idle
                stream.give_up(DeadlineExceeded(f"nothing of the stream moved for {seconds:g} seconds"))
            stream.moved = False
        if self.streams and self._idle_call is None:
            self._watch()

    def give_up(self, error: FluxonError) -> None:
        """Give all of them up."""
        for stream in list(self.streams):
            stream.give_up(error)

    def lost(self, error: FluxonError) -> None:
        """Nothing is sent or read any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self.conversation.streams.close()
        for stream in list(self.streams):
            stream.finish(error)
