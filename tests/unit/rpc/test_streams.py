"""Streams over a peer: what a sink and a source may rely on, and that credit, turns and the transport are honoured."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import Cancelled, FluxonError, NotFound, ResourceExhausted, Unavailable
from fluxon.limits import KIB, MIB
from fluxon.rpc import FileSource, Incoming, Opening, Outgoing
from fluxon.wire import Chunk, Credit, End, Flow


class Sink:
    """Keeps what it is given; ``answer`` is what ``data`` returns."""

    def __init__(self) -> None:
        self.heard = b""
        self.ends: list[FluxonError | None] = []
        self.answer: Any = lambda piece: None

    def data(self, piece: memoryview) -> Any:
        self.heard += piece
        return self.answer(piece)

    def ended(self, error: FluxonError | None) -> None:
        self.ends.append(error)


class Source:
    """Gives the ``pieces``, which may be Deferreds, one by one."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = list(pieces)
        self.reads = 0
        self.closed = 0

    def read(self, size: int) -> Any:
        self.reads += 1
        return self.pieces.pop(0) if self.pieces else b""

    def close(self) -> None:
        self.closed += 1


class StreamCase(SynchronousTestCase):
    make_line: Any
    logged: list[dict[str, Any]]

    def setUp(self) -> None:
        self.start()

    def start(self, **limits: Any) -> None:
        self.line = self.make_line(**limits)
        self.line.jobs["open"] = lambda _: Opening({"more": 1}, self.stream)
        self.sink, self.source = Sink(), Source()
        self.heard: dict[int, bytes] = {}
        self.ends: list[tuple[int, str | None]] = []
        self.granted: dict[int, int] = {}
        self.stream: Any = None

    def open(self, stream: Any) -> Flow:
        """Have the server open ``stream``; the other side's end of it."""
        self.stream = stream
        value = self.line.outcome(self.line.ask("open", command="transfer"))
        self.assertEqual(value["more"], 1)
        flow: Flow = self.line.remote.streams.attach(value["stream"], not stream.sending, "remote")
        self.granted[flow.tag] = flow.credit
        return flow

    def grant(self, flow: Flow, count: int) -> None:
        self.line.remote.streams.grant(flow, count)
        self.line.push()

    def send(self, flow: Flow, data: bytes) -> None:
        self.line.raw(self.line.remote.streams.chunk(flow, len(data)) + data)

    def end(self, flow: Flow, code: str | None = None, text: str | None = None) -> None:
        self.line.remote.streams.end(flow, code, {} if text is None else {"text": text})
        self.line.push()

    def pull(self) -> None:
        """What the other side has read since, until nothing comes any more."""
        while messages := self.line.pull():
            for each in messages:
                if isinstance(each, Chunk):
                    self.heard[each.stream] = self.heard.get(each.stream, b"") + each.data
                elif isinstance(each, Credit):
                    self.granted[each.stream] = self.granted.get(each.stream, 0) + each.count
                elif isinstance(each, End):
                    self.ends.append((each.stream, each.code))
            self.line.push()

    def fired(self, stream: Any) -> Any:
        """What ``when_done`` came to: None, a code, or ``...``."""
        results: list[Any] = []
        stream.when_done().addBoth(results.append)
        return ... if not results else None if results[0] is None else results[0].value.code


class IncomingTests(StreamCase):
    def test_all_of_it(self) -> None:
        """The window is granted, bytes come at once, the end is told once and confirmed."""
        flow = self.open(Incoming(self.sink, window=1_000))
        self.pull()
        self.assertEqual(flow.credit, 1_000)
        self.send(flow, b"abc")
        self.send(flow, b"def")
        self.assertEqual((self.sink.heard, self.stream.received, self.sink.ends), (b"abcdef", 6, []))
        self.assertIs(self.fired(self.stream), ...)
        self.end(flow)
        self.assertEqual(self.sink.ends, [None])
        self.assertIsNone(self.fired(self.stream))
        self.pull()
        self.assertEqual(self.ends, [(flow.tag, None)])
        self.assertEqual(self.line.peer.streams, ())
        self.assertFalse(self.line.remote.has_streams or self.line.protocol.conversation.has_streams)

    def test_credit_for_what_was_taken(self) -> None:
        """In quarters of the window; nothing for what the sink still has in hand."""
        held: list[Deferred[None]] = []
        flow = self.open(Incoming(self.sink, window=1_000))
        self.send(flow, b"x" * 249)
        self.pull()
        self.assertEqual(flow.credit, 751)
        self.send(flow, b"x")
        self.pull()
        self.assertEqual(flow.credit, 1_000)
        self.sink.answer = lambda piece: held.append(Deferred()) or held[-1]
        for _ in range(10):
            self.send(flow, b"y" * 100)
        self.pull()
        self.assertEqual(flow.credit, 0)
        for each in held[:3]:
            each.callback(None)
        self.pull()
        self.assertEqual(flow.credit, 300)
        self.end(flow)
        self.assertEqual(self.sink.ends, [])
        for each in held[3:]:
            each.callback(None)
        self.assertEqual(self.sink.ends, [None])

    def test_a_sink_that_fails(self) -> None:
        """Its error ends the stream, what follows is dropped, and the connection lives."""

        def refuse(piece: memoryview) -> None:
            raise ResourceExhausted("the disk is full")

        for answer in (refuse, lambda piece: fail(ResourceExhausted("the disk is full"))):
            self.start()
            self.sink.answer = answer
            flow = self.open(Incoming(self.sink))
            self.pull()
            data = self.line.remote.streams.chunk(flow, 2) + b"ab" + self.line.remote.streams.chunk(flow, 2) + b"cd"
            self.line.raw(data)
            self.assertEqual(self.sink.heard, b"ab")
            self.assertEqual([each and each.code for each in self.sink.ends], ["ResourceExhausted"])
            self.send(flow, b"under way")
            self.pull()
            self.assertEqual(self.ends, [(flow.tag, "ResourceExhausted")])
            self.assertIsNone(self.line.ended)
            self.assertFalse(self.line.protocol.conversation.has_streams)

    def test_a_broken_sink(self) -> None:
        """An exception of any kind is logged, and the other side learns of an incident."""

        def break_down(piece: memoryview) -> None:
            raise ZeroDivisionError

        self.sink.answer = break_down
        flow = self.open(Incoming(self.sink))
        self.pull()
        self.send(flow, b"x")
        self.pull()
        self.assertEqual(self.ends, [(flow.tag, "Internal")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_given_up_by_the_sender(self) -> None:
        """With its error, text included; also while the sink has something in hand."""
        self.sink.answer = lambda piece: Deferred()
        flow = self.open(Incoming(self.sink))
        self.pull()
        self.send(flow, b"x")
        self.end(flow, "Locked", "somebody has it")
        (error,) = self.sink.ends
        assert error is not None
        self.assertEqual((error.code, error.text, error.details), ("Locked", "somebody has it", {}))
        self.assertEqual(self.fired(self.stream), "Locked")

    def test_who_waits_no_longer(self) -> None:
        """One of those who wait for the end gives up: the stream goes on, and the others hear of its end."""
        flow = self.open(Incoming(self.sink))
        impatient, patient = self.stream.when_done(), self.stream.when_done()
        impatient.cancel()
        self.failureResultOf(impatient, CancelledError)
        self.pull()
        self.send(flow, b"abc")
        self.end(flow)
        self.assertIsNone(self.successResultOf(patient))
        self.assertEqual((self.sink.heard, self.sink.ends), (b"abc", [None]))

    def test_given_up_here(self) -> None:
        """The other side hears why; once."""
        flow = self.open(Incoming(self.sink))
        self.stream.give_up(NotFound("no"))
        self.stream.give_up(Cancelled())
        self.pull()
        self.assertEqual(self.ends, [(flow.tag, "NotFound")])
        self.assertEqual(len(self.sink.ends), 1)

    def test_lost(self) -> None:
        """With the connection the stream is over."""
        self.open(Incoming(self.sink))
        self.line.transport.lose(Exception("cut"))
        self.assertEqual([each and each.code for each in self.sink.ends], ["Unavailable"])
        self.assertEqual(self.fired(self.stream), "Unavailable")
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_larger_reads(self) -> None:
        """While bytes come in, more is read at once; not before and not after."""
        usual = self.line.transport.bufferSize
        flow = self.open(Incoming(self.sink))
        self.assertGreater(self.line.transport.bufferSize, usual)
        self.end(flow)
        self.assertEqual(self.line.transport.bufferSize, usual)


class OutgoingTests(StreamCase):
    def test_all_of_it(self) -> None:
        """Nothing before credit, then as far as it goes; done when the other side has said so."""
        self.source = Source(b"abc", b"defgh", b"")
        flow = self.open(Outgoing(self.source))
        self.pull()
        self.assertEqual((self.heard, self.source.reads), ({}, 0))
        self.grant(flow, 2)
        self.pull()
        self.assertEqual(self.heard, {0: b"ab"})
        self.grant(flow, 4)
        self.pull()
        self.assertEqual((self.heard, self.stream.sent), ({0: b"abcdef"}, 6))
        self.line.remote.streams.grant(flow, 10)
        self.line.push()
        self.line.clock.advance(0)
        self.assertIs(self.fired(self.stream), ...)
        self.pull()
        self.assertEqual((self.heard, self.ends), ({0: b"abcdefgh"}, [(0, None)]))
        self.assertIsNone(self.fired(self.stream))
        self.assertEqual(self.source.closed, 1)

    def test_empty(self) -> None:
        """A file without bytes needs no credit; a source has to be asked for that."""
        descriptor = os.open(os.devnull, os.O_RDONLY)
        closed: list[int] = []
        flow = self.open(Outgoing(FileSource(descriptor, 0, 0, _at_once, closed.append)))
        assert flow.end is not None
        self.assertIsNone(flow.end.code)
        self.line.push()
        self.assertEqual(closed, [descriptor])
        self.assertIsNone(self.fired(self.stream))
        os.close(descriptor)
        flow = self.open(Outgoing(Source()))
        self.grant(flow, 1)
        self.pull()
        self.assertEqual(self.ends[-1], (flow.tag, None))

    def test_a_block_ahead(self) -> None:
        """While one block is sent the next is fetched, and no more."""
        later: list[Deferred[bytes]] = [Deferred() for _ in range(3)]
        self.source = Source(*later)
        flow = self.open(Outgoing(self.source))
        self.grant(flow, 1_000)
        self.assertEqual(self.source.reads, 1)
        later[0].callback(b"a" * 2_000)
        self.pull()
        self.assertEqual((len(self.heard[0]), self.source.reads), (1_000, 2))
        later[1].callback(b"b" * 500)
        self.pull()
        self.assertEqual(self.source.reads, 2)
        self.grant(flow, 1_200)
        self.pull()
        self.assertEqual((self.heard[0], self.source.reads), (b"a" * 2_000 + b"b" * 200, 3))

    def test_turns(self) -> None:
        """Streams of one connection take turns, whatever they have; chunks are of 256 KiB."""
        flows = [self.open(Outgoing(Source(*[b"x" * 256 * KIB] * 4))) for _ in range(3)]
        for flow in flows:
            self.line.remote.streams.grant(flow, MIB)
        self.line.push()
        order: list[int] = []
        sizes = set()
        while messages := self.line.pull():
            for each in messages:
                if isinstance(each, Chunk):
                    order.append(each.stream)
                    sizes.add(len(each.data))
            self.line.push()
        self.assertEqual(len(order), 12)
        self.assertEqual(sizes, {256 * KIB})
        for start in range(0, 12, 3):
            self.assertEqual(set(order[start : start + 3]), {0, 1, 2})

    def test_pace(self) -> None:
        """Parts of files grow for who takes them at once, and are small again for who does not."""
        descriptor = os.open(os.devnull, os.O_RDONLY)
        outgoing = Outgoing(FileSource(descriptor, 0, 1, _at_once))
        self.addCleanup(outgoing.finish, None)
        sizes = []
        for now in (5.0, 5.001, 5.002, 5.003, 5.1, 5.2, 5.3, 5.301):
            sizes.append(outgoing.segment)
            outgoing.keep_pace(now)
        self.assertEqual([size // KIB for size in sizes], [256, 256, 512, 1024, 1024, 512, 256, 256])

    def test_a_turn_of_the_reactor(self) -> None:
        """One connection sends so much at once and no more, however much its transport would take."""
        flow = self.open(Outgoing(Source(*[b"x" * MIB] * 20)))
        self.grant(flow, 10 * MIB)
        most = 0
        while calls := [each for each in self.line.clock.getDelayedCalls() if not each.getTime()]:
            before = len(self.line.transport.sent)
            self.line.clock.calls.remove(calls[0])
            calls[0].func(*calls[0].args)
            most = max(most, len(self.line.transport.sent) - before)
        self.pull()
        self.assertEqual(len(self.heard[0]), 10 * MIB)
        self.assertLess(most, 2 * MIB)

    def test_a_full_transport(self) -> None:
        """What the transport does not take is not read from the source; answers go before the rest of the stream."""
        self.source = Source(*[b"x" * 256 * KIB] * 100)
        flow = self.open(Outgoing(self.source))
        self.line.transport.reading = False
        self.grant(flow, 20 * MIB)
        for _ in range(10):
            self.line.clock.advance(0)
        self.assertLess(len(self.line.transport.queue), 512 * KIB)
        self.assertLess(self.source.reads, 4)
        self.assertEqual(self.line.protocol.backlog, 0)
        tag = self.line.put("echo", "first")
        self.line.push()
        self.line.clock.advance(0)
        queued = len(self.line.transport.queue)
        self.line.transport.take(queued + 100)
        self.pull()
        self.assertEqual(self.line.outcomes[tag], "first")
        self.line.transport.reading = True
        while self.line.transport.queue:
            self.line.transport.take()
            self.line.clock.advance(0)
        self.pull()
        self.assertEqual(len(self.heard[0]), 20 * MIB)

    def test_never_read(self) -> None:
        """A peer that grants without end and reads nothing is aborted when it has taken nothing for so long."""
        self.source = Source(*[b"x" * 256 * KIB] * 100)
        flow = self.open(Outgoing(self.source))
        self.line.transport.reading = False
        self.grant(flow, 2**31)
        self.line.clock.pump([1] * 59)
        self.assertIsNone(self.line.ended)
        self.line.clock.pump([1] * 2)
        self.assertEqual(self.line.ended, "ConnectionAborted")
        self.assertEqual(self.fired(self.stream), "Unavailable")
        self.assertEqual(self.source.closed, 1)
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_a_source_that_fails(self) -> None:
        """At once or later: the stream is given up."""

        def later() -> Deferred[bytes]:
            return fail(Unavailable("the disk is gone"))

        self.source = Source(b"x", later())
        flow = self.open(Outgoing(self.source))
        self.grant(flow, 10)
        self.pull()
        self.assertEqual(self.ends, [(flow.tag, "Unavailable")])
        broken: Any = Source()
        broken.read = lambda size: 1 // 0
        flow = self.open(Outgoing(broken))
        self.grant(flow, 10)
        self.pull()
        self.assertEqual(self.ends[-1], (flow.tag, "Internal"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((self.source.closed, broken.closed), (1, 1))

    def test_given_up_by_the_receiver(self) -> None:
        """It does not go on, and what is read late is dropped."""
        later: Deferred[bytes] = Deferred()
        self.source = Source(b"abc", later)
        flow = self.open(Outgoing(self.source))
        self.grant(flow, 3)
        self.end(flow, "Cancelled")
        self.assertEqual(self.fired(self.stream), "Cancelled")
        later.callback(b"more")
        self.pull()
        self.assertEqual((self.source.closed, self.line.peer.streams), (1, ()))

    def test_a_file_that_cannot_be_read(self) -> None:
        """The disk's error stays in the log; the stream is given up, and the file let go once."""
        closed: list[int] = []
        descriptor = os.open(".", os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        flow = self.open(Outgoing(FileSource(descriptor, 0, 1_000, maybeDeferred, closed.append)))
        self.grant(flow, MIB)
        self.pull()
        self.assertEqual((self.ends, self.heard), ([(flow.tag, "Internal")], {}))
        self.assertEqual(len(self.flushLoggedErrors(IsADirectoryError)), 1)
        self.assertEqual(closed, [descriptor])

    def test_a_file(self) -> None:
        """Read in threads, from its offset; one that became shorter gives the stream up."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(bytes(range(256)) * 4_000)
        descriptor = os.open(path, os.O_RDONLY)
        flow = self.open(Outgoing(FileSource(descriptor, 100, 900_000, _at_once)))
        self.grant(flow, MIB)
        self.pull()
        self.assertEqual(self.heard[0], (bytes(range(256)) * 4_000)[100:900_100])
        self.assertEqual(self.ends, [(0, None)])
        self.assertRaises(OSError, os.fstat, descriptor)
        flow = self.open(Outgoing(FileSource(os.open(path, os.O_RDONLY), 1_000_000, 900_000, _at_once)))
        self.grant(flow, MIB)
        self.pull()
        self.assertEqual(self.ends[-1], (flow.tag, "Unavailable"))


class OpeningTests(StreamCase):
    """From the responder to the stream."""

    def assert_discarded(self, code: str) -> None:
        self.assertEqual([each and each.code for each in self.sink.ends], [code])
        self.assertEqual(self.line.peer.streams, ())
        self.assertFalse(self.line.protocol.conversation.has_streams)

    def test_after_a_wait(self) -> None:
        """From a coroutine or a Deferred as well."""

        async def wait(_: Any) -> Any:
            await succeed(None)
            await later
            return Opening({"more": 1}, self.stream)

        later: Deferred[None] = Deferred()
        self.line.jobs["open"] = wait
        self.stream = Incoming(self.sink)
        tag = self.line.ask("open", command="transfer")
        later.callback(None)
        self.assertEqual(self.line.outcome(tag), {"more": 1, "stream": 0})
        self.line.jobs["open"] = lambda _: succeed(Opening({}, Incoming(Sink())))
        self.assertEqual(self.line.outcome(self.line.ask("open", command="transfer")), {"stream": 1})
        self.assertEqual(len(self.line.peer.streams), 2)

    def test_credit_comes_behind_the_answer(self) -> None:
        """Whatever is said of a stream comes after the answer that names it: else it would be an offence."""
        self.stream = Incoming(self.sink)
        self.line.ask("open", command="transfer")
        self.stream.give_up(NotFound())
        kinds = [type(each).__name__ for each in self.line.pull()]
        self.assertEqual(kinds, ["Answer"])
        self.assertTrue(self.line.remote.has_streams)

    def test_too_many(self) -> None:
        """The ask is refused, and the sink told."""
        self.start(streams=2)
        for _ in range(2):
            self.open(Outgoing(Source()))
        self.stream = Incoming(self.sink)
        self.assertEqual(self.line.code(self.line.ask("open", command="transfer")), "ResourceExhausted")
        self.assertEqual([each and each.code for each in self.sink.ends], ["ResourceExhausted"])

    def test_over_before_it_opens(self) -> None:
        """One that was given up while its answer was prepared is not opened: the ask fails with the reason."""
        self.stream = Incoming(self.sink)
        self.stream.give_up(NotFound("it is gone"))
        self.assertEqual(self.line.outcome(self.line.ask("open", command="transfer")).text, "it is gone")
        self.assert_discarded("NotFound")

    def test_not_declared(self) -> None:
        """A command that does not open streams cannot: nobody would know of it."""
        self.stream = Incoming(self.sink)
        self.assertEqual(self.line.code(self.line.ask("open")), "Internal")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assert_discarded("Cancelled")

    def test_too_late(self) -> None:
        """An ask whose deadline has passed, or whose connection is lost, opens nothing."""
        for lose in (False, True):
            self.start()
            later: Deferred[None] = Deferred()

            async def wait(_: Any, later: Deferred[None] = later) -> Any:
                try:
                    await later
                except CancelledError:
                    pass
                return Opening({}, self.stream)

            self.line.jobs["open"] = wait
            self.stream = Incoming(self.sink)
            self.line.ask("open", command="transfer", timeout=5)
            if lose:
                self.line.transport.lose(Exception("cut"))
                later.callback(None)
            else:
                self.line.clock.advance(6)
            self.assert_discarded("Unavailable" if lose else "Cancelled")

    def test_an_answer_that_cannot_be_sent(self) -> None:
        """The asker hears of it, and no stream is left."""
        self.stream = Incoming(self.sink)
        self.line.jobs["open"] = lambda _: Opening({"more": object()}, self.stream)
        self.assertEqual(self.line.code(self.line.ask("open", command="transfer")), "Unserialisable")
        self.assert_discarded("Unserialisable")


class LifeTests(StreamCase):
    """Streams and the rest of the connection."""

    def test_draining(self) -> None:
        """A stream under way is let finish, then the connection is closed."""
        flow = self.open(Incoming(self.sink))
        self.line.protocol.drain()
        self.pull()
        self.send(flow, b"x" * 100)
        self.assertIsNone(self.line.ended)
        self.end(flow)
        self.pull()
        self.assertEqual(self.line.ended, "ConnectionDone")
        self.assertEqual(self.sink.ends, [None])
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_draining_in_vain(self) -> None:
        """A stream that does not end in time is given up, the other side is told, and the connection closed."""
        flow = self.open(Incoming(self.sink))
        self.line.protocol.drain()
        self.pull()
        self.assertIsNone(self.line.ended)
        self.line.peer.end_all()
        self.pull()
        self.assertEqual(self.ends, [(flow.tag, "Unavailable")])
        self.assertEqual(self.line.ended, "ConnectionDone")
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_closing(self) -> None:
        """A close does not wait for streams: both sides hear that they are given up."""
        flow = self.open(Incoming(self.sink))
        self.line.protocol.close()
        self.pull()
        self.assertEqual(self.ends, [(flow.tag, "Unavailable")])
        self.assertEqual(self.line.ended, "ConnectionDone")
        self.assertEqual([each and each.code for each in self.sink.ends], ["Unavailable"])
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_idle(self) -> None:
        """One of which nothing moves is given up, the others are not; one whose sink is busy is not to blame."""
        self.start(stream_idle=100, heartbeat=10_000)
        still, busy, lively = Sink(), Sink(), Sink()
        busy.answer = lambda piece: Deferred()
        self.open(Incoming(still))
        busy_flow = self.open(Incoming(busy))
        flow = self.open(Incoming(lively))
        self.pull()
        self.send(busy_flow, b"x")
        for _ in range(4):
            self.line.clock.advance(60)
            self.send(flow, b"x")
        self.assertEqual([each and each.code for each in still.ends], ["DeadlineExceeded"])
        self.assertEqual((lively.ends, busy.ends), ([], []))

    def test_stalled_within_a_chunk(self) -> None:
        """A sender that began a chunk goes on with it, as with any frame."""
        flow = self.open(Incoming(self.sink))
        self.pull()
        self.line.raw(self.line.remote.streams.chunk(flow, MIB) + b"x" * 100)
        self.line.clock.pump([1] * 60)
        self.assertEqual(self.line.ended, "ConnectionAborted")

    def test_without_credit(self) -> None:
        """More than was granted ends the connection, and the sink hears of nothing but that."""
        flow = self.open(Incoming(self.sink, window=10))
        self.pull()
        flow.credit = 1_000
        self.send(flow, b"x" * 11)
        self.assertEqual(self.line.ended, "ConnectionAborted")
        self.assertEqual(self.sink.heard, b"")
        self.assertEqual(len(self.sink.ends), 1)


def _at_once(function: Any, *arguments: Any) -> Deferred[Any]:
    return succeed(function(*arguments))
