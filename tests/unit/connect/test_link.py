"""One connection: who reads, who waits, and what each gets when it ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from math import inf
from queue import SimpleQueue
from time import monotonic
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.link import Link
from fluxon.connect.stream import Stream, StreamLost
from fluxon.connect.streams import Incoming
from fluxon.connect.waiter import NeverSent, Overdue
from fluxon.errors import (
    InvalidPayload,
    NotFound,
    OutcomeUnknown,
    ProtocolError,
    ResourceExhausted,
    Unavailable,
    Unserialisable,
)
from fluxon.wire import Answer, Ask, Conversation, Failed

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 10.0


class LinkTestCase(SynchronousTestCase):
    """A link, and the other end of its socket in the test's own hands."""

    def setUp(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(PATIENCE)
        self.addCleanup(self.theirs.close)
        self.server = Conversation(receive_limit=2**20, send_limit=2**20, stream_limit=10)
        self.asks: SimpleQueue[Ask] = SimpleQueue()
        self.link = Link(Stream(ours, None), self, compress=False)
        self.link.conversation.ask_limit = 100
        self.link.conversation.send_limit = 2**20
        self.closed = False
        self.addCleanup(self.close, "the test is over")
        self.ended: SimpleQueue[BaseException] = SimpleQueue()

    # Owner

    def asked(self, link: Link, ask: Ask) -> None:
        self.asks.put(ask)

    def cancelled(self, link: Link, tag: int) -> None:
        self.asks.put(link.conversation.answering[tag])

    # The test's tools

    def close(self, reason: str) -> None:
        if not self.closed:
            self.closed = True
            self.link.close(reason)

    def run_link(self, heartbeat: float = 0) -> None:
        """The connection's thread; what ends it goes to ``ended``."""

        def run() -> None:
            try:
                self.link.run(heartbeat)
            except BaseException as error:
                self.ended.put(error)

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        self.addCleanup(self.link.stop, "the test is over")

    def in_thread(self, function: Callable[[], Any]) -> SimpleQueue[Any]:
        """Where the result of ``function``, or its exception, will be."""
        outcome: SimpleQueue[Any] = SimpleQueue()

        def call() -> None:
            try:
                outcome.put(function())
            except BaseException as error:
                outcome.put(error)

        thread = threading.Thread(target=call)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        return outcome

    def ask(self, command: str, seconds: float = PATIENCE) -> SimpleQueue[Any]:
        return self.in_thread(lambda: self.link.ask(command, {}, monotonic() + seconds))

    def received(self, count: int = 1) -> list[Any]:
        messages: list[Any] = []
        while len(messages) < count:
            data = self.theirs.recv(65536)
            self.assertTrue(data, "the link left")
            messages += self.server.receive(data)
        return messages

    def receive_until(self, is_enough: Callable[[], bool]) -> None:
        """Take what comes, and leave the answers to it unsent."""
        self.theirs.settimeout(0.02)
        while not is_enough():
            try:
                self.server.receive(self.theirs.recv(65536))
            except TimeoutError:
                pass

    def remake(self, kind: type[Link]) -> None:
        """Another link, of a kind of the test's own."""
        self.close("another one is made")
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(PATIENCE)
        self.addCleanup(self.theirs.close)
        self.link = kind(Stream(ours, None), self, compress=False)
        self.link.conversation.send_limit = 2**20
        self.closed = False

    def send(self) -> None:
        data = b"".join(self.server.output)
        self.server.output.clear()
        self.theirs.sendall(data)


class AskingTests(LinkTestCase):
    def test_reads_its_own_answer(self) -> None:
        """A thread that asks alone needs no other thread to get its answer."""
        outcome = self.ask("one")
        (ask,) = self.received()
        self.server.answer(ask.tag, "answer")
        self.send()
        self.assertEqual(outcome.get(timeout=PATIENCE), "answer")

    def test_raises_what_was_answered(self) -> None:
        """A Failed answer is raised as the error that it stands for."""
        outcome = self.ask("one")
        (ask,) = self.received()
        self.server.fail(ask.tag, NotFound("no such thing"))
        self.send()
        error = outcome.get(timeout=PATIENCE)
        self.assertIsInstance(error, NotFound)
        self.assertEqual(error.text, "no such thing")

    def test_answers_in_another_order(self) -> None:
        """Whoever reads hands the others theirs."""
        self.run_link()
        outcomes = {name: self.ask(name) for name in ("a", "b", "c", "d")}
        for ask in reversed(self.received(4)):
            self.server.answer(ask.tag, f"{ask.command}'s")
            self.send()
        self.assertEqual(
            {name: each.get(timeout=PATIENCE) for name, each in outcomes.items()}, {n: f"{n}'s" for n in outcomes}
        )

    def test_reader_leaves_while_others_wait(self) -> None:
        """The thread that read for itself has its answer and goes; the one that asked meanwhile still gets its own."""
        self.run_link()
        first = self.ask("first")
        (ask,) = self.received()
        second = self.ask("second")
        (other,) = self.received()
        self.server.answer(ask.tag, 1)
        self.send()
        self.assertEqual(first.get(timeout=PATIENCE), 1)
        self.server.answer(other.tag, 2)
        self.send()
        self.assertEqual(second.get(timeout=PATIENCE), 2)

    def test_server_asks_while_a_thread_reads_for_itself(self) -> None:
        """What the server asks meanwhile reaches the owner at once, and is answered from any thread."""
        self.run_link()
        outcome = self.ask("one")
        (ask,) = self.received()
        self.server.ask("call", {"x": 1}, waiter="ours")
        self.send()
        asked = self.asks.get(timeout=PATIENCE)
        self.assertEqual((asked.command, asked.arguments), ("call", {"x": 1}))
        self.link.answer(asked, "done")
        (answered,) = self.received()
        self.assertIsInstance(answered, Answer)
        self.assertEqual((answered.waiter, answered.value), ("ours", "done"))
        self.server.answer(ask.tag, "too")
        self.send()
        self.assertEqual(outcome.get(timeout=PATIENCE), "too")

    def test_refused_before_it_is_sent(self) -> None:
        """What cannot cross, or is too large, raises, and nothing was sent."""
        deadline = monotonic() + PATIENCE
        self.assertRaises(Unserialisable, self.link.ask, "one", {"x": object()}, deadline)
        self.assertRaises(ResourceExhausted, self.link.ask, "one", {"x": b"x" * 2**20}, deadline)
        self.theirs.setblocking(False)
        self.assertRaises(BlockingIOError, self.theirs.recv, 1)

    def test_overdue(self) -> None:
        """It tells whether the request was sent; the server is told not to bother, for what was."""
        self.run_link()
        self.link.conversation.ask_limit = 1
        first = self.ask("first", 0.3)
        self.received()
        second = self.ask("second", 0.05)
        error = second.get(timeout=PATIENCE)
        self.assertEqual((type(error), error.sent), (Overdue, False))
        error = first.get(timeout=PATIENCE)
        self.assertEqual((type(error), error.sent), (Overdue, True))
        self.assertEqual([type(each).__name__ for each in self.received()], ["Cancel"])
        past = self.assertRaises(Overdue, self.link.ask, "third", {}, monotonic() - 1)
        self.assertFalse(past.sent)

    def test_answered_while_it_is_given_up(self) -> None:
        """An answer that comes between the deadline and the word of it to the server is the caller's."""

        class Late(Link):
            def _abandon(self, waiter: Any) -> bool:
                with test.link._receiving:
                    (ask,) = test.received()
                    test.server.answer(ask.tag, "in the last moment")
                    test.send()
                    while waiter.outcome is None:
                        self._receive(PATIENCE)
                return super()._abandon(waiter)

        test = self
        self.remake(Late)
        self.assertEqual(self.link.ask("one", {}, monotonic() + 0.1), "in the last moment")

    def test_interrupted_with_a_stream_in_hand(self) -> None:
        """Ctrl+C when the answer has come, and nobody will take what it opened: the server is told to send nothing."""

        class Interrupted(Link):
            def _read_if_nobody_does(self, waiter: Any, deadline: float) -> None:
                super()._read_if_nobody_does(waiter, deadline)
                raise KeyboardInterrupt

        self.remake(Interrupted)
        outcome = self.in_thread(lambda: self.link.ask("get", {}, monotonic() + PATIENCE, opens=True))
        (ask,) = self.received()
        flow = self.server.streams.open(True, "server")
        self.server.answer(ask.tag, {"stream": flow.tag})
        self.send()
        self.assertIsInstance(outcome.get(timeout=PATIENCE), KeyboardInterrupt)
        (end,) = self.received()
        self.assertEqual((end.stream, end.code), (flow.tag, "Cancelled"))

    def test_interrupted_while_it_takes_for_all(self) -> None:
        """Ctrl+C in the middle of what a thread has read for itself and others: nobody knows how far it came."""

        class Interrupted(Link):
            def _take(self, data: bytes) -> bool:
                raise KeyboardInterrupt

        self.remake(Interrupted)
        outcome = self.ask("one")
        (ask,) = self.received()
        self.server.answer(ask.tag, "answer")
        self.send()
        self.assertIsInstance(outcome.get(timeout=PATIENCE), KeyboardInterrupt)
        self.run_link()
        self.assertIn("interrupted", str(self.ended.get(timeout=PATIENCE)))


class EndingTests(LinkTestCase):
    def test_answers_that_wait_behind_what_was_said(self) -> None:
        """They came, and are not lost with the connection that ends before its thread came to what was before them."""
        outcome = self.ask("one")
        (ask,) = self.received()
        self.server.ask("call", {}, waiter=None)
        self.server.answer(ask.tag, "answer")
        self.send()
        while len(self.link._said) < 2:
            threading.Event().wait(0.001)
        self.close("it was lost")
        self.assertEqual(outcome.get(timeout=PATIENCE), "answer")

    def test_bytes_that_wait_for_the_thread(self) -> None:
        """What a stream's owner had not heard yet when the connection ended it hears before it is told of that."""
        opened = self.in_thread(lambda: self.link.ask("get", {}, monotonic() + PATIENCE, opens=True))
        (ask,) = self.received()
        flow = self.server.streams.open(True, "server")
        self.server.answer(ask.tag, {"stream": flow.tag})
        self.send()
        stream = Incoming(self.link, opened.get(timeout=PATIENCE)["stream"])
        self.server.receive(self.theirs.recv(65536))  # the credit
        self.ask("one")
        self.received()
        data = b"".join(self.server.output) + self.server.streams.chunk(flow, 4) + b"data"
        self.server.output.clear()
        self.theirs.sendall(data)
        while not self.link._said:
            threading.Event().wait(0.001)
        self.close("it was lost")
        self.assertEqual(bytes(stream.read(monotonic() + PATIENCE)), b"data")
        self.assertRaises(Unavailable, stream.read, monotonic() + PATIENCE)

    def test_pinged_once(self) -> None:
        """A thread that is woken while it waits for the pong, to send what others ask, pings no second time."""
        self.run_link(0.5)
        self.receive_until(lambda: bool(self.server.output))
        outcome = self.in_thread(lambda: self.link.ask("big", {"x": bytes(1_000_000)}, monotonic() + PATIENCE))
        self.receive_until(lambda: not self.ended.empty())
        self.assertIn("nothing was heard", str(self.ended.get(timeout=PATIENCE)))
        self.close("it was lost")
        self.assertIsInstance(outcome.get(timeout=PATIENCE), OutcomeUnknown)
        self.assertEqual(len(self.server.output), 1)  # the pongs, which were not sent

    def test_outcomes(self) -> None:
        """What was sent may have been done; what waited for its place, and what comes later, was not."""
        self.run_link()
        self.link.conversation.ask_limit = 1
        sent = self.ask("sent")
        self.received()
        queued = self.ask("queued")
        while len(self.link.conversation.asked) < 2:
            threading.Event().wait(0.001)
        self.theirs.close()
        self.assertIsInstance(self.ended.get(timeout=PATIENCE), StreamLost)
        self.close("it was lost")
        error = sent.get(timeout=PATIENCE)
        self.assertIsInstance(error, OutcomeUnknown)
        self.assertIn("it was lost", error.text)
        self.assertIsInstance(queued.get(timeout=PATIENCE), NeverSent)
        self.assertRaises(NeverSent, self.link.ask, "later", {}, monotonic() + 1)

    def test_garbage(self) -> None:
        """A broken frame ends the connection, whichever thread reads it, and the connection's own learns of it."""
        outcome = self.ask("one")
        self.received()
        self.theirs.sendall(b"\xff" * 8)
        self.run_link()
        self.assertIsInstance(self.ended.get(timeout=PATIENCE), ProtocolError)
        self.close("garbage")
        self.assertIsInstance(outcome.get(timeout=PATIENCE), OutcomeUnknown)

    def test_stop(self) -> None:
        """Another thread ends it; the connection's thread learns at once, in the middle of its wait."""
        self.run_link(inf)
        self.link.stop("enough")
        self.assertEqual(str(self.ended.get(timeout=PATIENCE)), "enough")

    def test_late_answers_go_nowhere(self) -> None:
        """Functions that end after the connection, or after the server gave up, harm nothing."""
        self.run_link()
        tag = self.server.ask("call", {}, waiter=None)
        self.send()
        ask = self.asks.get(timeout=PATIENCE)
        self.assertTrue(self.link.expects(ask))
        self.server.abandon(tag)
        self.send()
        self.assertIs(self.asks.get(timeout=PATIENCE), ask)
        self.link.fail(ask, InvalidPayload("given up"))
        self.assertFalse(self.link.expects(ask))
        self.link.answer(ask, 1)
        self.link.stop("enough")
        self.ended.get(timeout=PATIENCE)
        self.close("enough")
        self.link.answer(ask, 1)
        self.link.fail(ask, InvalidPayload())

    def test_heartbeat(self) -> None:
        """Silence brings one ping, and then the end; any byte in between starts anew."""
        self.run_link(0.1)
        self.theirs.recv(100)
        self.server.ping()
        self.send()
        self.assertIn(b"\x82\x07", self.theirs.recv(100))  # the pong
        self.assertIn("nothing was heard", str(self.ended.get(timeout=PATIENCE)))

    def test_unserialisable_answer(self) -> None:
        """The server gets an error, the caller of ``answer`` the reason."""
        self.run_link()
        self.server.ask("call", {}, waiter=None)
        self.send()
        ask = self.asks.get(timeout=PATIENCE)
        self.assertRaises(Unserialisable, self.link.answer, ask, object())
        (failed,) = self.received()
        self.assertIsInstance(failed, Failed)
        self.assertEqual(failed.code, "Unserialisable")
