"""``ConnectionInterface``: who is logged in, over connections, restarts and TLS."""

from __future__ import annotations

import os
import threading
import time
from queue import SimpleQueue
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.errors import (
    ConfigurationError,
    OutcomeUnknown,
    ProtocolError,
    Unavailable,
    UntrustedServer,
)

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 20.0


@pytest.mark.usefixtures("server")
class SessionTests(SynchronousTestCase):
    """Who is logged in, over connections and restarts."""

    def test_login_and_logout(self) -> None:
        """The session follows login and logout, and the token with it."""
        connection = self.connect()
        self.assertIsNone(connection.send_request("who"))
        connection.send_request("sign_in")
        self.assertEqual(connection.send_request("who"), "emma")
        self.assertIn("logged in", repr(connection))
        connection.send_request("sign_out")
        self.assertIsNone(connection.send_request("who"))

    def test_two_clients_are_two_sessions(self) -> None:
        """Logging in on one says nothing about the other."""
        one, other = self.connect(), self.connect()
        one.send_request("sign_in")
        self.assertIsNone(other.send_request("who"))

    def test_shared_session(self) -> None:
        """Two connections of one session log in and out together, whichever does it."""
        one = self.connect()
        other = self.connect(session=one)
        self.assertEqual(one.send_request("session"), other.send_request("session"))
        one.send_request("sign_in")
        self.assertEqual(other.send_request("who"), "emma")
        other.send_request("sign_out")
        self.assertIsNone(one.send_request("who"))
        self.assertEqual(one.send_request("session"), other.send_request("session"))

    def test_shared_by_many_threads(self) -> None:
        """Whoever logs in while others ask on another connection costs nobody an error."""
        one = self.connect()
        other = self.connect(session=one)
        results: SimpleQueue[Any] = SimpleQueue()

        def ask() -> None:
            try:
                for _ in range(40):
                    results.put(other.send_request("echo", 1))
            except BaseException as error:
                results.put(error)

        for _ in range(4):
            threading.Thread(target=ask).start()
        for _ in range(10):
            one.send_request("sign_in")
        self.assertEqual([results.get(timeout=PATIENCE) for _ in range(160)], [1] * 160)
        self.assertEqual(other.send_request("who"), "emma")


@pytest.mark.usefixtures("servers")
class RestartTests(SynchronousTestCase):
    """The server is killed and comes back."""

    def setUp(self) -> None:
        self.server = self.new_server()
        self.addCleanup(self.server.remove)
        self.lost: SimpleQueue[str] = SimpleQueue()
        self.connection = ConnectionInterface(
            "localhost", self.server.port, random=lambda: 0.0, on_session_lost=lambda: self.lost.put("lost")
        )
        self.addCleanup(self.connection.close)

    def kill_server(self) -> None:
        """Until the client has noticed: a request sent before that has an unknown outcome, which is another test."""
        self.server.kill()
        while self.connection._line.connector.link is not None:
            time.sleep(0.001)

    def test_still_logged_in(self) -> None:
        """A request made while the server is away waits for it, and the session is still logged in."""
        self.connection.send_request("sign_in")
        answer: SimpleQueue[Any] = SimpleQueue()
        for _ in range(2):
            self.kill_server()
            threading.Thread(target=lambda: answer.put(self.connection.send_request("who"))).start()
            self.server.start()
            self.assertEqual(answer.get(timeout=PATIENCE), "emma")
        self.assertTrue(self.lost.empty())

    def test_no_call_hangs(self) -> None:
        """What was under way when the server died ends at once, with an outcome that is told to be unknown."""
        self.connection.send_request("echo")
        outcomes: SimpleQueue[Any] = SimpleQueue()

        def ask() -> None:
            try:
                outcomes.put(self.connection.send_request("slow"))
            except BaseException as error:
                outcomes.put(error)

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for each in threads:
            each.start()
        link = self.connection._line.connector.link
        assert link is not None
        while len(link.conversation.asked) < 16:
            time.sleep(0.001)
        self.server.kill()
        for _ in threads:
            self.assertIsInstance(outcomes.get(timeout=PATIENCE), OutcomeUnknown)

    def test_server_stays_away(self) -> None:
        """A request that waits for the connection ends with its own timeout, and nothing was done."""
        self.connection.send_request("echo")
        self.kill_server()
        error = self.assertRaises(Unavailable, self.connection.send_request, "echo", timeout=0.5)
        self.assertIn("nothing was sent", error.text)

    def test_lost_session_is_told(self) -> None:
        """An anonymous session lives in the server's memory; the client learns that it is another one now."""
        before = self.connection.send_request("session")
        self.kill_server()
        self.server.start()
        self.assertNotEqual(self.connection.send_request("session"), before)
        self.assertEqual(self.lost.get(timeout=PATIENCE), "lost")


@pytest.mark.usefixtures("server")
class SecureTests(SynchronousTestCase):
    """The same over TLS."""

    secure = True

    def test_request_login_reverse(self) -> None:
        """Requests, a login and a call back all work through TLS."""
        connection = self.connect()
        connection.reverse_request_mapping({"add": lambda a, b: a + b})
        request = {"name": "add", "payload": {"a": 2, "b": 3}}
        self.assertEqual(connection.send_request("call_back", request), 5)
        connection.send_request("sign_in")
        self.assertEqual(connection.send_request("who"), "emma")

    def test_sixteen_threads(self) -> None:
        """Records of many threads stay in order, and so do large ones."""
        connection = self.connect()
        payload = os.urandom(100_000)
        wrong: SimpleQueue[bool] = SimpleQueue()

        def ask() -> None:
            for _ in range(10):
                wrong.put(connection.send_request("echo", payload) != payload)

        for _ in range(16):
            threading.Thread(target=ask).start()
        self.assertEqual([wrong.get(timeout=PATIENCE) for _ in range(160)], [False] * 160)

    def test_unknown_certificate(self) -> None:
        """Without trust= the generated certificate is refused, and the text says what to pass."""
        with ConnectionInterface("localhost", self.server.port, secure=True) as connection:
            error = self.assertRaises(UntrustedServer, connection.send_request, "echo")
        self.assertIn("trust=", error.text)

    def test_wrong_host(self) -> None:
        """A certificate for other names is refused."""
        server = self.new_server(secure=True, host="127.0.0.2")
        self.addCleanup(server.remove)
        with ConnectionInterface("127.0.0.2", server.port, secure=True, trust=server.certificate) as connection:
            error = self.assertRaises(UntrustedServer, connection.send_request, "echo")
        self.assertIn("127.0.0.2", error.text)

    def test_no_such_file(self) -> None:
        """A mistyped trust= names the file."""
        connection = self.connect(trust="/nowhere/certificate.pem")
        self.assertIn("certificate.pem", self.assertRaises(ConfigurationError, connection.send_request, "echo").text)

    def test_plain_client(self) -> None:
        """The advice is secure=True."""
        with ConnectionInterface("localhost", self.server.port) as connection:
            error = self.assertRaises((ProtocolError, Unavailable), connection.send_request, "echo")
        self.assertIn("secure=True", error.text)
