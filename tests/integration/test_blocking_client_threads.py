"""``ConnectionInterface`` in many threads, in processes of its own, and called by its server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from queue import SimpleQueue
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.errors import Internal, OutcomeUnknown, UnknownView

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 20.0


@pytest.mark.usefixtures("server")
class ThreadTests(SynchronousTestCase):
    """Many threads, and threads of others."""

    def test_sixteen_threads(self) -> None:
        """Every answer goes to the one who asked."""
        connection = self.connect()
        wrong: list[Any] = []

        def ask(number: int) -> None:
            for count in range(200):
                value = {"thread": number, "count": count, "text": "x" * (count * 7 % 900)}
                if connection.send_request("echo", value) != value:
                    wrong.append(value)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(PATIENCE * 3)
        self.assertEqual([each for each in threads if each.is_alive()], [])
        self.assertEqual(wrong, [])

    def test_more_at_once_than_the_server_takes(self) -> None:
        """Requests beyond the server's cap wait for their place instead of failing."""
        connection = self.connect()
        answers: SimpleQueue[Any] = SimpleQueue()

        def ask(number: int) -> None:
            answers.put(connection.send_request("echo", number))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(300)]
        for each in threads:
            each.start()
        self.assertEqual(sorted(answers.get(timeout=PATIENCE) for _ in threads), list(range(300)))

    def test_neither_end_blocks_the_other(self) -> None:
        """Large payloads both ways from many threads: sockets full in both directions do not stop the traffic."""
        connection = self.connect()
        payload = os.urandom(250_000)
        wrong: SimpleQueue[bool] = SimpleQueue()

        def ask() -> None:
            for _ in range(5):
                wrong.put(connection.send_request("echo", payload) != payload)

        for _ in range(12):
            threading.Thread(target=ask).start()
        self.assertEqual([wrong.get(timeout=PATIENCE) for _ in range(60)], [False] * 60)

    def test_after_a_fork(self) -> None:
        """The child is told to make its own connection; closing there does not hurt the parent's."""
        connection = self.connect()
        connection.send_request("echo")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                connection.send_request("echo")
            except RuntimeError as error:
                status = 0 if "fork" in str(error) else 2
                connection.close()
            finally:
                os._exit(status)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertEqual(connection.send_request("echo", "still there"), "still there")

    def test_on_the_reactor_thread(self) -> None:
        """It would block everything, so it is refused, and the alternative is named."""
        from twisted.python import threadable

        connection = self.connect()
        connection.send_request("echo")
        before = threadable.ioThread
        threadable.registerAsIOThread()
        try:
            error = self.assertRaises(RuntimeError, connection.send_request, "echo")
        finally:
            threadable.ioThread = before
        self.assertIn("fluxon.connect.connect", str(error))

    def test_ctrl_c(self) -> None:
        """Ctrl+C ends a waiting request at once, tells the server, and the connection can be used afterwards."""
        connection = self.connect()
        connection.send_request("echo")
        link = connection._line.connector.link
        assert link is not None

        def interrupt() -> None:
            while not link.conversation.asked:
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)

        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        thread = threading.Thread(target=interrupt)
        thread.start()
        self.assertRaises(KeyboardInterrupt, connection.send_request, "slow")
        thread.join()
        self.assertEqual(connection.send_request("echo", 1), 1)
        self.assertEqual(dict(link.conversation.asked), {})

    def test_interpreter_ends(self) -> None:
        """A program that forgets to close, even in the middle of a request of another thread, ends all the same."""
        program = (
            "import sys, threading\n"
            "from fluxon.connect import ConnectionInterface\n"
            "connection = ConnectionInterface('localhost', int(sys.argv[1]))\n"
            "print(connection.send_request('echo', 'hello'))\n"
            "threading.Thread(target=connection.send_request, args=('slow',), daemon=True).start()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(self.server.port)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "hello\n", ""))


@pytest.mark.usefixtures("server")
class ReverseTests(SynchronousTestCase):
    """The server calls."""

    def test_called_with_the_payload(self) -> None:
        """A dict is keyword arguments; the function's result travels back."""
        connection = self.connect()
        connection.reverse_request_mapping({"add": lambda a, b: a + b, "first": lambda items: items[0]})
        request = {"name": "add", "payload": {"a": 2, "b": 3}}
        self.assertEqual(connection.send_request("call_back", request), 5)
        self.assertEqual(connection.send_request("call_back", {"name": "first", "payload": [7, 8]}), 7)

    def test_unknown_function(self) -> None:
        """The view gets UnknownView, as a client would."""
        request = {"name": "nothing", "payload": None}
        self.assertRaises(UnknownView, self.connect().send_request, "call_back", request)

    def test_failing_function(self) -> None:
        """A function's bug is logged here under an incident, and is an error there."""
        connection = self.connect()

        def broken() -> None:
            raise ZeroDivisionError

        connection.reverse_request_mapping({"broken": broken})
        error = self.assertRaises(Internal, connection.send_request, "call_back", {"name": "broken", "payload": None})
        self.assertIn("incident", error.details)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_function_asks_the_server(self) -> None:
        """A function that calls send_request does not deadlock, three calls deep."""
        connection = self.connect()

        def down(level: int) -> Any:
            if level == 0:
                return "bottom"
            return connection.send_request("call_back", {"name": "down", "payload": {"level": level - 1}})

        connection.reverse_request_mapping({"down": down})
        self.assertEqual(connection.send_request("call_back", {"name": "down", "payload": {"level": 3}}), "bottom")

    def test_called_while_it_asks(self) -> None:
        """Threads that ask and are called, by functions that ask in turn, with a heartbeat: nobody is held up."""
        connection = self.connect(heartbeat=0.05)
        connection.reverse_request_mapping({"back": lambda value: connection.send_request("echo", value)})
        until = time.monotonic() + 2
        worst: SimpleQueue[float] = SimpleQueue()

        def work(number: int) -> None:
            slowest, turn = 0.0, 0
            while (began := time.monotonic()) < until:
                turn += 1
                if turn % 3:
                    answer = connection.send_request("echo", [number, turn])
                else:
                    request = {"name": "back", "payload": {"value": [number, turn]}}
                    answer = connection.send_request("call_back", request)
                slowest = max(slowest, time.monotonic() - began if answer == [number, turn] else PATIENCE)
            worst.put(slowest)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for each in threads:
            each.start()
        for _ in threads:
            self.assertLess(worst.get(timeout=PATIENCE), 1.0)

    def test_in_order(self) -> None:
        """Messages arrive in the order in which the server sent them, none twice."""
        connection = self.connect()
        got: list[int] = []
        connection.reverse_request_mapping({"told": lambda number: got.append(number)})
        connection.send_request("sign_in")
        for number in range(50):
            self.assertTrue(connection.send_request("tell_user", {"number": number}))
        self.assertEqual(got, list(range(50)))


@pytest.mark.usefixtures("servers")
class DeathTests(SynchronousTestCase):
    """The server is killed."""

    def test_with_every_thread_in_a_request(self) -> None:
        """Over TLS and without: each thread that waits is told at once that nobody knows whether it was done."""
        for secure in (False, True):
            server = self.new_server(secure=secure)
            self.addCleanup(server.remove)
            trust = {"secure": True, "trust": server.certificate} if secure else {}
            with ConnectionInterface("localhost", server.port, **trust) as connection:
                connection.send_request("echo")
                link = connection._line.connector.link
                assert link is not None
                outcomes: SimpleQueue[Any] = SimpleQueue()

                def ask(connection: ConnectionInterface = connection, outcomes: Any = outcomes) -> None:
                    try:
                        outcomes.put(connection.send_request("slow"))
                    except BaseException as error:
                        outcomes.put(error)

                threads = [threading.Thread(target=ask) for _ in range(8)]
                for each in threads:
                    each.start()
                while len(link.conversation.asked) < len(threads):
                    time.sleep(0.001)
                connection.send_request("echo")  # behind all of them
                server.kill()
                for _ in threads:
                    self.assertIsInstance(outcomes.get(timeout=1.0), OutcomeUnknown)
