"""Streams of the blocking client, with the server's end in the test's hands: nobody waits who must not, one outcome."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.link import Link
from fluxon.connect.stream import Stream, StreamLost
from fluxon.connect.streams import Incoming, Outgoing
from fluxon.connect.waiter import Overdue
from fluxon.errors import Cancelled, Conflict, DeadlineExceeded, FluxonError, NotFound, OutcomeUnknown, Unavailable
from fluxon.wire import Ask, Chunk, Conversation, Credit, End, Flow

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 10.0


def soon() -> float:
    return monotonic() + PATIENCE


class StreamTestCase(SynchronousTestCase):
    """A link with its thread, and a server whose every word is the test's."""

    def setUp(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(PATIENCE)
        self.addCleanup(self.theirs.close)
        self.server = Conversation(receive_limit=2**20, send_limit=2**20, stream_limit=10)
        self.heard: list[Any] = []
        self.link = Link(Stream(ours, None), self, compress=False)
        self.link.conversation.ask_limit = 100
        self.link.conversation.send_limit = 2**20
        self.ended = threading.Event()
        threading.Thread(target=self._serve_link, daemon=True).start()
        self.addCleanup(self._stop)

    def _serve_link(self) -> None:
        reason = "?"
        try:
            self.link.run(0)
        except StreamLost as lost:
            reason = str(lost)
        self.link.close(reason)
        self.ended.set()

    def _stop(self) -> None:
        self.link.stop("the test is over")
        self.assertTrue(self.ended.wait(PATIENCE))

    def asked(self, link: Link, ask: Ask) -> None:
        raise AssertionError("nothing is asked here")

    def cancelled(self, link: Link, tag: int) -> None:
        raise AssertionError("nothing is asked here")

    # The server.

    def until(self, kind: type) -> Any:
        """The next message of that kind; what came before it is in ``heard``, too."""
        while True:
            for message in self.heard:
                if isinstance(message, kind):
                    self.heard.remove(message)
                    return message
            self.heard += self.server.receive(self.theirs.recv(65_536))
            self.say()

    def say(self, more: bytes = b"") -> None:
        data = b"".join(self.server.output) + more
        self.server.output.clear()
        self.server.output_size = 0
        self.theirs.sendall(data)

    def send(self, flow: Flow, data: bytes) -> None:
        self.say(self.server.streams.chunk(flow, len(data)) + data)

    # The client.

    def in_thread(self, function: Callable[[], Any]) -> Callable[[], Any]:
        """What ``function`` returned, or the error that it raised."""
        outcome: SimpleQueue[Any] = SimpleQueue()

        def call() -> None:
            try:
                outcome.put(function())
            except (FluxonError, Overdue) as error:
                outcome.put(error)

        threading.Thread(target=call, daemon=True).start()
        return lambda: outcome.get(timeout=PATIENCE)

    def open(self, sending: bool) -> tuple[Flow, int]:
        """A stream that the server opens, ``sending`` itself; its end of it, and the tag that the client was told."""
        answer = self.in_thread(lambda: self.link.ask("get", {}, soon(), opens=True))
        ask = self.until(Ask)
        flow = self.server.streams.open(sending, "server")
        self.server.answer(ask.tag, {"stream": flow.tag})
        self.say()
        return flow, answer()["stream"]

    def incoming(self, window: int = 1_000) -> tuple[Flow, Incoming]:
        flow, tag = self.open(True)
        stream = Incoming(self.link, tag, window)
        self.until(Credit)
        return flow, stream

    def outgoing(self, credit: int = 0) -> tuple[Flow, Outgoing]:
        flow, tag = self.open(False)
        stream = Outgoing(self.link, tag)
        if credit:
            self.server.streams.grant(flow, credit)
            self.say()
        return flow, stream


class IncomingTests(StreamTestCase):
    def test_all_of_it(self) -> None:
        """The bytes in their order, then nothing, as often as it is asked."""
        flow, stream = self.incoming()
        self.assertEqual(flow.credit, 1_000)
        self.send(flow, b"abc")
        self.assertEqual(bytes(stream.read(soon())), b"abc")
        self.send(flow, b"def")
        self.server.streams.end(flow)
        self.say()
        self.assertEqual(bytes(stream.read(soon())), b"def")
        self.assertEqual((stream.read(soon()), stream.read(soon())), (b"", b""))
        self.assertIsNone(self.until(End).code)
        self.assertFalse(self.link.conversation.has_streams)

    def test_credit_for_what_was_read(self) -> None:
        """What waits unread is never more than the window, and the connection serves others meanwhile."""
        flow, stream = self.incoming(window=1_000)
        for _ in range(4):
            self.send(flow, b"x" * 250)
        answer = self.in_thread(lambda: self.link.ask("other", {}, soon()))
        self.server.answer(self.until(Ask).tag, "served")
        self.say()
        self.assertEqual((answer(), flow.credit), ("served", 0))
        stream.read(soon())
        self.assertEqual(self.until(Credit).count, 250)

    def test_given_up_by_the_server(self) -> None:
        """What came before is read; then its error is raised, and again."""
        flow, stream = self.incoming()
        self.send(flow, b"abc")
        self.server.streams.give_up(flow, NotFound("it was deleted"))
        self.say()
        self.assertEqual(bytes(stream.read(soon())), b"abc")
        for _ in range(2):
            error = self.assertRaises(NotFound, stream.read, soon())
            self.assertEqual(error.text, "it was deleted")

    def test_overdue(self) -> None:
        """A deadline gives the stream up, and costs the connection nothing."""
        _, stream = self.incoming()
        self.assertRaises(DeadlineExceeded, stream.read, monotonic() + 0.02)
        self.assertEqual(self.until(End).code, "DeadlineExceeded")
        self.assertRaises(DeadlineExceeded, stream.read, soon())

    def test_left_early(self) -> None:
        """Leaving the ``with`` gives up what is not complete; bytes under way are nobody's."""
        flow, stream = self.incoming()
        with stream:
            pass
        self.send(flow, b"under way")
        self.assertEqual(self.until(End).code, "Cancelled")
        self.assertRaises(Cancelled, stream.read, soon())
        stream.give_up()
        self.assertEqual(self.server.receive(b""), [])

    def test_lost(self) -> None:
        """What came is read, then the loss is told; a stream of a lost connection cannot be taken."""
        flow, stream = self.incoming()
        self.send(flow, b"abc")
        self.theirs.close()
        self.assertTrue(self.ended.wait(PATIENCE))
        self.assertEqual(bytes(stream.read(soon())), b"abc")
        self.assertRaises(Unavailable, stream.read, soon())
        self.assertRaises(Unavailable, Incoming, self.link, 5)
        stream.give_up()

    def test_lost_while_it_waits(self) -> None:
        """A thread that waits for bytes hears of the end at once."""
        _, stream = self.incoming()
        outcome = self.in_thread(lambda: stream.read(soon()))
        self.theirs.close()
        self.assertIsInstance(outcome(), Unavailable)

    def test_over_before_it_was_taken(self) -> None:
        """The server may be done, or have given up, before the program looks at its answer."""
        for error in (None, NotFound("gone")):
            flow, tag = self.open(True)
            if error is None:
                self.server.streams.end(flow)
            else:
                self.server.streams.give_up(flow, error)
            self.say()
            self.until(End)
            stream = Incoming(self.link, tag)
            if error is None:
                self.assertEqual(stream.read(soon()), b"")
            else:
                self.assertRaises(NotFound, stream.read, soon())

    def test_nobody_waits_for_the_answer(self) -> None:
        """A stream that comes with a late answer is given up."""
        outcome = self.in_thread(lambda: self.link.ask("get", {}, monotonic() + 0.02, opens=True))
        ask = self.until(Ask)
        self.assertIsInstance(outcome(), Overdue)
        flow = self.server.streams.open(True, "server")
        self.server.answer(ask.tag, {"stream": flow.tag})
        self.say()
        self.assertEqual(self.until(End).code, "Cancelled")


class OutgoingTests(StreamTestCase):
    def chunks(self, size: int) -> bytes:
        heard = b""
        while len(heard) < size:
            heard += self.until(Chunk).data
        return heard

    def test_all_of_it(self) -> None:
        """As credit allows; ``finish`` waits until the server has read all."""
        flow, stream = self.outgoing(credit=4)
        done = self.in_thread(lambda: (stream.write(b"abcdef", soon()), stream.finish(soon())))
        self.assertEqual(self.chunks(4), b"abcd")
        self.server.streams.grant(flow, 100)
        self.say()
        self.assertEqual(self.chunks(2), b"ef")
        self.assertIsNone(self.until(End).code)
        self.assertEqual(done(), (None, None))
        self.assertEqual(stream.sent, 6)
        self.assertRaises(Cancelled, stream.write, b"more", soon())

    def test_a_file(self) -> None:
        """A part of one; one that has fewer bytes than was said is a conflict, and the stream given up."""
        content = os.urandom(600_000)
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            _, stream = self.outgoing(credit=10**6)
            done = self.in_thread(lambda: stream.send_file(file.fileno(), 1_000, 500_000, soon()))
            self.assertEqual(self.chunks(500_000), content[1_000:501_000])
            self.assertIsNone(done())
            _, stream = self.outgoing(credit=10**6)

            def too_short() -> None:
                with stream:
                    stream.send_file(file.fileno(), 599_000, 2_000, soon())

            done = self.in_thread(too_short)
            self.assertEqual(self.until(End).code, "Cancelled")
            self.assertIsInstance(done(), Conflict)

    def test_given_up_by_the_server(self) -> None:
        """Whoever writes, waits for credit, or finishes, gets the server's error."""
        for wait in (False, True):
            flow, stream = self.outgoing(credit=10)
            if wait:
                done = self.in_thread(lambda stream=stream: stream.write(b"x" * 11, soon()))  # type: ignore[misc]
                self.chunks(10)
            self.server.streams.give_up(flow, NotFound("the disk is full"))
            self.say()
            if wait:
                self.assertEqual(done().text, "the disk is full")
            self.until(End)
            self.assertRaises(NotFound, stream.write, b"more", soon())
            self.assertRaises(NotFound, stream.finish, soon())

    def test_refused_at_the_end(self) -> None:
        """The server takes all bytes and gives up in the moment that they are complete."""
        flow, stream = self.outgoing(credit=10)
        stream.write(b"abc", soon())
        self.chunks(3)
        self.server.streams.give_up(flow, NotFound("no"))
        done = self.in_thread(lambda: stream.finish(soon()))
        self.assertIsNone(self.until(End).code)
        self.assertIsInstance(done(), NotFound)

    def test_given_up_in_the_moment_of_sending(self) -> None:
        """No chunk follows the server's end, which would be a breach of the protocol: the writer gets the reason."""

        class Ended(Outgoing):
            def _wait_for_credit(self, deadline: float) -> None:
                super()._wait_for_credit(deadline)
                if not given_up:
                    given_up.append(True)
                    test.server.streams.give_up(flow, NotFound("the disk is full"))
                    test.say()
                    test.until(End)

        test, given_up = self, []
        flow, tag = self.open(False)
        stream = Ended(self.link, tag)
        self.server.streams.grant(flow, 10)
        self.say()
        error = self.assertRaises(NotFound, stream.write, b"data", soon())
        self.assertEqual(error.text, "the disk is full")
        self.assertEqual(stream.sent, 0)
        self.assertFalse(self.ended.is_set())

    def test_overdue(self) -> None:
        """No credit in time, or no confirmation: the stream is given up, the connection lives."""
        _, stream = self.outgoing()
        self.assertRaises(DeadlineExceeded, stream.write, b"x", monotonic() + 0.02)
        self.assertEqual(self.until(End).code, "DeadlineExceeded")
        self.assertRaises(Cancelled, stream.write, b"x", soon())

    def test_not_confirmed(self) -> None:
        """A server that does not say that it has read all costs the deadline."""
        _, stream = self.outgoing()
        self.assertRaises(DeadlineExceeded, stream.finish, monotonic() + 0.02)

    def test_a_full_network(self) -> None:
        """What the socket does not take is not heaped up, whatever was granted; a deadline ends the wait."""
        _, stream = self.outgoing(credit=2**31)
        self.assertRaises(DeadlineExceeded, stream.write, bytes(2**26), monotonic() + 0.3)
        self.assertLess(len(self.link._stream._unsent), 2**20)
        self.assertLess(stream.sent, 2**23)

    def test_lost(self) -> None:
        """In the middle: nothing was completed."""
        _, stream = self.outgoing(credit=10)
        waiting = self.in_thread(lambda: stream.write(b"x" * 11, soon()))
        self.chunks(10)
        self.theirs.close()
        self.assertIsInstance(waiting(), Unavailable)
        self.assertRaises(Unavailable, stream.write, b"x", soon())
        self.assertRaises(Unavailable, stream.finish, soon())

    def test_lost_before_the_confirmation(self) -> None:
        """All was sent, and nobody knows whether it arrived."""
        _, stream = self.outgoing(credit=10)
        finishing = self.in_thread(lambda: stream.finish(soon()))
        self.theirs.recv(65_536)  # the end, which is not answered
        self.theirs.close()
        self.assertIsInstance(finishing(), OutcomeUnknown)
