"""The blocking client, what it is asked from any thread, and servers that leave, forget and say odd things."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from scripted_peer import PATIENCE, ScriptedTestCase, Visitor
from twisted.logger import globalLogPublisher

from fluxon.connect import ConnectionInterface
from fluxon.errors import DeadlineExceeded, FluxonError, Unavailable, stopping
from fluxon.wire import Answer, Ask
from fluxon.wire.messages import write_tell


def does(visitor: Visitor) -> None:
    """A server that answers whatever it is asked with ``"done"``."""
    visitor.greet()
    while (message := visitor.next(Ask)) is not None:
        visitor.answer(message, {} if message.command == "goodbye" else "done")


class LineTestCase(ScriptedTestCase):
    def in_thread(self, function: Callable[[], Any]) -> SimpleQueue[Any]:
        """Where the result of ``function``, or its error, will be."""
        outcome: SimpleQueue[Any] = SimpleQueue()

        def call() -> None:
            try:
                outcome.put(function())
            except FluxonError as error:
                outcome.put(error)

        thread = threading.Thread(target=call)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)
        return outcome

    def move_session(self, connection: ConnectionInterface) -> None:
        """Another connection of its session logged in."""
        connection.session.changed("newer", "s", True)


class RefusalTests(LineTestCase):
    """What a server refuses, and whose word that is."""

    def test_unavailable_by_its_own_word(self) -> None:
        """A view that is not available is an error of the request, at once: it is no lost connection."""

        def script(visitor: Visitor) -> None:
            visitor.greet()
            visitor.fail(visitor.ask(), Unavailable("the printer is out of paper"))
            visitor.answer(visitor.ask(), "done")
            visitor.ends()

        connection = self.serve(script)
        self.assertEqual(self.refused(connection, Unavailable).text, "the printer is out of paper")
        self.assertEqual(connection.send_request("echo"), "done")
        self.assertEqual(self.visits, 1)

    def test_a_server_that_leaves(self) -> None:
        """It says so twice and refuses what crossed that: the request is asked on the next connection."""
        for idempotent in (False, True):
            answers: list[Any] = []

            def script(visitor: Visitor, answers: list[Any] = answers) -> None:
                visitor.greet()
                ask = visitor.ask()
                for _ in range(2):
                    visitor.conversation.ask("leaving", {}, waiter=None)
                visitor.flush()
                answers += [visitor.next(Answer).value for _ in range(2)]
                visitor.fail(ask, stopping())

            connection = self.serve(script, does)
            self.assertEqual(connection.send_request("work", idempotent=idempotent), "done")
            self.assertEqual((answers, self.visits), ([{}, {}], 2))
            self.doCleanups()
            self.setUp()

    def test_leaves_while_it_hears_of_the_session(self) -> None:
        """A server that leaves refuses the hello that came before the request: that is asked on the next connection."""
        for idempotent in (False, True):
            greeted = threading.Event()

            def script(visitor: Visitor, greeted: threading.Event = greeted) -> None:
                visitor.greet()
                greeted.set()
                hello = visitor.ask()
                self.assertEqual((hello.command, hello.arguments["token"]), ("hello", "newer"))
                visitor.conversation.ask("leaving", {}, waiter=None)
                visitor.flush()
                visitor.next(Answer)
                visitor.fail(hello, stopping())

            connection = self.serve(script, does)
            self.assertTrue(greeted.wait(PATIENCE))
            connection._line.connector.wait_for_link(float("inf"))
            self.move_session(connection)
            self.assertEqual(connection.send_request("work", idempotent=idempotent), "done")
            self.assertEqual(self.visits, 2)
            self.doCleanups()
            self.setUp()

    def test_the_session_cannot_be_told(self) -> None:
        """The server's reason for not taking the hello is that of the request, which was not sent."""

        def script(visitor: Visitor) -> None:
            visitor.greet()
            visitor.answer(visitor.ask(), "done")
            visitor.fail(visitor.ask(), Unavailable("not now"))
            visitor.ends()

        for idempotent in (False, True):
            connection = self.serve(script)
            connection.send_request("echo")
            self.move_session(connection)
            error = self.assertRaises(Unavailable, connection.send_request, "work", idempotent=idempotent)
            self.assertEqual((error.text, self.visits), ("not now", 1))
            self.doCleanups()
            self.setUp()


class DeadlineTests(LineTestCase):
    """Nobody waits longer than was said, whatever else is waited for."""

    def script(self, visitor: Visitor) -> None:
        """A server that takes a newer session to no notice."""
        visitor.greet()
        visitor.answer(visitor.ask(), "done")
        self.hello.put(visitor.ask())
        visitor.ends()

    def setUp(self) -> None:
        super().setUp()
        self.hello: SimpleQueue[Ask] = SimpleQueue()

    def test_the_hello_is_not_answered(self) -> None:
        """A request that waits for a newer session to be told was certainly not sent."""
        for idempotent in (False, True):
            connection = self.serve(self.script)
            connection.send_request("echo")
            self.move_session(connection)
            error = self.assertRaises(
                DeadlineExceeded, connection.send_request, "work", timeout=0.2, idempotent=idempotent
            )
            self.assertIn("nothing was done", error.text)
            self.doCleanups()
            self.setUp()

    def test_another_thread_says_hello(self) -> None:
        """Two need it said, one says it: the other waits for that within its own time."""
        connection = self.serve(self.script)
        connection.send_request("echo")
        self.move_session(connection)
        first = self.in_thread(lambda: connection.send_request("work", timeout=PATIENCE))
        self.hello.get(timeout=PATIENCE)
        error = self.assertRaises(DeadlineExceeded, connection.send_request, "work", timeout=0.2)
        self.assertIn("nothing was done", error.text)
        connection.close()
        self.assertIsInstance(first.get(timeout=PATIENCE), Unavailable)


class ToldTests(LineTestCase):
    """What a server says of itself."""

    def test_a_function_that_asks_gives_its_turn_away(self) -> None:
        """Also when what it asks is carried out once: the next call is made while it waits."""
        order: list[str] = []

        def script(visitor: Visitor) -> None:
            visitor.greet()
            first = visitor.ask()
            for name in ("waits", "quick"):
                visitor.conversation.ask("call", {"view": name, "payload": None}, waiter=name)
            visitor.flush()
            said = [visitor.next(), visitor.next()]  # in any order
            (inner,) = (each for each in said if isinstance(each, Ask))
            (quick,) = (each for each in said if isinstance(each, Answer))
            order.append(quick.waiter)
            visitor.answer(inner, "inner")
            order.append(visitor.next().value)
            visitor.answer(first, "done")
            visitor.ends()

        connection = self.serve(script)
        connection.reverse_request_mapping(
            {"waits": lambda: connection.send_request("work", idempotent=True), "quick": lambda: None}
        )
        self.assertEqual(connection.send_request("echo"), "done")
        self.assertEqual(order, ["quick", "inner"])

    def test_tells_what_nobody_knows(self) -> None:
        """Of a newer server's it may be: it is passed over, and the connection goes on."""

        def script(visitor: Visitor) -> None:
            visitor.greet()
            ask = visitor.ask()
            visitor.send(write_tell("weather", {"rain": True}, {}))
            visitor.send(write_tell("call", {"view": "known", "payload": None}, {}))
            visitor.answer(ask, "done")
            visitor.ends()

        told = threading.Event()
        connection = self.serve(script)
        connection.reverse_request_mapping({"known": told.set})
        self.assertEqual(connection.send_request("echo"), "done")
        self.assertTrue(told.wait(PATIENCE))
        self.assertEqual(self.visits, 1)

    def test_the_session_before_the_hello(self) -> None:
        """A server that names the session's token before it has answered hello is believed: it is presented next."""

        def script(visitor: Visitor) -> None:
            hello = visitor.ask()
            visitor.conversation.ask("session", {"session": "s", "token": "early", "authenticated": True}, waiter=None)
            visitor.flush()
            self.assertEqual(visitor.next(Answer).value, {})
            visitor.heard.append(hello)
            visitor.greet()
            self.assertEqual(visitor.greet(token="newest", authenticated=True).arguments["token"], "early")
            visitor.answer(visitor.ask(), "done")
            visitor.ends()

        connection = self.serve(script)
        self.assertEqual(connection.send_request("echo"), "done")
        self.assertEqual((connection.session.token, self.visits), ("newest", 1))


class ConnectingTests(LineTestCase):
    """The connection's own thread."""

    def test_breaks_off_in_its_first_frame(self) -> None:
        """Nothing was wrong so far: it is the network, or a server that stops, and no server of another kind."""

        def script(visitor: Visitor) -> None:
            visitor.ask()
            visitor.send(b"\0\0\0")

        self.assertIn("within the server's first answer", self.refused(self.serve(script), Unavailable).text)

    def test_closed_on_its_own_thread(self) -> None:
        """As by the destructor of something that the program has thrown away: it ends without waiting for itself."""
        closed: SimpleQueue[Any] = SimpleQueue()
        may_begin = threading.Event()

        def close(event: dict[str, Any]) -> None:
            if event.get("log_format") == "connected to {where}":
                try:
                    closed.put(connection._line.close())
                except BaseException as error:
                    closed.put(error)

        def script(visitor: Visitor) -> None:
            may_begin.wait(PATIENCE)
            visitor.greet()
            visitor.ends()

        globalLogPublisher.addObserver(close)
        self.addCleanup(globalLogPublisher.removeObserver, close)
        connection = self.serve(script)
        may_begin.set()
        self.assertIsNone(closed.get(timeout=PATIENCE))
        connection._line.connector._thread.join(PATIENCE)
        self.assertFalse(connection._line.connector._thread.is_alive())
        self.assertIn("closed by the program", self.refused(connection, Unavailable).text)
