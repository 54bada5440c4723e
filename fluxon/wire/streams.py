"""Streams: bytes of any length beside the messages, and how much of them may be under way.

Rules of this module:

- The end that accepted the connection opens streams, by the answer to an ask, and chooses their tags, which ascend.
- The receiver grants credit before anything is sent. More than was granted is an offence, whatever became of the
  stream.
- Each end ends a stream once, and says nothing of it afterwards; whoever hears of an end and has not ended it does so
  at once. So a stream is over for both at a known place in the bytes, nothing is remembered of it, and whatever is
  said of it later is an offence.
- Bytes of a stream that was given up here, and were under way, are dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluxon.errors import Cancelled, FluxonError, NotFound, ProtocolError, ResourceExhausted, from_wire
from fluxon.limits import MAX_TAG
from fluxon.wire.frames import Part, chunk_header
from fluxon.wire.messages import MAX_TEXT, Chunk, Credit, End, write_credit, write_end

#: Credit that may be out at once. No window is so large; it keeps the sum of endless grants a small number.
MAX_CREDIT = 2**32 - 1


def never_opened() -> ProtocolError:
    """A chunk, Credit or End of no stream that is open."""
    return ProtocolError("a message of a stream that was never opened, or is over")


def reason(end: End) -> FluxonError:
    """Why the other end gave a stream up."""
    details = dict(end.details)
    text = details.pop("text", None)
    code = end.code or ""
    if type(text) is not str:
        text = f"the other side gave the stream up ({code})"
    return from_wire(code, text[:MAX_TEXT], details)


class Flow:
    """One stream as this end sees it. ``owner`` is the driver's: it comes with each message of the stream."""

    __slots__ = ("credit", "end", "ended", "owner", "sending", "tag")

    def __init__(self, tag: int, sending: bool | None, owner: Any) -> None:
        self.tag = tag
        #: Whether this end sends the bytes; None as long as it has not said so.
        self.sending = sending
        self.owner = owner
        #: Bytes that may still be sent, by this end or by the other.
        self.credit = 0
        #: Whether this end has ended it.
        self.ended = False
        #: How the other end ended it.
        self.end: End | None = None


class Streams:
    """The streams of one connection. ``put`` sends a frame; ``limit`` bounds how many this end opens at once.

    ``fit`` gives a frame as it may be sent, and raises ``ResourceExhausted`` for one that the other end would refuse.
    """

    __slots__ = ("_fit", "_flows", "_last", "_limit", "put")

    def __init__(self, put: Callable[[bytes], None], fit: Callable[[bytes], bytes], limit: int) -> None:
        self.put = put
        self._fit = fit
        self._limit = limit
        self._flows: dict[int, Flow] = {}
        self._last = -1

    def __len__(self) -> int:
        return len(self._flows)

    # --- opening ------------------------------------------------------------------------------------------------------

    def open(self, sending: bool, owner: Any) -> Flow:
        """A new stream, to be named in an answer before anything else is said of it.

        Raises ``ResourceExhausted``. A stream that the other end owes its End counts as open.
        """
        if len(self._flows) >= self._limit or self._last >= MAX_TAG:
            raise ResourceExhausted(f"more than {self._limit} streams of one connection at once")
        self._last += 1
        flow = self._flows[self._last] = Flow(self._last, sending, owner)
        return flow

    def withdraw(self, flow: Flow) -> None:
        """Forget a stream whose answer was never sent."""
        del self._flows[flow.tag]

    def announced(self, tag: int) -> Flow:
        """An answer of the other end opens a stream. Its credit and its End are kept until ``attach``."""
        if tag <= self._last:
            raise ProtocolError("a stream's tag that is not above those before it")
        self._last = tag
        flow = self._flows[tag] = Flow(tag, None, None)
        return flow

    def attach(self, tag: int, sending: bool, owner: Any) -> Flow:
        """Take an announced stream. One whose ``end`` is set was over before; ``credit`` may be there already."""
        flow = self._flows.get(tag)
        if flow is None or flow.sending is not None:
            raise NotFound(f"there is no new stream {tag} on this connection")
        flow.sending = sending
        flow.owner = owner
        if flow.end is not None:
            del self._flows[tag]
        return flow

    def refuse(self, answer: Any) -> None:
        """Give up the stream that an answer's value names, if it names one that nobody has taken."""
        tag = answer.get("stream") if type(answer) is dict else None
        flow = self._flows.get(tag) if type(tag) is int else None
        if flow is not None and flow.sending is None:
            if flow.end is not None:
                del self._flows[flow.tag]
            self.end(flow, Cancelled.code)

    # --- sending ------------------------------------------------------------------------------------------------------

    def grant(self, flow: Flow, count: int) -> None:
        """Let the other end send ``count`` bytes more."""
        if flow.ended or flow.end is not None:
            return
        flow.credit += count
        self.put(write_credit(flow.tag, count))

    def chunk(self, flow: Flow, size: int) -> bytes:
        """What stands before ``size`` bytes, which must follow; they must not be more than ``credit``."""
        if not 0 < size <= flow.credit:
            raise ValueError(f"{size} bytes with credit for {flow.credit}")
        flow.credit -= size
        return chunk_header(flow.tag, size)

    def end(self, flow: Flow, code: str | None = None, details: dict[str, Any] | None = None) -> None:
        """All bytes were sent, or the stream is given up with an error's code. Ending twice is no error.

        Raises ``Unserialisable`` and ``ResourceExhausted`` for its details, and has then done nothing.
        """
        if flow.ended or flow.end is not None:
            return
        written = self._fit(write_end(flow.tag, code, details))
        flow.ended = True
        self.put(written)

    def give_up(self, flow: Flow, error: FluxonError) -> None:
        """End it with ``error``, text and details included as far as they can cross."""
        try:
            self.end(flow, error.code, {**error.details, "text": error.text[:MAX_TEXT]})
        except FluxonError:  # details that cannot cross, or not in one frame, must not cost the end
            self.end(flow, error.code)

    # --- what arrives -------------------------------------------------------------------------------------------------

    def _find(self, tag: int) -> Flow:
        flow = self._flows.get(tag)
        if flow is None or flow.end is not None:
            raise never_opened()
        return flow

    def receive_part(self, part: Part) -> Chunk | None:
        """Bytes of a chunk; None if nobody wants them."""
        flow = self._find(part.stream)
        if part.size:
            if flow.sending or part.size > flow.credit:
                raise ProtocolError("a chunk of more bytes than were granted")
            flow.credit -= part.size
        if flow.ended or not part.data:
            return None
        return Chunk(part.stream, part.data, flow.owner)

    def receive(self, message: Credit | End) -> Credit | End | None:
        """Credit or End; None if it is dealt with."""
        flow = self._find(message.stream)
        if isinstance(message, Credit):
            if flow.sending is False:
                raise ProtocolError("credit from the one who sends")
            flow.credit += message.count
            if flow.credit > MAX_CREDIT:
                raise ProtocolError("more credit than a stream can have")
        else:
            self._receive_end(flow, message)
        if flow.owner is None:
            return None
        message.owner = flow.owner
        return message

    def _receive_end(self, flow: Flow, message: End) -> None:
        if message.code is None and flow.sending and not flow.ended:
            raise ProtocolError("a stream ended as complete by the one who receives")
        if not flow.ended:
            flow.ended = True
            self.put(write_end(flow.tag, message.code))
        elif flow.sending is None:  # given up here before anybody took it
            flow.sending = False
        flow.end = message
        if flow.sending is not None:
            del self._flows[flow.tag]

    # --- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> list[Any]:
        """The connection is gone: the owners of the streams that were open."""
        owners = [flow.owner for flow in self._flows.values() if flow.owner is not None]
        self._flows.clear()
        return owners
