"""From a host and a port to a connected socket, within a deadline."""

from __future__ import annotations

import socket
from time import monotonic

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.arguments import Address
from fluxon.connect.dial import dial, shake_hands
from fluxon.errors import Unavailable
from fluxon.security.tls import client_tls


class DeadlineTests(SynchronousTestCase):
    def test_no_time_is_left_for_tls(self) -> None:
        """Connecting took all of it: nothing is sent any more, and the reason is that the server was slow."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        where = Address("127.0.0.1", listening.getsockname()[1])
        connected = dial(where, monotonic() + 10)
        self.addCleanup(connected.close)
        error = self.assertRaises(
            Unavailable, shake_hands, connected, client_tls("localhost", None), where, monotonic() - 1
        )
        self.assertIn("does not answer", error.text)
        server, _ = listening.accept()
        self.addCleanup(server.close)
        server.setblocking(False)
        self.assertRaises(BlockingIOError, server.recv, 1)
