"""The other side's asks: which are taken on, and how each is answered. The half of a conversation that answers.

Rules of this module:

- Every ask is answered once, under its tag, and its place and its bytes are free then; with ``linger``, later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fluxon.errors import FluxonError, OutcomeUnknown, ProtocolError, ResourceExhausted, Unserialisable
from fluxon.wire import messages
from fluxon.wire.asking import Asking
from fluxon.wire.encoding import encode, encode_apart
from fluxon.wire.flat import flat
from fluxon.wire.messages import ANSWER_HEAD, ANSWER_OVERHEAD, Ask, Message, answer_head

#: Asks in flight may have the bytes of so many of the largest frames together. A hostile value costs 73 times its bytes
#: in objects: with 128 asks of the largest size a connection could hold gigabytes, with eight it holds 150 MiB.
LARGEST_IN_FLIGHT = 8


class Answering(Asking):
    """``in_flight`` asks of the other side are worked on at once; for ``receive_limit`` and ``asking`` see
    ``Conversation``.
    """

    __slots__ = ("_in_flight_bound", "_in_flight_size", "_lingering", "answering", "in_flight")

    def __init__(self, *, receive_limit: int, in_flight: int, **asking: int) -> None:
        super().__init__(**asking)
        self.in_flight = in_flight
        #: The other side's asks without an answer, by tag.
        self.answering: dict[int, Ask] = {}
        self._lingering = 0
        self._in_flight_bound = receive_limit * LARGEST_IN_FLIGHT
        self._in_flight_size = 0

    def _admit(self, asks: Iterable[Ask], received: list[Message]) -> None:
        """Take on those that there is room for, and refuse the others."""
        answering, bound = self.answering, self._in_flight_bound
        room = self.in_flight - self._lingering - len(answering)
        for ask in asks:
            tag = ask.tag
            if tag in answering:
                self._refuse_new(tag)
            size = self._in_flight_size + ask.size
            if room <= 0:
                text = f"more than {self.in_flight} requests of one connection at once"
                self._write_failure(tag, ResourceExhausted(text))
            elif size > bound:
                self._write_failure(tag, ResourceExhausted("requests of too many bytes at once on a connection"))
            else:
                room -= 1
                self._in_flight_size = size
                answering[tag] = ask
                received.append(ask)

    def _refuse_new(self, tag: int) -> None:
        """A tag in use twice: whichever answer is sent, the other side cannot know whose it is."""
        if tag in self.answering:
            self._write_failure(tag, OutcomeUnknown("two asks with one tag: one of them may be carried out"))
            raise ProtocolError("two asks with one tag")

    @property
    def working(self) -> int:
        """The other side's asks that have begun and whose work has not ended, answered or not."""
        return len(self.answering) + self._lingering

    def answer_flat(self, ask: Ask, value: Any) -> bool:
        """``answer`` for what is small and flat, as most values are; False for anything else, which is not answered."""
        try:
            encoded = flat(value)
        except UnicodeEncodeError:
            return False
        if encoded is None:
            return False
        written = answer_head(ANSWER_OVERHEAD + len(encoded), ANSWER_HEAD, ask.tag) + encoded
        size = len(written)
        if size > self.send_limit or (self.compress_from is not None and size >= self.compress_from):
            return False
        del self.answering[ask.tag]
        self._in_flight_size -= ask.size
        self.output.append(written)
        self.output_size += size
        return True

    def answer(self, tag: int, value: Any, room: int | None = None) -> None:
        """Answer an ask of the other side. A value that cannot cross, or is too large, becomes a Failed answer.

        Its error (``Unserialisable``, ``ResourceExhausted``) is raised when the answer has been made, to be logged;
        ``OutcomeUnknown`` for one of more than ``room`` bytes.
        """
        ask = self.answering.pop(tag, None)
        data = b""
        try:
            # Files' contents are large, and what views answer is not: looking costs a view's request a twentieth.
            known = ask is not None and ask.template is not None
            apart = None if known or self.compress_from is not None else encode_apart(value)
            if apart is None:
                written = messages.write_answer(tag, encode(value))
                if self.compress_from is not None or len(written) > self.send_limit:
                    written = self._fit(written)
            else:
                before, data = apart
                written = messages.write_answer(tag, before, len(data))
                if len(written) + len(data) > self.send_limit:
                    written, data = self._fit(written + data), b""
        except FluxonError as error:
            self._fail(ask, Unserialisable("the answer cannot be sent; the server's log says why"))
            raise error
        if room is not None and len(written) + len(data) > room:
            dropped = OutcomeUnknown("it was carried out, but its answer was dropped: those before it are not read")
            self._fail(ask, dropped)
            raise dropped
        if ask is not None:
            self._in_flight_size -= ask.size
            self.output.append(written)
            self.output_size += len(written)
            if data:
                self.output.append(data)
                self.output_size += len(data)

    def fail(self, tag: int, error: FluxonError, *, linger: bool = False) -> None:
        """Answer an ask of the other side with an error.

        With ``linger`` its place among those in flight stays taken until ``release``: the work on it has not ended.
        """
        self._fail(self.answering.pop(tag, None), error, linger)

    def _fail(self, ask: Ask | None, error: FluxonError, linger: bool = False) -> None:
        if ask is not None:
            self._write_failure(ask.tag, error)
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
        self.put(written)
