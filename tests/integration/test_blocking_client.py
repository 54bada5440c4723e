"""``ConnectionInterface`` against a real server: one request after the other, and what can go wrong with one."""

from __future__ import annotations

import os
import socket
import threading
import time
from queue import SimpleQueue

import pytest
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.errors import (
    ConfigurationError,
    DeadlineExceeded,
    Internal,
    OutcomeUnknown,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
    UnknownView,
    Unserialisable,
)

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 20.0


@pytest.mark.usefixtures("server")
class RequestTests(SynchronousTestCase):
    """One request after the other, and what can go wrong with one."""

    def test_values_cross(self) -> None:
        """What the view returns is what the caller gets, for every kind of container and text."""
        connection = self.connect()
        for value in (None, True, -(2**63), 1.5, "naïve ✓", b"\x00\xff", [1, [2, {"a": None}]], {"k": [b"", ""]}):
            self.assertEqual(connection.send_request("echo", value), value)

    def test_named_as_in_the_documentation(self) -> None:
        """The keywords are the documented ones, and the payload may be left out."""
        connection = self.connect()
        self.assertEqual(connection.send_request(view_name="echo", payload={"a": 1}), {"a": 1})
        self.assertIsNone(connection.send_request("echo"))

    def test_errors_of_the_server(self) -> None:
        """An error of a view is raised as itself; a bug of a view tells no secret; the connection goes on."""
        connection = self.connect()
        refused = self.assertRaises(PermissionDenied, connection.send_request, "refuse")
        self.assertEqual(refused.text, "not for you")
        failed = self.assertRaises(Internal, connection.send_request, "fail")
        self.assertNotIn("secret", failed.text)
        self.assertIn("incident", failed.details)
        self.assertRaises(UnknownView, connection.send_request, "no_such_view")
        self.assertEqual(connection.send_request("echo", 1), 1)

    def test_what_cannot_be_sent(self) -> None:
        """Values that cannot cross, or are too large, are refused before anything is sent."""
        connection = self.connect()
        for value in (object(), {1: 2}, {"a": {3}}, 2**64):
            self.assertRaises(Unserialisable, connection.send_request, "echo", value)
        error = self.assertRaises(ResourceExhausted, connection.send_request, "echo", b"x" * 300_000)
        self.assertIn("file", error.text)
        self.assertEqual(connection.send_request("echo", b"x" * 200_000), b"x" * 200_000)

    def test_logging_in_allows_larger_frames(self) -> None:
        """The bound that the client keeps is the one that the server told, for who is logged in."""
        connection = self.connect()
        connection.send_request("sign_in")
        self.assertEqual(len(connection.send_request("echo", b"x" * 900_000)), 900_000)

    def test_large_answer(self) -> None:
        """Megabytes come back whole."""
        self.assertEqual(len(self.connect().send_request("large", 15_000_000)), 15_000_000)

    def test_deadline(self) -> None:
        """A view that takes too long costs its caller the timeout and no more, and says that it may have run."""
        connection = self.connect()
        connection.send_request("echo")
        began = time.monotonic()
        error = self.assertRaises(DeadlineExceeded, connection.send_request, "slow", timeout=0.2)
        self.assertLess(time.monotonic() - began, 5)
        self.assertIn("may or may not", error.text)
        self.assertEqual(connection.send_request("echo", "next"), "next")

    def test_default_timeout(self) -> None:
        """The timeout of the connection holds where the request has none of its own."""
        self.assertRaises(DeadlineExceeded, self.connect(timeout=0.3).send_request, "slow")

    def test_closed(self) -> None:
        """After close every request says so, and close may be called again."""
        connection = self.connect()
        with connection as same:
            self.assertIs(same, connection)
            connection.send_request("echo")
        self.assertIn("closed", self.assertRaises(Unavailable, connection.send_request, "echo").text)
        self.assertIn("closed", repr(connection))
        connection.close()

    def test_close_ends_what_waits(self) -> None:
        """A request under way in another thread ends at once, and its caller knows that it may have been done."""
        connection = self.connect()
        connection.send_request("echo")
        outcome: SimpleQueue[BaseException] = SimpleQueue()

        def ask() -> None:
            try:
                connection.send_request("slow")
            except BaseException as error:
                outcome.put(error)

        thread = threading.Thread(target=ask)
        thread.start()
        link = connection._line.connector.link
        assert link is not None
        while not link.conversation.asked:  # until it is sent
            time.sleep(0.001)
        connection.close()
        self.assertIsInstance(outcome.get(timeout=PATIENCE), OutcomeUnknown)
        thread.join()

    def test_threads_end(self) -> None:
        """A closed connection leaves no thread and no descriptor behind."""
        before, descriptors = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            with self.connect() as connection:
                connection.send_request("echo")
        self.assertEqual(set(threading.enumerate()) - before, set())
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), descriptors)

    def test_nobody_listens(self) -> None:
        """The first request says where nobody answers; making the connection is no error."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        with ConnectionInterface("127.0.0.1", port) as connection:
            began = time.monotonic()
            error = self.assertRaises(Unavailable, connection.send_request, "echo")
            self.assertIn(f"nobody listens at 127.0.0.1:{port}", error.text)
            self.assertLess(time.monotonic() - began, 5)

    def test_unknown_host(self) -> None:
        """A name that does not exist is told as such."""
        with ConnectionInterface("no-such-host.invalid", 8080) as connection:
            self.assertIn("no-such-host.invalid", self.assertRaises(Unavailable, connection.send_request, "x").text)

    def test_tls_client_at_a_plain_server(self) -> None:
        """The advice is to leave out secure=True."""
        with ConnectionInterface("localhost", self.server.port, secure=True) as connection:
            error = self.assertRaises(Unavailable, connection.send_request, "echo")
        self.assertIn("secure=False", error.text)

    def test_wrong_arguments(self) -> None:
        """What can never work is refused when the object is made."""
        for keywords in (
            {"host": ""},
            {"port": 0},
            {"port": "8080"},
            {"port": True},
            {"trust": "file.pem"},
        ):
            self.assertRaises(ConfigurationError, ConnectionInterface, **keywords)
