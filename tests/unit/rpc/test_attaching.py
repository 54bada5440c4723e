"""Streams that an answer named: whatever becomes of them, or of the connection, before somebody takes them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import FluxonError, NotFound, Unavailable
from fluxon.rpc import Incoming, Outgoing
from fluxon.wire import Chunk, End, Flow


class Sink:
    """Keeps what it is given, and the codes of its ends."""

    def __init__(self) -> None:
        self.heard = b""
        self.ends: list[str | None] = []

    def data(self, piece: memoryview) -> None:
        self.heard += piece

    def ended(self, error: FluxonError | None) -> None:
        self.ends.append(None if error is None else error.code)


class Source:
    """Gives what is ``left``."""

    def __init__(self, left: bytes) -> None:
        self.left = left
        self.closed = 0

    def read(self, size: int) -> bytes:
        data, self.left = self.left[:size], self.left[size:]
        return data

    def close(self) -> None:
        self.closed += 1


class AttachingTests(SynchronousTestCase):
    """The end that asked for a stream, whose tag the answer names."""

    make_line: Any
    transfer: Any

    def setUp(self) -> None:
        self.line = self.make_line()
        self.sink = Sink()

    def ask(self, sending: bool) -> Flow:
        """Ask the other side, which answers with a stream that it has ``sending``; its end of it."""
        asked = self.line.peer.ask(self.transfer, {"job": "x", "value": None})
        self.line.pull()
        flow: Flow = self.line.remote.streams.open(sending, "remote")
        self.line.remote.answer(self.line.asked[-1].tag, {"stream": flow.tag})
        self.line.push()
        self.assertEqual(self.successResultOf(asked), {"stream": flow.tag})
        return flow

    def end(self, flow: Flow, code: str | None = None) -> None:
        self.line.remote.streams.end(flow, code)
        self.line.push()

    def test_all_of_it(self) -> None:
        """What is granted or ended before it is attached is not lost."""
        flow = self.ask(sending=False)
        self.line.remote.streams.grant(flow, 3)
        self.line.push()
        self.line.peer.attach(flow.tag, Outgoing(Source(b"abcdef")))
        self.line.clock.advance(0)
        self.assertEqual([each.data for each in self.line.pull() if isinstance(each, Chunk)], [b"abc"])
        flow = self.ask(sending=True)
        self.line.peer.attach(flow.tag, Incoming(self.sink))
        self.line.pull()
        self.line.raw(self.line.remote.streams.chunk(flow, 3) + b"def")
        self.end(flow)
        self.assertEqual((self.sink.heard, self.sink.ends), (b"def", [None]))

    def test_over_before_it_is_attached(self) -> None:
        """Here: the other side is told why. There: its end is the end of it here, an empty stream or an error."""
        stream = Incoming(self.sink)
        stream.give_up(NotFound("no longer wanted"))
        flow = self.ask(sending=True)
        self.line.peer.attach(flow.tag, stream)
        ends = [each.code for each in self.line.pull() if isinstance(each, End)]
        self.assertEqual((ends, self.sink.ends), (["NotFound"], ["NotFound"]))
        for code in (None, "Locked"):
            sink, flow = Sink(), self.ask(sending=True)
            self.end(flow, code)
            self.line.peer.attach(flow.tag, Incoming(sink))
            self.assertEqual(sink.ends, [code])
        self.assertEqual(self.line.peer.streams, ())
        self.line.transport.lose(Exception("cut"))
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_said_to_be_complete_by_who_receives(self) -> None:
        """Whoever has not been sent the bytes cannot have taken them: that is no success, whatever it says."""
        flow = self.ask(sending=False)
        self.end(flow)
        source = Source(b"abc")
        stream = Outgoing(source)
        self.line.peer.attach(flow.tag, stream)
        self.failureResultOf(stream.when_done(), Unavailable)
        self.assertEqual((source.closed, source.left, self.line.peer.streams), (1, b"abc", ()))
        self.assertIsNone(self.line.ended)

    def test_lost_meanwhile(self) -> None:
        """Between the answer and its taking the connection ended: the sink is told, and so is who attaches."""
        flow = self.ask(sending=True)
        self.line.transport.lose(Exception("cut"))
        self.assertRaises(Unavailable, self.line.peer.attach, flow.tag, Incoming(self.sink))
        self.assertEqual(self.sink.ends, ["Unavailable"])

    def test_never_named(self) -> None:
        """No answer named it, or it is taken already."""
        flow = self.ask(sending=True)
        self.line.peer.attach(flow.tag, Incoming(Sink()))
        for tag in (flow.tag, flow.tag + 1):
            sink = Sink()
            self.assertRaises(NotFound, self.line.peer.attach, tag, Incoming(sink))
            self.assertEqual(sink.ends, ["NotFound"])
