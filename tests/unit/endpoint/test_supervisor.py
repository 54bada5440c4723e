"""Readiness and stopping, as a supervisor hears of them."""

from __future__ import annotations

import os
import socket
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from fluxon.endpoint import supervisor


class TellTests(SynchronousTestCase):
    def listen(self, address: str | bytes) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.bind(address)
        made.settimeout(5)
        return made

    def test_a_socket_in_a_folder(self) -> None:
        """What is told arrives as one datagram."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "notify")
            listening = self.listen(path)
            self.assertTrue(supervisor.tell(supervisor.READY, {"NOTIFY_SOCKET": path}))
            self.assertEqual(listening.recv(100), b"READY=1")

    def test_an_abstract_socket(self) -> None:
        """Linux's names without a folder begin with @."""
        name = f"fluxon-test-{os.getpid()}"
        listening = self.listen("\0" + name)
        self.assertTrue(supervisor.tell(supervisor.STOPPING, {"NOTIFY_SOCKET": "@" + name}))
        self.assertEqual(listening.recv(100), b"STOPPING=1")

    def test_nobody(self) -> None:
        """Without a supervisor, or with one that is gone, nothing happens."""
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/x"}, {"NOTIFY_SOCKET": "vsock:2:1"}):
            self.assertFalse(supervisor.tell(supervisor.READY, environ))

    def test_full(self) -> None:
        """One that does not listen keeps nobody waiting."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "notify")
            self.listen(path)
            told = [supervisor.tell(supervisor.READY, {"NOTIFY_SOCKET": path}) for _ in range(2_000)]
            self.assertIn(False, told)
