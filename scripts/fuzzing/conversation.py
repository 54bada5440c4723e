"""Target ``conversation``: one end that asks, answers and has streams, and another that says whatever it likes."""

from __future__ import annotations

from typing import Any

import lz4.block

from fluxon.errors import FluxonError, NotFound, ProtocolError
from fluxon.wire import COMPRESSED, RAW, Answer, Ask, Conversation, Failed, Flow, frame
from fluxon.wire.frames import HEADER
from fuzzing import steps

IN_FLIGHT, ASKS, STREAMS = 4, 3, 3

#: What one byte may make this end say: a refusal has some 120 bytes and the smallest ask that is refused 13.
_ECHO = 16
_FLAT = 512

# What a step does, by its number modulo twelve.
BODY, PACKED, CHUNK, BYTES, ANSWER, FAIL, ASK, ABANDON, OPEN, END, GRANT, SEND = range(12)


class End:
    """The end under test, with what it must account for."""

    def __init__(self, opens: bool) -> None:
        self.conversation = Conversation(
            receive_limit=4_096,
            send_limit=8_192,
            in_flight=IN_FLIGHT,
            ask_limit=ASKS,
            waiting_limit=2,
            stream_limit=STREAMS if opens else 0,
        )
        self.waiters: set[int] = set()
        self.asked = 0
        self.flows: list[Flow] = []
        self.working: list[Ask] = []

    def take(self, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, Ask):
                self.working.append(message)
            elif isinstance(message, (Answer, Failed)):
                self.waiters.remove(message.waiter)  # a KeyError: twice, or after it was given up
                self.attach(message)

    def attach(self, message: Answer | Failed) -> None:
        value = message.value if isinstance(message, Answer) else None
        tag = value.get("stream") if type(value) is dict else None
        if type(tag) is int:
            try:
                flow = self.conversation.streams.attach(tag, bool(tag & 1), self)
            except NotFound:
                return
            self.flows.append(flow)

    def act(self, what: int, body: bytes) -> None:
        """Something of this end's own."""
        conversation, number = self.conversation, body[0] if body else 0
        if what in (ANSWER, FAIL, OPEN) and self.working:
            ask = self.working.pop(number % len(self.working))
            if what == ANSWER:
                conversation.answer(ask.tag, body)
            elif what == FAIL:
                conversation.fail(ask.tag, NotFound("no"))
            else:
                flow = conversation.streams.open(bool(number & 1), self)
                conversation.answer(ask.tag, {"stream": flow.tag})
                self.flows.append(flow)
        elif what == ASK:
            self.asked += 1
            conversation.ask("call", {"n": self.asked}, waiter=self.asked, opens=bool(number & 1))
            self.waiters.add(self.asked)
        elif what == ABANDON and conversation.asked:
            tag = sorted(conversation.asked)[number % len(conversation.asked)]
            self.waiters.remove(conversation.asked[tag].waiter)
            conversation.abandon(tag)
        elif self.flows:
            self.act_on_stream(what, self.flows[number % len(self.flows)], number)

    def act_on_stream(self, what: int, flow: Flow, number: int) -> None:
        streams = self.conversation.streams
        if what == END:
            streams.end(flow, None if flow.sending and number & 4 else "Cancelled")
        elif what == GRANT and not flow.sending:
            streams.grant(flow, number + 1)
        elif what == SEND and flow.sending and flow.credit and not flow.ended and flow.end is None:
            streams.chunk(flow, min(flow.credit, number + 1))

    def check(self) -> None:
        """What has to hold at any moment."""
        conversation = self.conversation
        assert len(conversation.answering) <= IN_FLIGHT
        assert conversation._in_flight_size == sum(each.size for each in conversation.answering.values())
        assert conversation.output_size == sum(map(len, conversation.output))
        assert {each.waiter for each in conversation.asked.values()} == self.waiters
        assert conversation._out() <= ASKS or not conversation._abandoned
        assert conversation.held <= 4_096 + 4
        if conversation._streams is not None:
            assert all(flow.credit >= 0 for flow in self.flows)


def conversation(data: bytes) -> None:
    """Nothing but ``ProtocolError``; every ask of this end has one outcome; places, bytes and credit add up."""
    end = End(opens=not data[:1] or data[0] & 0x80 == 0)
    for what, body in steps.read(data):
        what %= 12
        before = end.conversation.output_size
        try:
            if what > BYTES:
                try:
                    end.act(what, body)
                except FluxonError:
                    pass  # too many, too large: an error of the caller's, which is told
            else:
                for piece in pieces(what, body):
                    end.take(end.conversation.receive(piece))
                    said = end.conversation.output_size - before
                    assert said <= _ECHO * (len(body) + HEADER.size) + _FLAT, (said, len(body))
        except ProtocolError:
            break
        end.check()
    left = end.conversation.close()
    assert sorted(waiter for waiter, _ in left) == sorted(end.waiters)


def pieces(what: int, body: bytes) -> list[bytes]:
    """The reads by which a step arrives; a frame's header comes apart from its body now and then."""
    if what == BYTES or not body:
        return [body]
    if what == PACKED:
        packed = len(body).to_bytes(4, "big") + lz4.block.compress(body, store_size=False)
        return [frame(packed, COMPRESSED)]
    written = frame(body, RAW if what == CHUNK else 0)
    cut = body[-1] % len(written)
    return [written[:cut], written[cut:]] if body[-1] & 0x80 and cut else [written]
