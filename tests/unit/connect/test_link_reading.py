"""Threads that read their own answers: nobody waits for nothing, whatever comes between, and whoever is interrupted."""

from __future__ import annotations

import dis
import functools
import socket
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from queue import SimpleQueue
from time import monotonic
from types import CodeType, FrameType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.link import Link
from fluxon.connect.stream import Stream
from fluxon.connect.waiter import Overdue
from fluxon.errors import OutcomeUnknown
from fluxon.wire import Ask, Conversation

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 10.0

#: No thread of these tests may be without its outcome for longer: what is lost is found by a deadline, much later.
PROMPT = 1.0


class Server:
    """The other end: answers each ask with its command, but for what a test keeps for itself."""

    def __init__(self, *, keep: tuple[str, ...] = ()) -> None:
        ours, self.socket = socket.socketpair()
        self.ours = ours
        self.keep = keep
        self.kept: SimpleQueue[Ask] = SimpleQueue()
        self.conversation = Conversation(receive_limit=2**20, send_limit=2**20, in_flight=1_000)
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            while data := self.socket.recv(65536):
                with self._lock:
                    for message in self.conversation.receive(data):
                        if isinstance(message, Ask):
                            if message.command in self.keep:
                                self.kept.put(message)
                            else:
                                self.conversation.answer(message.tag, message.command)
                self.send()
        except OSError:
            pass

    def send(self, *acts: Callable[[], object]) -> None:
        """What ``acts`` (on the conversation) lead to, in one piece."""
        with self._lock:
            for act in acts:
                act()
            data = b"".join(self.conversation.output)
            self.conversation.output.clear()
            try:
                self.socket.sendall(data)
            except OSError:
                pass  # the link is over, which is the test's to see

    def answering(self, ask: Ask) -> Callable[[], object]:
        return functools.partial(self.conversation.answer, ask.tag, ask.command)

    def leave(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join(PATIENCE)
        self.socket.close()


class ReadingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked_of_us: Callable[[Ask], object] = lambda ask: None

    def asked(self, link: Link, ask: Ask) -> None:
        self.asked_of_us(ask)

    def cancelled(self, link: Link, tag: int) -> None:
        pass

    def link_to(self, server: Server) -> Link:
        link = Link(Stream(server.ours, None), self, compress=False)
        link.conversation.ask_limit = 100
        return link

    def serve(self, link: Link, heartbeat: float = 0) -> threading.Thread:
        """The connection's thread, which ends the connection as a ``Connector`` would."""

        def run() -> None:
            try:
                link.run(heartbeat)
            except Exception as error:
                link.close(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def connected(self, *, keep: tuple[str, ...] = (), heartbeat: float = 0) -> tuple[Server, Link]:
        server = Server(keep=keep)
        link = self.link_to(server)
        thread = self.serve(link, heartbeat)

        def end() -> None:
            link.stop("the test is over")
            thread.join(PATIENCE)
            server.leave()

        self.addCleanup(end)
        return server, link

    def in_thread(self, function: Callable[[], Any]) -> SimpleQueue[Any]:
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

    def ask(self, link: Link, command: str, seconds: float = PATIENCE) -> SimpleQueue[Any]:
        return self.in_thread(lambda: link.ask(command, {}, monotonic() + seconds))


class BesideOthersTests(ReadingTestCase):
    def test_keeps_its_deadline(self) -> None:
        """A thread that reads while the server goes on talking to others still gives up in time."""
        server, link = self.connected(keep=("never",))
        over = threading.Event()

        def chatter() -> None:
            while not over.wait(0.005):
                server.send(server.conversation.ping)

        thread = threading.Thread(target=chatter)
        thread.start()
        link.ask("first", {}, monotonic() + PATIENCE)
        began = monotonic()
        outcome = self.ask(link, "never", 0.2)
        try:
            self.assertIsInstance(outcome.get(timeout=PATIENCE), Overdue)
        finally:
            over.set()
            thread.join(PATIENCE)
        self.assertLess(monotonic() - began, PROMPT)

    def test_slow_beside_quick(self) -> None:
        """Who waits long holds up nobody, and is not forgotten."""
        server, link = self.connected(keep=("slow",))
        slow = self.ask(link, "slow")
        kept = server.kept.get(timeout=PATIENCE)
        for _ in range(50):
            began = monotonic()
            self.assertEqual(link.ask("quick", {}, began + PATIENCE), "quick")
            self.assertLess(monotonic() - began, PROMPT)
        server.send(server.answering(kept))
        self.assertEqual(slow.get(timeout=PROMPT), "slow")

    def test_what_the_server_asks_comes_first(self) -> None:
        """An answer behind something that the server says waits until that is done: a login's answer, for one."""
        server, link = self.connected(keep=("one",))
        go_on, began = threading.Event(), threading.Event()
        self.asked_of_us = lambda ask: (began.set(), go_on.wait(PATIENCE))
        outcome = self.ask(link, "one")
        kept = server.kept.get(timeout=PATIENCE)
        server.send(lambda: server.conversation.ask("call", {}, waiter=None), server.answering(kept))
        self.assertTrue(began.wait(PROMPT))
        self.assertEqual([waiter.outcome for waiter in link._waiters], [None])
        go_on.set()
        self.assertEqual(outcome.get(timeout=PROMPT), "one")

    def test_what_the_server_asks_runs_in_no_caller(self) -> None:
        """A thread that reads for itself leaves it to the connection's: it could be interrupted in the middle."""
        server, link = self.connected(keep=("one",))
        threads: SimpleQueue[int] = SimpleQueue()
        self.asked_of_us = lambda ask: threads.put(threading.get_ident())
        link.ask("first", {}, monotonic() + PATIENCE)  # the connection's thread now stays away
        caller: list[int] = []
        outcome = self.in_thread(
            lambda: (caller.append(threading.get_ident()), link.ask("one", {}, monotonic() + PATIENCE))
        )
        kept = server.kept.get(timeout=PATIENCE)
        for _ in range(20):
            server.send(lambda: server.conversation.ask("call", {}, waiter=None))
            self.assertNotIn(threads.get(timeout=PROMPT), caller)
        server.send(server.answering(kept))
        outcome.get(timeout=PATIENCE)

    def test_heartbeat(self) -> None:
        """Callers that come and go keep neither the ping from the server nor a dead server from being found out."""
        server, link = self.connected(keep=("never",), heartbeat=0.2)
        self.assertEqual(link.ask("first", {}, monotonic() + PATIENCE), "first")
        server.keep = ("never", "ping")
        began = monotonic()
        outcomes = [self.ask(link, "never") for _ in range(4)]
        server.send = lambda *acts: None  # type: ignore[method-assign]
        for each in outcomes:
            error = each.get(timeout=PATIENCE)
            self.assertIsInstance(error, OutcomeUnknown)
            self.assertIn("nothing was heard", error.text)
        self.assertLess(monotonic() - began, 4 * PROMPT)

    def test_ends_while_a_caller_reads(self) -> None:
        """The server dies, or this side stops, in the middle of a caller's read: everybody has an outcome at once."""
        for end in (lambda server, link: server.leave(), lambda server, link: link.stop("enough")):
            server, link = self.connected(keep=("never",))
            link.ask("first", {}, monotonic() + PATIENCE)
            outcomes = [self.ask(link, "never") for _ in range(3)]
            for _ in outcomes:
                server.kept.get(timeout=PATIENCE)
            end(server, link)
            for each in outcomes:
                self.assertIsInstance(each.get(timeout=PROMPT), OutcomeUnknown)

    def test_alternating(self) -> None:
        """Two to sixteen threads, each with its own pauses: whoever sleeps without a waker would take its deadline."""
        for count in (2, 3, 16):
            # Pings are under way, too; twice this without a byte would be a lost server.
            _, link = self.connected(heartbeat=0.25)
            until = monotonic() + 0.7
            worst: SimpleQueue[float] = SimpleQueue()

            def work(number: int, link: Link = link, until: float = until, worst: Any = worst) -> None:
                slowest, turn = 0.0, 0
                while (began := monotonic()) < until:
                    link.ask(f"{number}", {}, began + PATIENCE)
                    slowest = max(slowest, monotonic() - began)
                    turn += 1
                    if turn % 7 == number % 7:
                        threading.Event().wait(0.0005 * (turn % 9))  # around the time that the other thread stays away
                worst.put(slowest)

            threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
            for each in threads:
                each.start()
            for _ in threads:
                self.assertLess(worst.get(timeout=PATIENCE), PROMPT)


#: Where a signal's handler may run: behind a call, at the beginning of a function, and at the end of a loop's round.
_BEHIND = frozenset({"CALL", "CALL_FUNCTION_EX", "RESUME"})


@functools.cache
def _interruptible(code: CodeType) -> frozenset[int]:
    """Offsets of the instructions before which a handler may run."""
    instructions = list(dis.get_instructions(code))
    behind = (after.offset for before, after in pairwise(instructions) if before.opname in _BEHIND)
    again = (each.argval for each in instructions if each.opname.startswith("JUMP_BACKWARD"))
    return frozenset((*behind, *again))


class Interruption:
    """Raises KeyboardInterrupt in this thread at the ``step``-th place of Fluxon's code where Ctrl+C could."""

    def __init__(self, step: int) -> None:
        self.left = step
        self.happened = False

    def __enter__(self) -> Interruption:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if "/fluxon/" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and not self.happened and frame.f_lasti in _interruptible(frame.f_code):
            if self.left == 0:
                self.happened = True
                raise KeyboardInterrupt
            self.left -= 1
        return self._trace


class InterruptedTests(ReadingTestCase):
    def attempt(self, step: int) -> bool:
        """Interrupt an ask at ``step``, while another thread waits; whether there was such a step."""
        server = Server(keep=("one", "other"))
        link = self.link_to(server)
        self.addCleanup(server.leave)
        others: SimpleQueue[Any] = SimpleQueue()
        gone = threading.Event()

        def other() -> None:
            """Asks while the first reads; both are answered at once."""
            asks: list[Ask] = []
            while (server.kept.empty() or not link._receiving.locked()) and not gone.wait(0.0002):
                pass
            outcome = self.ask(link, "other")
            while outcome.empty() and not any(each.command == "other" for each in asks):
                if server.kept.empty():
                    gone.wait(0.0002)
                else:
                    asks.append(server.kept.get())
            server.send(*map(server.answering, asks))
            others.put(outcome.get(timeout=PATIENCE))

        thread = threading.Thread(target=other)
        thread.start()
        interruption = Interruption(step)
        try:
            with interruption:
                link.ask("one", {}, monotonic() + PATIENCE)
        except KeyboardInterrupt:
            pass
        gone.set()
        serving = self.serve(link)
        try:
            outcome = others.get(timeout=PROMPT)
            self.assertTrue(outcome == "other" or link._over, (step, outcome))
            if not link._over:
                again = self.ask(link, "again").get(timeout=PROMPT)
                self.assertTrue(again == "again" or link._over, (step, again))
        finally:
            link.stop("the test is over")
            thread.join(PATIENCE)
            serving.join(PROMPT)
            server.leave()
        self.assertFalse(serving.is_alive(), step)
        self.assertFalse(link._receiving.locked() or link._lock.locked() or link._stream._sending.locked(), step)
        self.assertEqual(link._waiters, set(), step)
        return interruption.happened

    def test_at_every_step(self) -> None:
        """Ctrl+C wherever it can come in an ask: no lock stays taken, no other thread is left without its outcome."""
        step = 0
        while self.attempt(step):
            step += 1
        self.assertGreater(step, 100)
