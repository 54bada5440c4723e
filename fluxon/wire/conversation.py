"""One end's whole view of a connection: which asks are out, which are being worked on, what is to be sent.

Rules of this room:

- Bytes in, messages out, bytes to send in ``output``: no I/O, no clock. A driver (``rpc.Protocol``, the blocking
  client's socket) adds both, and passes the time in where a deadline is meant.
- Every ask of the other side gets exactly one answer, a cancelled one included.
- Asks beyond what this side takes are refused at once, and the connection lives. What answers or controls is always
  read: so two full ends cannot deadlock.
- What breaks the wire's rules is a ``ProtocolError`` from ``receive``: the driver sends ``output`` and aborts.
"""

from __future__ import annotations

from typing import Any

from fluxon.errors import (
    FluxonError,
    InvalidPayload,
    ProtocolError,
    ResourceExhausted,
)
from fluxon.limits import MAX_FRAME, MAX_TAG
from fluxon.wire import messages
from fluxon.wire.answering import LARGEST_IN_FLIGHT, Answering
from fluxon.wire.asking import Asked
from fluxon.wire.decoding import decode_all
from fluxon.wire.frames import MAX_CHUNK_FRAME, RAW, NoSplitter, Part, Splitter
from fluxon.wire.items import exceeds, heads
from fluxon.wire.messages import (
    NULL,
    NULL_ANSWER,
    NULL_ANSWER_SIZE,
    Answer,
    Ask,
    Cancel,
    Chunk,
    Credit,
    End,
    Failed,
    Message,
    Ping,
    Pong,
    Tell,
    WrongEnvelope,
)
from fluxon.wire.portions import PORTION, Frame, Portions, unpacked
from fluxon.wire.streams import never_opened
from fluxon.wire.templates import Templates


class Conversation(Answering):
    """The state of one connection. Not for two threads at once.

    ``receive_limit`` and ``send_limit`` bound a frame in bytes, ``item_limit`` one that is received in items,
    ``in_flight`` the asks of the other side that are worked on at once, ``ask_limit`` ours at the other side,
    ``waiting_limit`` ours that wait for a place there, ``waiting_bytes_limit`` their bytes, ``stream_limit`` the
    streams that this end opens; the end that accepted the connection opens them. ``templates`` are the asks that come
    again and again.
    """

    __slots__ = ("_portions", "_splitter", "_templates", "may_tell", "takes_tells")

    def __init__(
        self,
        *,
        receive_limit: int,
        send_limit: int,
        item_limit: int = MAX_FRAME,
        in_flight: int = 128,
        ask_limit: int = 128,
        waiting_limit: int = 1_000,
        waiting_bytes_limit: int = MAX_FRAME,
        unsolicited_limit: int = 10,
        stream_limit: int = 0,
        takes_tells: bool = False,
        templates: Templates | None = None,
    ) -> None:
        super().__init__(
            receive_limit=receive_limit,
            in_flight=in_flight,
            send_limit=send_limit,
            ask_limit=ask_limit,
            waiting_limit=waiting_limit,
            waiting_bytes_limit=waiting_bytes_limit,
            unsolicited_limit=unsolicited_limit,
            stream_limit=stream_limit,
        )
        self._splitter: Splitter = Splitter(receive_limit, item_limit)
        self._portions = Portions()
        self._templates = templates
        #: Whether the other side may tell this one what to do, without an answer; and this one the other.
        self.takes_tells = takes_tells
        self.may_tell = False

    # --- what arrives ---------------------------------------------------------------------------------------------

    @property
    def receive_limit(self) -> int:
        """Bytes that a frame from the other side may have."""
        return self._splitter.limit

    @receive_limit.setter
    def receive_limit(self, limit: int) -> None:
        self.take(limit, self._splitter.item_limit)

    def take(self, limit: int, item_limit: int) -> None:
        """From now on, frames of so many bytes and items are received."""
        self._splitter.take(limit, item_limit)
        self._in_flight_bound = limit * LARGEST_IN_FLIGHT

    @property
    def held(self) -> int:
        """Bytes of an incomplete frame: what a sender that stalls costs."""
        return self._splitter.held

    @property
    def incomplete(self) -> tuple[int, int] | None:
        """The incomplete frame's number and bytes, to see whether it grows; None when there is none."""
        return self._splitter.progress

    def _expect_chunks(self) -> None:
        self._splitter.chunk_limit = MAX_CHUNK_FRAME

    def receive(self, data: bytes, *, in_portions: bool = False, weigh: bool = False) -> list[Message]:
        """The messages that ``data`` completes and that a driver acts on.

        Pings, pongs, malformed and surplus asks are dealt with here and not returned. A ``ProtocolError`` ends the
        connection: what came before the offence in the same read is not acted on, ``close`` gives the waiters of its
        answers, and what comes later is never read as frames. The bytes of a chunk come as they arrive, in several
        messages if need be; each is a view of ``data``.

        ``in_portions``, what is more than a portion is put off, and so is all that is heavy if it is to be weighed; a
        driver that says so calls ``go_on`` as long as there is ``more``.
        """
        received: list[Message] = []
        try:
            if self._portions:
                self._portions.put_off(self._splitter.feed(data))
                return received
            if len(data) == NULL_ANSWER_SIZE and data.startswith(NULL_ANSWER) and self._splitter.between:
                self._receive_null(data, received)
                return received
            rest = data
            if not weigh and self._templates is not None and self._splitter.between:
                known = self._templates.read(data, self._splitter.small, PORTION if in_portions else len(data))
                if known is not None:
                    asks, end = known
                    self._admit(asks, received)
                    if end == len(data):
                        return received
                    rest = data[end:]
            frames = self._splitter.feed(rest)
            if received:
                self._portions.put_off(frames)  # what was recognised is a portion
                return received
            if in_portions:
                frames = self._portions.take(frames, self._splitter, weigh)
            self._receive_frames(frames, received)
        except ProtocolError:
            self._violated(received)
            raise
        return received

    def _receive_null(self, data: bytes, received: list[Message]) -> None:
        """What acknowledges, in a read of its own: most of what thousands of clients say to one message to them all."""
        if data[-1] != NULL or len(data) - 4 > self._splitter.small:
            self._receive_frames(self._splitter.feed(data), received)
            return
        message = self._receive_answer(Answer(int.from_bytes(data[-5:-1], "big"), None))
        if message is not None:
            received.append(message)

    @property
    def more(self) -> bool:
        """Whether something that was received is put off."""
        return bool(self._portions)

    def go_on(self, refusal: FluxonError | None = None) -> list[Message]:
        """The messages of the next portion of what was put off, as ``receive`` gives them.

        With a ``refusal`` the first of it is answered so, if it is an ask, and nothing is decoded.
        """
        received: list[Message] = []
        try:
            if refusal is not None:
                first = self._portions.first(self._splitter)
                if first is not None and self._refuse_ask(first, refusal):
                    self._portions.drop_first()
                    return received
            self._receive_frames(self._portions.next(), received)
        except ProtocolError:
            self._violated(received)
            raise
        return received

    def _receive_frames(self, frames: list[Frame], received: list[Message]) -> None:
        bodies: list[bytes] = []
        for flags, body in frames:
            if not flags:
                bodies.append(body)
            elif flags == RAW:
                # In order: what came before the chunk is said before it.
                self._receive_bodies(bodies, received)
                bodies = []
                chunk = self._receive_part(body)
                if chunk is not None:
                    received.append(chunk)
            else:
                body = unpacked(flags, body, self._splitter.limit)
                if len(body) <= self._splitter.item_limit or not exceeds(body, self._splitter.item_limit):
                    bodies.append(body)
                else:
                    self._receive_bodies(bodies, received)
                    bodies = []
                    self._refuse_items(body)
        self._receive_bodies(bodies, received)

    def _violated(self, received: list[Message]) -> None:
        self._splitter = NoSplitter(self._splitter.limit, self._splitter.item_limit)
        self._portions.drop()
        self._take_back(received)

    def _refuse_items(self, body: bytes) -> None:
        """A body of too many items is not decoded; an ask is answered all the same."""
        limit = self._splitter.item_limit
        text = f"more than {limit:,} items in one request; send it in parts, as bytes, or as a file"
        if not self._refuse_ask(body, ResourceExhausted(text)):
            raise ProtocolError(f"a frame of more than {limit:,} items")

    def _refuse_ask(self, body: bytes, refusal: FluxonError) -> bool:
        """Answer a body that was not decoded, if it is an ask."""
        match heads(body, 3):
            case [(4, 6), (0, messages.ASK), (0, tag)] if tag <= MAX_TAG:
                self._refuse_new(tag)
                self._write_failure(tag, refusal)
                return True
        return False

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
                self._receive_ask(fields, len(body), received)
            else:
                message = self._receive_other(messages.parse_other(fields))
                if message is not None:
                    received.append(message)

    def _receive_ask(self, fields: list[Any], size: int, received: list[Message]) -> None:
        try:
            ask = messages.parse_ask(fields, size)
        except WrongEnvelope as error:
            self._refuse_new(error.tag)
            self._write_failure(error.tag, InvalidPayload(error.text))
        else:
            self._admit((ask,), received)

    def _receive_other(self, message: Message) -> Message | None:
        if isinstance(message, (Answer, Failed)):
            return self._receive_answer(message)
        if isinstance(message, Cancel):
            return message if message.tag in self.answering else None
        if isinstance(message, Ping):
            self.put(messages.write_pong(message.number))
            return None
        if isinstance(message, Tell):
            if not self.takes_tells:
                raise ProtocolError("a client has nothing to tell")
            return message
        if isinstance(message, Pong):
            return None  # its bytes were all that it had to say
        if self._streams is not None and isinstance(message, (Credit, End)):
            return self._streams.receive(message)
        raise never_opened()

    def _receive_part(self, part: Part) -> Chunk | None:
        if self._streams is None:
            raise never_opened()
        return self._streams.receive_part(part)

    # --- the rest ----------------------------------------------------------------------------------------------------

    def ping(self, number: int = 0) -> None:
        """Ask whether the other side is there; any byte from it is the answer."""
        self.put(messages.write_ping(number))

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
