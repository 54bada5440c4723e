"""A blocking client and servers that do not behave: each costs it an error that says so, never a hang."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from raw_peer import welcome
from scripted_peer import PATIENCE, ScriptedTestCase, Visitor

from fluxon.connect import connector as connector_module
from fluxon.errors import DeadlineExceeded, FluxonError, OutcomeUnknown, ProtocolError, Unavailable
from fluxon.wire import Answer, Ask, encode, frame
from fluxon.wire.messages import write_answer, write_ask, write_failed


def serve_echo(visitor: Visitor) -> None:
    """A server that behaves."""
    visitor.greet()
    while (message := visitor.next()) is not None:
        if isinstance(message, Ask):
            visitor.answer(message, message.arguments.get("payload", {}))  # a goodbye has none


class BeforeHelloTests(ScriptedTestCase):
    """Something else listens at that port."""

    def test_an_http_server(self) -> None:
        """It is named."""

        def script(visitor: Visitor) -> None:
            visitor.socket.recv(65536)
            visitor.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        self.assertIn("HTTP", self.refused(self.serve(script), ProtocolError).text)

    def test_a_server_that_speaks_first(self) -> None:
        """So is an SSH server."""
        connection = self.serve(lambda visitor: (visitor.send(b"SSH-2.0-OpenSSH_9.9\r\n"), visitor.ends()))
        self.assertIn("SSH", self.refused(connection, ProtocolError).text)

    def test_a_tls_server(self) -> None:
        """An alert gives TLS away."""
        connection = self.serve(lambda visitor: (visitor.ask(), visitor.send(b"\x15\x03\x03\x00\x02\x02\x16")))
        self.assertIn("secure=True", self.refused(connection, ProtocolError).text)

    def test_garbage(self) -> None:
        """Random bytes, a frame of no sense, an answer to nothing: none of them is a Fluxon server."""
        scripts = (
            lambda visitor: (visitor.send(os.urandom(4096)), visitor.ends()),
            lambda visitor: (visitor.send(frame(encode("hello"))), visitor.ends()),
            lambda visitor: (visitor.send(b"\0\0\0\0"), visitor.ends()),
            lambda visitor: (visitor.ask(), visitor.send(struct.pack(">IB", 2**31, 0)), visitor.ends()),
        )
        connection = self.serve(*scripts)
        for _ in scripts:
            self.refused(connection, ProtocolError)

    def test_closes_at_once(self) -> None:
        """A server that is full, or starting, is told from one that speaks something else."""
        error = self.refused(self.serve(lambda visitor: visitor.ask()), Unavailable)
        self.assertIn("closed the connection before it answered hello", error.text)

    def test_resets(self) -> None:
        """The same by a reset."""

        def script(visitor: Visitor) -> None:
            visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        self.refused(self.serve(script), Unavailable)

    def test_never_answers(self) -> None:
        """An attempt is given up, and its reason told."""
        self.patch(connector_module, "ATTEMPT", 0.3)
        error = self.refused(self.serve(Visitor.ends), Unavailable)
        self.assertIn("does not answer", error.text)

    def test_never_finishes_a_tls_handshake(self) -> None:
        """The same for TLS."""
        self.patch(connector_module, "ATTEMPT", 0.3)
        self.refused(self.serve(Visitor.ends, secure=True), Unavailable)

    def test_answers_hello_wrongly(self) -> None:
        """An answer that lacks what it needs, or has too much of it, is not taken."""
        answers: list[Any] = [None, {}, welcome(heartbeat=-1), welcome(token=7), welcome(more=1)]
        scripts = [
            lambda visitor, value=value: (visitor.answer(visitor.ask(), value), visitor.ends()) for value in answers
        ]
        connection = self.serve(*scripts)
        for _ in scripts:
            self.refused(connection, ProtocolError)

    def test_refuses_the_version(self) -> None:
        """The server's own words reach the program."""

        def script(visitor: Visitor) -> None:
            visitor.send(write_failed(visitor.ask().tag, "InvalidPayload", "update the client", {}))
            visitor.ends()

        self.assertEqual(self.refused(self.serve(script), FluxonError).text, "update the client")

    def test_comes_to_its_senses(self) -> None:
        """A port that was something else and is a Fluxon server later works, without a new object."""
        cured = threading.Event()

        def script(visitor: Visitor) -> None:
            if cured.is_set():
                serve_echo(visitor)
            else:
                visitor.send(b"HTTP/1.1 503 Busy\r\n\r\n")

        connection = self.serve(script)
        self.refused(connection, ProtocolError)
        cured.set()
        self.assertEqual(connection.send_request("echo", 2), 2)


class AfterHelloTests(ScriptedTestCase):
    """The server was right, and goes wrong."""

    def lost_then_well(self, misbehave: Callable[[Visitor, Ask], Any], words: str) -> None:
        """``misbehave`` costs the request its outcome, and the next one is answered by a new connection."""

        def script(visitor: Visitor) -> None:
            visitor.greet()
            misbehave(visitor, visitor.ask())

        connection = self.serve(script, serve_echo)
        error = self.refused(connection, OutcomeUnknown)
        self.assertIn(words, error.text)
        self.assertEqual(connection.send_request("echo", "again"), "again")
        self.assertEqual(self.visits, 2)

    def test_closes_without_an_answer(self) -> None:
        """Whether it was done is not known, and that is what is said."""
        self.lost_then_well(lambda visitor, ask: None, "closed")

    def test_closes_in_the_middle_of_an_answer(self) -> None:
        """Half an answer is none."""
        self.lost_then_well(lambda visitor, ask: visitor.send(write_answer(ask.tag, encode("x" * 999))[:500]), "closed")

    def test_sends_garbage(self) -> None:
        """A broken frame ends the connection."""
        self.lost_then_well(lambda visitor, ask: (visitor.send(b"\xff" * 99), visitor.ends()), "protocol")

    def test_answers_what_was_never_asked(self) -> None:
        """A few are forgiven, a stream of them is not."""
        stray = b"".join(write_answer(1000 + number, encode(1)) for number in range(20))
        self.lost_then_well(lambda visitor, ask: (visitor.send(stray), visitor.ends()), "never asked")

    def test_sends_a_stream_that_was_never_opened(self) -> None:
        """Raw chunks have no place in a conversation of calls."""
        chunk = frame(b"\0\0\0\x01data", 2)
        self.lost_then_well(lambda visitor, ask: (visitor.send(chunk), visitor.ends()), "never opened")

    def test_answers_twice(self) -> None:
        """The second answer goes to nobody."""

        def script(visitor: Visitor) -> None:
            visitor.greet()
            for _ in range(3):
                ask = visitor.ask()
                visitor.send(write_answer(ask.tag, encode("once")) + write_answer(ask.tag, encode("twice")))
            visitor.ends()

        connection = self.serve(script)
        self.assertEqual([connection.send_request("echo") for _ in range(3)], ["once"] * 3)

    def test_never_answers(self) -> None:
        """The caller gets its timeout, the server a Cancel, and an answer that comes late is no offence."""
        asked = []

        def script(visitor: Visitor) -> None:
            visitor.greet()
            late = visitor.ask()
            asked.append(type(visitor.next()).__name__)
            visitor.send(write_answer(late.tag, encode("late")))
            ask = visitor.ask()
            visitor.answer(ask, "in time")
            visitor.ends()

        connection = self.serve(script)
        self.assertRaises(DeadlineExceeded, connection.send_request, "echo", timeout=0.2)
        self.assertEqual(connection.send_request("echo"), "in time")
        self.assertEqual((asked, self.visits), (["Cancel"], 1))

    def test_answers_byte_by_byte(self) -> None:
        """However the bytes come, the answer is the same."""

        def script(visitor: Visitor) -> None:
            visitor.greet()
            ask = visitor.ask()
            for byte in write_answer(ask.tag, encode({"text": "slowly"})):
                visitor.send(bytes([byte]))
            visitor.ends()

        self.assertEqual(self.serve(script).send_request("echo"), {"text": "slowly"})

    def test_answers_too_much(self) -> None:
        """16 MiB are taken, a frame that claims more is not waited for."""

        def script(visitor: Visitor) -> None:
            visitor.greet()
            visitor.send(write_answer(visitor.ask().tag, encode(b"x" * (2**24 - 100))))
            visitor.ask()
            visitor.send(struct.pack(">IB", 2**24 + 1, 0) + b"x" * 1000)
            visitor.ends()

        connection = self.serve(script)
        self.assertEqual(len(connection.send_request("echo")), 2**24 - 100)
        self.assertRaises(OutcomeUnknown, connection.send_request, "echo")

    def test_never_reads(self) -> None:
        """A request that the socket does not take costs its caller the timeout, and no other thread a lock."""

        def script(visitor: Visitor) -> None:
            visitor.greet()
            done.wait(PATIENCE)

        done = threading.Event()
        connection = self.serve(script)
        self.addCleanup(done.set)
        payload = os.urandom(200_000)

        def ask() -> None:
            try:
                connection.send_request("echo", payload, timeout=1.0)
            except FluxonError as error:
                outcomes.append(error)

        outcomes: list[FluxonError] = []
        threads = [threading.Thread(target=ask) for _ in range(40)]  # more than sockets hold
        for each in threads:
            each.start()
        for each in threads:
            each.join(PATIENCE)
        self.assertEqual({type(each) for each in outcomes}, {DeadlineExceeded})
        self.assertEqual(len(outcomes), 40)

    def test_falls_silent(self) -> None:
        """Nothing at all for twice the heartbeat: the connection is given up, and another one made."""

        def script(visitor: Visitor) -> None:
            visitor.greet(heartbeat=0.2)
            visitor.ask()
            done.wait(PATIENCE)

        done = threading.Event()
        connection = self.serve(script, serve_echo)
        self.addCleanup(done.set)
        self.assertIn("nothing was heard", self.refused(connection, OutcomeUnknown).text)

    def test_is_only_quiet(self) -> None:
        """A server with nothing to say answers pings, and keeps its connection."""

        def script(visitor: Visitor) -> None:
            visitor.greet(heartbeat=0.1)
            visitor.answer(visitor.ask(), 1)
            end = time.monotonic() + 1.0
            visitor.socket.settimeout(1.0)
            while time.monotonic() < end:
                visitor.conversation.receive(visitor.socket.recv(65536))
                pings.append(len(visitor.conversation.output))
                visitor.flush()
            serve_rest(visitor)

        def serve_rest(visitor: Visitor) -> None:
            visitor.socket.settimeout(PATIENCE)
            while (message := visitor.next()) is not None:
                visitor.answer(message, 2)

        pings: list[int] = []
        connection = self.serve(script)
        self.assertEqual(connection.send_request("echo"), 1)
        while len(pings) < 5:
            time.sleep(0.01)
        self.assertEqual((self.visits, sum(pings)), (1, len(pings)))


class CallingTests(ScriptedTestCase):
    """A server that calls the client in ways it should not."""

    def calls(self, *asks: tuple[str, dict[str, Any]]) -> list[Any]:
        """What the client answers to these asks, which it gets in one piece."""
        answers: dict[int, Any] = {}

        def script(visitor: Visitor) -> None:
            visitor.greet()
            first = visitor.ask()
            for command, arguments in asks:
                visitor.conversation.ask(command, arguments, waiter=len(answers))
                answers[len(answers)] = None
            visitor.flush()
            for _ in asks:
                message = visitor.next()
                answers[message.waiter] = message.value if isinstance(message, Answer) else message.code
            visitor.answer(first, "done")
            visitor.ends()

        connection = self.serve(script)
        connection.reverse_request_mapping(
            {
                "unserialisable": lambda: object(),
                "huge": lambda: b"x" * 2_000_000,
                "exits": lambda: exit(1),
                "fine": lambda: "fine",
            }
        )
        self.assertEqual(connection.send_request("echo"), "done")
        self.assertEqual(self.visits, 1)
        return [answers[number] for number in range(len(asks))]

    def call(self, name: Any, payload: Any = None) -> tuple[str, dict[str, Any]]:
        return "call", {"view": name, "payload": payload}

    def test_every_call_has_its_answer(self) -> None:
        """Whatever the server asks, and whatever a function does, it is answered and the connection lives."""
        answers = self.calls(
            self.call("fine"),
            self.call("nothing"),
            self.call("fine", {"unknown": 1}),
            self.call("unserialisable"),
            self.call("huge"),
            self.call("exits"),
            self.call(7),
            self.call(""),
            ("call", {}),
            ("session", {"token": 3}),
            ("upload", {}),
            self.call("fine"),
        )
        self.assertEqual(answers[0], "fine")
        self.assertEqual(answers[1:4], ["UnknownView", "InvalidPayload", "Unserialisable"])
        self.assertIn(answers[4], ("Unserialisable", "ResourceExhausted"))
        self.assertEqual(
            answers[5:10], ["Internal", "InvalidPayload", "InvalidPayload", "InvalidPayload", "InvalidPayload"]
        )
        self.assertEqual(answers[10:], ["NotFound", "fine"])
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)

    def test_cancelled_before_its_turn(self) -> None:
        """A call that the server gave up on while it waited does not run."""
        ran: list[str] = []
        go_on = threading.Event()

        def script(visitor: Visitor) -> None:
            visitor.greet()
            first = visitor.ask()
            visitor.conversation.ask("call", {"view": "wait", "payload": None}, waiter="wait")
            waiting = visitor.conversation.ask("call", {"view": "run", "payload": None}, waiter="run")
            visitor.conversation.abandon(waiting)
            visitor.flush()
            # Its answer, Cancelled, is swallowed by the conversation; only then may the function before it end.
            visitor.conversation.ping()
            visitor.flush()
            visitor.socket.recv(65536)
            go_on.set()
            visitor.answer(first, "done")
            visitor.ends()

        connection = self.serve(script)
        connection.reverse_request_mapping({"wait": lambda: go_on.wait(PATIENCE), "run": lambda: ran.append("run")})
        self.assertEqual(connection.send_request("echo"), "done")
        self.assertEqual(ran, [])

    def test_late_for_its_deadline(self) -> None:
        """A call whose time was up before its turn came is not made."""
        ran: list[str] = []
        codes: list[Any] = []

        def script(visitor: Visitor) -> None:
            visitor.greet()
            first = visitor.ask()
            visitor.conversation.ask("call", {"view": "wait", "payload": None}, waiter="wait")
            visitor.conversation.ask("call", {"view": "run", "payload": None}, waiter="run", timeout=0.05)
            visitor.flush()
            for _ in range(2):
                message = visitor.next()
                codes.append(getattr(message, "code", "answered"))
            visitor.answer(first, "done")
            visitor.ends()

        connection = self.serve(script)
        connection.reverse_request_mapping({"wait": lambda: time.sleep(0.2), "run": lambda: ran.append("run")})
        self.assertEqual(connection.send_request("echo"), "done")
        self.assertEqual((ran, codes), ([], ["answered", "DeadlineExceeded"]))

    def test_floods(self) -> None:
        """Far more calls at once than a client takes are refused one by one, and the connection lives."""
        refused: list[Any] = []

        def script(visitor: Visitor) -> None:
            visitor.greet()
            first = visitor.ask()
            visitor.send(
                b"".join(
                    write_ask(number, "call", {"view": "fine", "payload": None}, None, {}) for number in range(2_000)
                )
            )
            for number in range(2_000):
                visitor.conversation.asked[number] = _asked()
            for _ in range(2_000):
                refused.append(getattr(visitor.next(), "code", "answered"))
            visitor.answer(first, "done")
            visitor.ends()

        connection = self.serve(script)
        connection.reverse_request_mapping({"fine": lambda: None})
        self.assertEqual(connection.send_request("echo"), "done")
        self.assertEqual(len(refused), 2_000)
        self.assertLessEqual(set(refused), {"answered", "ResourceExhausted"})
        self.assertEqual(self.visits, 1)


def _asked() -> Any:
    from fluxon.wire.conversation import Asked

    return Asked(None, None, None)
