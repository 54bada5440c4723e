"""What a person is told when there is no connection."""

from __future__ import annotations

import errno
import socket

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import reasons
from fluxon.connect.arguments import Address
from fluxon.errors import ProtocolError, Unavailable


class ReasonsTests(SynchronousTestCase):
    def test_connecting(self) -> None:
        """Each failure of the network names host and port and what to check."""
        for error, words in (
            (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "nobody listens at example.org:8080"),
            (TimeoutError(), "example.org:8080 does not answer"),
            (socket.gaierror(-2, "unknown"), "the name 'example.org' is not known"),
            (UnicodeError(), "the name 'example.org' is not known"),
            (OSError(errno.EHOSTUNREACH, "unreachable"), "no way to example.org:8080"),
            (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        ):
            found = reasons.not_connected(Address("example.org", 8080), error)
            self.assertIsInstance(found, Unavailable)
            self.assertIn(words, found.text)

    def test_other_servers_are_recognised(self) -> None:
        """What the first bytes give away is said."""
        for received, words in (
            (b"\x15\x03\x03\x00", "secure=True"),
            (b"HTTP/1.1", "HTTP"),
            (b"SSH-2.0-", "SSH"),
            (b"\xff\xff\xff\xff", "does not speak Fluxon's protocol"),
        ):
            found = reasons.not_fluxon(Address("localhost", 8080), received, "why", secure=False)
            self.assertIsInstance(found, ProtocolError)
            self.assertIn(words, found.text)
            self.assertIn("localhost:8080", found.text)

    def test_broken_off(self) -> None:
        """Half a word of Fluxon's is a lost connection; one of another protocol's still gives that away."""
        where = Address("localhost", 8080)
        self.assertIsInstance(reasons.broke_off(where, b"\0\0\1", secure=False), Unavailable)
        self.assertIn("SSH", reasons.broke_off(where, b"SSH-", secure=False).text)

    def test_waiting_or_giving_up(self) -> None:
        """Waiting helps when the server was there before and the trouble is one that passes."""
        passing, lasting = Unavailable("away"), ProtocolError("not Fluxon")
        self.assertTrue(reasons.gives_up(passing, patient=False))
        self.assertFalse(reasons.gives_up(passing, patient=True))
        self.assertTrue(reasons.gives_up(lasting, patient=True))
