"""One end's whole view of a connection: which asks are out, which are being worked on, what is to be sent.

Rules of this room:

- Bytes in, messages out, bytes to send in ``output``: no I/O, no clock. A driver (``rpc.Protocol``, the blocking
  client's socket) adds both, and passes the time in where a deadline is meant.
- Every ask of the other side gets exactly one answer, a cancelled one included.
- Asks beyond what the other side takes at once wait here, in order; asks beyond what this side takes are refused at
  once, and the connection lives. What answers or controls is always read: so two full ends cannot deadlock.
- What breaks the wire's rules is a ``ProtocolError`` from ``receive``: the driver sends ``output`` and aborts.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from fluxon.errors import Conflict, FluxonError, InvalidPayload, ProtocolError, ResourceExhausted, Unserialisable
from fluxon.limits import MAX_TAG
from fluxon.wire import messages
from fluxon.wire.codec import decode_all, encode
from fluxon.wire.frames import COMPRESSED, HEADER, RAW, NoSplitter, Splitter, compress, decompress, frame
from fluxon.wire.messages import Answer, Ask, Cancel, Failed, Message, Ping, Pong, WrongEnvelope

#: Asks in flight may have the bytes of so many of the largest frames together. A hostile value costs 73 times its bytes
#: in objects: with 128 asks of the largest size a connection could hold gigabytes, with eight it holds 150 MiB.
LARGEST_IN_FLIGHT = 8


class Asked:
    """An ask of ours that has no answer yet."""

    __slots__ = ("deadline", "frame", "waiter")

    def __init__(self, waiter: Any, deadline: float | None, frame: bytes | None) -> None:
        self.waiter = waiter
        self.deadline = deadline
        #: Its bytes while it waits for a place at the other side; None once sent.
        self.frame = frame


class Conversation:
    """The state of one connection. Not for two threads at once.

    ``receive_limit`` and ``send_limit`` bound a frame in bytes, ``in_flight`` the asks of the other side that are
    worked on at once, ``ask_limit`` ours at the other side, ``waiting_limit`` ours that wait for a place there.
    """

    __slots__ = (
        "_abandoned",
        "_ask_limit",
        "_in_flight_bound",
        "_in_flight_size",
        "_lingering",
        "_next_tag",
        "_splitter",
        "_unsolicited",
        "_waiting",
        "answering",
        "asked",
        "compress_from",
        "in_flight",
        "output",
        "output_size",
        "send_limit",
        "unsolicited_limit",
        "waiting_limit",
    )

    def __init__(
        self,
        *,
        receive_limit: int,
        send_limit: int,
        in_flight: int = 128,
        ask_limit: int = 128,
        waiting_limit: int = 1_000,
        unsolicited_limit: int = 10,
    ) -> None:
        self._splitter: Splitter = Splitter(receive_limit)
        self.send_limit = send_limit
        self.in_flight = in_flight
        self._ask_limit = ask_limit
        self.waiting_limit = waiting_limit
        self.unsolicited_limit = unsolicited_limit
        #: Bodies of at least so many bytes are compressed; None for never.
        self.compress_from: int | None = None
        #: Frames to be sent, in order. The driver takes and clears them.
        self.output: list[bytes] = []
        #: Their bytes; cleared with them.
        self.output_size = 0
        #: Our asks without an answer, by tag.
        self.asked: dict[int, Asked] = {}
        #: The other side's asks without an answer, by tag.
        self.answering: dict[int, Ask] = {}
        self._waiting: deque[int] = deque()
        self._abandoned: set[int] | None = None
        self._next_tag = 0
        self._lingering = 0
        self._in_flight_bound = receive_limit * LARGEST_IN_FLIGHT
        self._in_flight_size = 0
        self._unsolicited = 0

    # --- what arrives ---------------------------------------------------------------------------------------------

    @property
    def receive_limit(self) -> int:
        """Bytes that a frame from the other side may have."""
        return self._splitter.limit

    @receive_limit.setter
    def receive_limit(self, limit: int) -> None:
        self._splitter.limit = limit
        self._in_flight_bound = limit * LARGEST_IN_FLIGHT

    @property
    def held(self) -> int:
        """Bytes of an incomplete frame: what a sender that stalls costs."""
        return self._splitter.held

    @property
    def incomplete(self) -> tuple[int, int] | None:
        """The incomplete frame's number and bytes, to see whether it grows; None when there is none."""
        splitter = self._splitter
        return (splitter.begun, splitter.held) if splitter.held else None

    def receive(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes and that a driver acts on.

        Pings, pongs, malformed and surplus asks are dealt with here and not returned. A ``ProtocolError`` ends the
        connection: what came before the offence in the same read is not acted on, ``close`` gives the waiters of its
        answers, and what comes later is never read as frames.
        """
        received: list[Message] = []
        bodies: list[bytes] = []
        try:
            for flags, body in self._splitter.feed(data):
                if not flags:
                    bodies.append(body)
                elif flags == COMPRESSED:
                    bodies.append(decompress(body, self._splitter.limit))
                elif flags == RAW:
                    # In order: what came before the chunk is said before it.
                    self._receive_bodies(bodies, received)
                    bodies = []
                    received.append(messages.parse_chunk(body))
                else:
                    raise ProtocolError(f"a frame with unknown flags 0x{flags:02x}")
            self._receive_bodies(bodies, received)
        except ProtocolError:
            self._splitter = NoSplitter(self._splitter.limit)
            self._take_back(received)
            raise
        return received

    def _take_back(self, received: list[Message]) -> None:
        for message in received:
            if isinstance(message, Ask):
                self.forget(message)
            elif isinstance(message, (Answer, Failed)):
                self.asked[message.tag] = Asked(message.waiter, None, None)

    def _receive_bodies(self, bodies: list[bytes], received: list[Message]) -> None:
        if not bodies:
            return
        for fields, body in zip(decode_all(bodies), bodies, strict=True):
            if type(fields) is not list or not fields or type(fields[0]) is not int:
                raise ProtocolError("a frame that is no message")
            if fields[0] == messages.ASK:
                ask = self._receive_ask(fields, len(body))
                if ask is not None:
                    received.append(ask)
            else:
                message = self._receive_other(messages.parse_other(fields))
                if message is not None:
                    received.append(message)

    def _receive_ask(self, fields: list[Any], size: int) -> Ask | None:
        try:
            ask = messages.parse_ask(fields, size)
        except WrongEnvelope as error:
            self._refuse_new(error.tag)
            self._write_failure(error.tag, InvalidPayload(error.text))
            return None
        answering = self.answering
        tag = ask.tag
        if tag in answering:
            self._refuse_new(tag)
        in_flight_size = self._in_flight_size + size
        if len(answering) + self._lingering >= self.in_flight:
            self._write_failure(
                tag, ResourceExhausted(f"more than {self.in_flight} requests of one connection at once")
            )
            return None
        if in_flight_size > self._in_flight_bound:
            self._write_failure(tag, ResourceExhausted("requests of too many bytes at once on a connection"))
            return None
        answering[tag] = ask
        self._in_flight_size = in_flight_size
        return ask

    def _refuse_new(self, tag: int) -> None:
        """A tag in use twice: whichever answer is sent, the other side cannot know whose it is."""
        if tag in self.answering:
            self._write_failure(tag, Conflict("two asks with one tag"))
            raise ProtocolError("two asks with one tag")

    def _receive_other(self, message: Message) -> Message | None:
        if isinstance(message, (Answer, Failed)):
            asked = self.asked.get(message.tag)
            if asked is None or asked.frame is not None:
                self._receive_unasked(message.tag)
                return None
            del self.asked[message.tag]
            message.waiter = asked.waiter
            self._send_waiting()
            return message
        if isinstance(message, Cancel):
            return message if message.tag in self.answering else None
        if isinstance(message, Ping):
            self._put(messages.write_pong(message.number))
            return None
        if isinstance(message, Pong):
            return None  # its bytes were all that it had to say
        return message

    def _receive_unasked(self, tag: int) -> None:
        if self._abandoned and tag in self._abandoned:
            self._abandoned.discard(tag)  # late, and no offence
            self._send_waiting()
            return
        self._unsolicited += 1
        if self._unsolicited >= self.unsolicited_limit:
            raise ProtocolError("answers to questions that were never asked")

    # --- asking -----------------------------------------------------------------------------------------------------

    def ask(
        self,
        command: str,
        arguments: dict[str, Any],
        *,
        waiter: Any,
        timeout: float | None = None,
        deadline: float | None = None,
        options: dict[str, Any] | None = None,
        urgent: bool = False,
    ) -> int:
        """Send an ask, or let it wait for a place at the other side; its tag.

        ``waiter`` comes back with the answer. ``timeout`` (seconds) is what the other side is told, ``deadline`` what
        ``expired`` compares. An ``urgent`` one (a hello) does not wait for a place. Raises ``Unserialisable``, or
        ``ResourceExhausted`` when too many wait or the frame is larger than the other side takes.
        """
        if timeout is not None and timeout > messages.MAX_TIMEOUT:
            timeout = messages.MAX_TIMEOUT
        tag = self._free_tag()
        written = self._fit(messages.write_ask(tag, command, arguments, timeout, options or {}))
        if urgent or (self._out() < self._ask_limit and not self._waiting):
            self._put(written)
            self.asked[tag] = Asked(waiter, deadline, None)
        elif len(self._waiting) >= self.waiting_limit:
            raise ResourceExhausted(f"{self.waiting_limit} requests wait for this connection already")
        else:
            self._waiting.append(tag)
            self.asked[tag] = Asked(waiter, deadline, written)
        return tag

    @property
    def ask_limit(self) -> int:
        """Asks of ours that the other side takes at once; raising it sends what waits."""
        return self._ask_limit

    @ask_limit.setter
    def ask_limit(self, limit: int) -> None:
        self._ask_limit = limit
        self._send_waiting()

    def _out(self) -> int:
        """Our asks that hold a place at the other side: an abandoned one does until its answer came."""
        return len(self.asked) - len(self._waiting) + (len(self._abandoned) if self._abandoned else 0)

    def _free_tag(self) -> int:
        while True:
            tag = self._next_tag
            self._next_tag = tag + 1 if tag < MAX_TAG else 0
            if tag not in self.asked and not (self._abandoned and tag in self._abandoned):
                return tag

    def _send_waiting(self) -> None:
        while self._waiting and self._out() < self._ask_limit:
            asked = self.asked[self._waiting.popleft()]
            assert asked.frame is not None
            self._put(asked.frame)
            asked.frame = None

    def abandon(self, tag: int) -> bool:
        """Give up on an ask of ours; the other side is told. False if it was never sent, so that nothing was done."""
        asked = self.asked.pop(tag, None)
        if asked is None:
            return False
        if asked.frame is not None:
            self._waiting.remove(tag)
            return False
        if self._abandoned is None:
            self._abandoned = set()
        self._abandoned.add(tag)
        self._put(messages.write_cancel(tag))
        return True

    # --- answering ----------------------------------------------------------------------------------------------------

    def answer(self, tag: int, value: Any) -> None:
        """Answer an ask of the other side. A value that cannot cross, or is too large, becomes a Failed answer.

        Its error (``Unserialisable``, ``ResourceExhausted``) is raised when the answer has been made, to be logged.
        """
        try:
            written = messages.write_answer(tag, encode(value))
            if self.compress_from is not None or len(written) > self.send_limit:
                written = self._fit(written)
        except FluxonError as error:
            self.fail(tag, Unserialisable("the answer cannot be sent; the server's log says why"))
            raise error
        ask = self.answering.pop(tag, None)
        if ask is not None:
            self._in_flight_size -= ask.size
            self.output.append(written)
            self.output_size += len(written)

    def fail(self, tag: int, error: FluxonError, *, linger: bool = False) -> None:
        """Answer an ask of the other side with an error.

        With ``linger`` its place among those in flight stays taken until ``release``: the work on it has not ended.
        """
        ask = self.answering.pop(tag, None)
        if ask is not None:
            self._write_failure(tag, error)
            if linger:
                self._lingering += 1
            else:
                self._in_flight_size -= ask.size

    def forget(self, ask: Ask) -> None:
        """Never answer ``ask``: nobody is there to hear it."""
        if self.answering.pop(ask.tag, None) is not None:
            self._in_flight_size -= ask.size

    def release(self, ask: Ask) -> None:
        """Work on ``ask`` that went on after its answer has ended."""
        self._lingering -= 1
        self._in_flight_size -= ask.size

    def _write_failure(self, tag: int, error: FluxonError) -> None:
        try:
            written = self._fit(messages.write_failed(tag, error.code, error.text, error.details))
        except FluxonError:  # details or a text that cannot cross must not cost the answer
            try:
                written = messages.write_failed(tag, error.code, error.text, {})
            except Unserialisable:
                written = messages.write_failed(tag, error.code, type(error).default_text, {})
        self._put(written)

    # --- the rest ----------------------------------------------------------------------------------------------------

    def ping(self, number: int = 0) -> None:
        """Ask whether the other side is there; any byte from it is the answer."""
        self._put(messages.write_ping(number))

    def next_deadline(self) -> float | None:
        """The earliest deadline of any ask, ours or the other side's."""
        return min(
            (
                each.deadline
                for table in (self.asked, self.answering)
                for each in table.values()
                if each.deadline is not None
            ),
            default=None,
        )

    def expired(self, now: float) -> tuple[list[int], list[int]]:
        """Tags whose deadline is over: ours, and the other side's. What to do about them is the driver's."""
        ours = [tag for tag, each in self.asked.items() if each.deadline is not None and each.deadline <= now]
        theirs = [tag for tag, each in self.answering.items() if each.deadline is not None and each.deadline <= now]
        return ours, theirs

    def close(self) -> list[tuple[Any, bool]]:
        """The connection is gone: the waiters of our asks, each with whether its ask had been sent.

        What is still being answered stays in ``answering``, with its deadlines.
        """
        left = [(each.waiter, each.frame is None) for each in self.asked.values()]
        self.asked.clear()
        self._waiting.clear()
        self._abandoned = None
        self.output.clear()
        self.output_size = 0
        return left

    def _put(self, written: bytes) -> None:
        self.output.append(written)
        self.output_size += len(written)

    def _fit(self, written: bytes) -> bytes:
        """A frame as it may be sent: compressed where that pays, refused where the other side would refuse it."""
        size = len(written) - 4
        if size > self.send_limit:
            raise ResourceExhausted(
                f"a message of {size:,} bytes; the other side takes {self.send_limit:,} at once: "
                "send larger things as a file (cloud storage streams them)"
            )
        if self.compress_from is not None and size >= self.compress_from:
            packed = compress(written[HEADER.size :])
            if packed is not None:
                return frame(packed, COMPRESSED)
        return written
