"""A server on a real socket whose every word is a test's, for the clients that block: as right as its test wants it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from raw_peer import RawPeer, welcome
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ANONYMOUS, CloudStorageConnector, ConnectionInterface
from fluxon.errors import FluxonError
from fluxon.wire import Ask

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 10.0

T = TypeVar("T")


class Visitor(RawPeer):
    """One client at a server that a test scripts."""

    polite = True

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(PATIENCE)
        super().__init__(connected, receive_limit=2**20, stream_limit=10)

    def ask(self) -> Ask:
        message = self.next()
        assert isinstance(message, Ask), message
        return message

    def answer(self, ask: Ask, value: Any) -> None:
        self.conversation.answer(ask.tag, value)
        self.flush()

    def fail(self, ask: Ask, error: FluxonError) -> None:
        self.conversation.fail(ask.tag, error)
        self.flush()

    def greet(self, **changes: Any) -> Ask:
        """Answer the hello as a server should."""
        hello = self.ask()
        assert hello.command == "hello"
        self.answer(hello, welcome(**changes))
        return hello


class ScriptedTestCase(SynchronousTestCase):
    """Each connection goes through the test's scripts, one script a connection, the last one for all that follow."""

    def setUp(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.visits = 0
        self.problems: list[BaseException] = []
        self._scripts: tuple[Callable[[Visitor], Any], ...] = ()
        self._thread = threading.Thread(target=self._accept)

    def serve(self, *scripts: Callable[[Visitor], Any], **keywords: Any) -> ConnectionInterface:
        """A client of a server that follows ``scripts``."""
        return self._serve(scripts, ConnectionInterface, keywords)

    def serve_cloud(self, *scripts: Callable[[Visitor], Any], **keywords: Any) -> CloudStorageConnector:
        """A stranger's client of a cloud that follows ``scripts``."""
        return self._serve(scripts, CloudStorageConnector, {"connection": ANONYMOUS, **keywords})

    def _serve(self, scripts: tuple[Callable[[Visitor], Any], ...], kind: type[T], keywords: dict[str, Any]) -> T:
        self._scripts = scripts
        self._thread.start()
        self.addCleanup(self._stop)
        client: Any = kind("127.0.0.1", self.port, **{"random": lambda: 0.0, "timeout": 5, **keywords})
        self.addCleanup(client.close)
        return client

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self.listening.accept()
            except OSError:
                return
            script = self._scripts[min(self.visits, len(self._scripts) - 1)]
            self.visits += 1
            with connected:
                try:
                    script(Visitor(connected))
                except ConnectionError:
                    pass  # the client left in the middle
                except BaseException as error:
                    self.problems.append(error)

    def _stop(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self.listening.close()
        self.assertEqual(self.problems, [])

    def refused(self, connection: ConnectionInterface, *kinds: type[FluxonError]) -> FluxonError:
        """The error of a request, which comes well before its timeout."""
        began = time.monotonic()
        error: FluxonError = self.assertRaises(kinds, connection.send_request, "echo", 1)
        self.assertLess(time.monotonic() - began, 4)
        return error
