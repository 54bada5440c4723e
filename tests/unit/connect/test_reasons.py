"""What a person is told when there is no connection."""

from __future__ import annotations

import errno
import socket

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import reasons
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
            found = reasons.not_connected("example.org", 8080, error)
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
            found = reasons.not_fluxon("localhost", 8080, received, "why", secure=False)
            self.assertIsInstance(found, ProtocolError)
            self.assertIn(words, found.text)
            self.assertIn("localhost:8080", found.text)

    def test_ipv6_addresses_are_written_as_such(self) -> None:
        """A port after a bare IPv6 address could not be told from the address."""
        self.assertEqual(reasons.place("::1", 8080), "[::1]:8080")
