"""``wait_for_server``: a program that starts before its server."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from scripted_peer import PATIENCE, Visitor
from scripted_server import MemoryTestCase
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ANONYMOUS, Client, CloudClient, CloudStorageConnector, ConnectionInterface
from fluxon.errors import ConfigurationError, ProtocolError, Unavailable
from fluxon.wire import Ask


class DeferredTests(MemoryTestCase):
    """Programs of Twisted's, on a clock."""

    def setUp(self) -> None:
        super().setUp()
        self.server.close()

    def after(self, seconds: float) -> None:
        """Let so much time pass, in small steps."""
        for _ in range(round(seconds * 10)):
            self.server.settle(0.1)

    def waiting(self, **keywords: Any) -> tuple[Client, Deferred[Client]]:
        client = self.client(**keywords)
        return client, client.when_connected()

    def test_comes_late(self) -> None:
        """It is connected soon after the server is there, however long that took; requests have waited as well."""
        client, connected = self.waiting(wait_for_server=60)
        answer = client.call("echo", timeout=60)
        self.after(35)
        self.assertNoResult(connected)
        visiting = Deferred.fromCoroutine(self.server.visit())
        self.server.open()
        self.after(5)
        visit = self.successResultOf(visiting)
        visit.answer(self.server.now(visit.asks.get()), "here")
        self.server.settle()
        self.assertIs(self.successResultOf(connected), client)
        self.assertEqual(self.successResultOf(answer), "here")

    def test_never_comes(self) -> None:
        """When the time is over it is told why; from then on a request fails as it does by default."""
        client, connected = self.waiting(wait_for_server=60, timeout=5)
        request = client.call("echo")
        self.after(6)
        self.assertIn("nobody listens", str(self.failureResultOf(request, Unavailable).value))
        self.after(53)
        self.assertNoResult(connected)
        self.after(1.1)
        self.assertIn("nobody listens", str(self.failureResultOf(connected, Unavailable).value))
        request = client.call("echo")
        self.after(0.1)
        self.failureResultOf(request, Unavailable)

    def test_comes_at_the_last_moment(self) -> None:
        """Pauses between attempts are ten seconds by then; there is one more at the end."""
        _, connected = self.waiting(wait_for_server=60, timeout=120)
        self.after(59.9)
        self.server.open()
        self.after(0.2)
        self.server.now(self.server.visit())
        self.server.settle()
        self.successResultOf(connected)

    def test_not_asked_for(self) -> None:
        """The first attempt tells."""
        _, connected = self.waiting()
        self.server.settle()
        self.failureResultOf(connected, Unavailable)

    def test_another_kind_of_server(self) -> None:
        """Waiting does not mend it."""
        self.server.open()
        _, connected = self.waiting(wait_for_server=60)
        visit = self.server.now(self.server.come.get())
        visit.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.server.settle()
        self.assertIn("HTTP", str(self.failureResultOf(connected, ProtocolError).value))

    def test_of_the_cloud(self) -> None:
        """Its client waits as well."""
        files = CloudClient(self.clock, self.server.endpoint, wait_for_server=60, random=lambda: 0.0)
        files.startService()
        self.addCleanup(self.stop, files)
        connected = files.when_connected()
        self.after(20)
        self.assertNoResult(connected)
        visiting = Deferred.fromCoroutine(self.server.visit())
        self.server.open()
        self.after(5)
        self.successResultOf(visiting)
        self.assertIs(self.successResultOf(connected), files)

    def test_again_after_a_stop(self) -> None:
        """A service that is started once more waits once more."""
        client, connected = self.waiting(wait_for_server=60)
        self.after(61)
        self.failureResultOf(connected, Unavailable)
        self.stop(client)
        client.startService()
        connected = client.when_connected()
        self.after(30)
        self.assertNoResult(connected)
        self.stop(client)
        self.failureResultOf(connected, Unavailable)

    def test_what_is_no_time(self) -> None:
        """It is told when it is given."""
        for wrong in (-1, float("nan"), float("inf"), True, "60", None):
            for kind in (Client, CloudClient):
                self.assertRaises(ConfigurationError, kind, self.clock, self.server.endpoint, wait_for_server=wrong)


class BlockingTests(SynchronousTestCase):
    """Programs that block, and a port at which nobody listens yet."""

    def setUp(self) -> None:
        self.socket = socket.socket()
        self.addCleanup(self.socket.close)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]

    def client(self, kind: Any = ConnectionInterface, **keywords: Any) -> Any:
        client = kind("127.0.0.1", self.port, **{"random": lambda: 0.0, "timeout": PATIENCE, **keywords})
        self.addCleanup(client.close)
        return client

    def listen(self, after: float) -> None:
        """After so many seconds the server is there."""

        def serve() -> None:
            time.sleep(after)
            self.socket.listen()
            connected, _ = self.socket.accept()
            with connected:
                visitor = Visitor(connected)
                visitor.greet()
                if (ask := visitor.next(Ask)) is not None:
                    visitor.answer(ask, "here")
                    visitor.ends()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE)

    def test_comes_late(self) -> None:
        """Requests wait for it, of any number of threads, and no attempt follows the other without a pause."""
        connection = self.client(wait_for_server=PATIENCE)
        attempts = []
        connect = connection._line.connector._connect
        connection._line.connector._connect = lambda: (attempts.append(1), connect())[1]
        self.listen(0.5)
        self.assertIs(connection.when_connected(), connection)
        self.assertEqual(connection.send_request("echo"), "here")
        self.assertLess(len(attempts), 12)
        connection.close()

    def test_never_comes(self) -> None:
        """When the time is over it is told why; from then on a request fails at once."""
        began = time.monotonic()
        connection = self.client(wait_for_server=0.6)
        error = self.assertRaises(Unavailable, connection.send_request, "echo")
        self.assertIn("nobody listens", error.text)
        self.assertTrue(0.6 <= time.monotonic() - began < PATIENCE / 2)
        self.assertRaises(Unavailable, connection.when_connected)

    def test_no_longer_than_its_timeout(self) -> None:
        """A request's own time counts, and the reason is told all the same."""
        connection = self.client(wait_for_server=3_600)
        error = self.assertRaises(Unavailable, connection.send_request, "echo", timeout=0.3)
        self.assertIn("nobody listens", error.text)
        self.assertIn("nothing was sent", error.text)
        self.assertRaises(Unavailable, connection.when_connected, 0.1)

    def test_closed_meanwhile(self) -> None:
        """Who waits is told."""
        connection = self.client(wait_for_server=3_600)
        threading.Timer(0.2, connection.close).start()
        self.assertIn("closed by the program", self.assertRaises(Unavailable, connection.send_request, "echo").text)

    def test_of_the_cloud(self) -> None:
        """Its client waits as well."""
        files = self.client(CloudStorageConnector, connection=ANONYMOUS, wait_for_server=PATIENCE)
        self.listen(0.3)
        self.assertIs(files.when_connected(), files)
        files.close()  # it asks nothing, and somebody waits for that

    def test_what_is_no_time(self) -> None:
        """It is told when it is given."""
        for wrong in (-1, float("nan"), float("inf"), True, "60", None):
            self.assertRaises(ConfigurationError, self.client, wait_for_server=wrong)
            self.assertRaises(ConfigurationError, self.client, CloudStorageConnector, wait_for_server=wrong)
