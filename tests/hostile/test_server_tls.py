"""The whole server behind TLS, and peers that break TLS, or hide behind it."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from fluxon.wire.messages import write_ask

MIB = 1024 * 1024


@pytest.mark.usefixtures("server")
class TLSCase(SynchronousTestCase):
    server: Any
    secure = True
    limits = {"handshake": 1.0, "output_stalled": 2.0}

    def plain(self) -> socket.socket:
        """A connection to the TLS port without any."""
        connected = socket.create_connection(("127.0.0.1", self.server.port), timeout=5)
        self.addCleanup(connected.close)
        return connected

    def assert_ends(self, connected: socket.socket, within: float = 2.5) -> None:
        began = time.monotonic()
        try:
            while connected.recv(65_536):
                pass
        except ConnectionError:
            pass
        self.assertLess(time.monotonic() - began, within)


class HandshakeTests(TLSCase):
    def test_garbage(self) -> None:
        """No TLS at all, and TLS that goes wrong in its first record."""
        hello = write_ask(1, "hello", {"version": 1, "token": None, "seen": 0, "features": []}, None, {})
        for data in (b"GET / HTTP/1.1\r\n\r\n", hello, b"\x16\x03\x01\x00\x05hello", b"\0" * 100, b"\xff" * 70_000):
            connected = self.plain()
            connected.sendall(data)
            self.assert_ends(connected)
        self.assertEqual(self.server.result("echo", 1), 1)

    def test_never_finished(self) -> None:
        """Handshakes that are not begun, begun, dripped: gone when hello should have been said."""
        client_hello = self._client_hello()
        crowd = [self.plain() for _ in range(30)]
        for number, connected in enumerate(crowd):
            connected.sendall(client_hello[: (0, 1, 5, 100, len(client_hello))[number % 5]])
        for connected in crowd:
            self.assert_ends(connected)
        self.assertEqual(self.server.until(lambda state: state["peers"] == 1)["peers"], 1)

    def _client_hello(self) -> bytes:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        assert self.server.context is not None
        half = self.server.context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            half.do_handshake()
        return outgoing.read()

    def test_no_hello(self) -> None:
        """A finished handshake and nothing more."""
        with self.server.visit() as visitor:
            self.assertTrue(visitor.ends(2.5))


class ConversationTests(TLSCase):
    def test_offence(self) -> None:
        """A broken frame ends it at once, though the peer never answers a goodbye; what it pushes is not read."""
        before = self.server.state()["resident"]
        with self.server.visit() as visitor:
            visitor.greet()
            visitor.send(b"\xff" * 8)
            sent = 0
            visitor.socket.settimeout(5)
            try:
                while sent < 64 * MIB:
                    visitor.send(b"x" * 65_536)
                    sent += 65_536
            except OSError:
                pass
            self.assertLess(sent, 32 * MIB)
        self.assertLess(self.server.state()["resident"] - before, 16 * MIB)

    def test_goodbye_withheld(self) -> None:
        """Connections cut without close_notify are gone from the server, and leave nothing."""
        before = self.server.until(lambda state: state["peers"] == 1)
        for _ in range(20):
            visitor = self.server.visit().greet()
            visitor.put_call("echo", "x" * 1_000)
            visitor.flush()
            visitor.socket.close()
        after = self.server.until(lambda state: state["peers"] == 1)
        for key in ("peers", "descriptors", "sessions", "working"):
            self.assertLessEqual(after[key], before[key], key)

    def test_goodbye_unanswered(self) -> None:
        """The server says goodbye, and the client neither answers nor leaves: aborted within seconds."""
        visitors = [self.server.visit().greet() for _ in range(5)]
        for visitor in visitors:
            self.addCleanup(visitor.socket.close)
            visitor.call("hang_up")
        self.assertEqual(self.server.until(lambda state: state["peers"] == 1)["peers"], 1)

    def test_renegotiation(self) -> None:
        """A TLS 1.2 client cannot make the server do handshakes over and over."""
        from OpenSSL import SSL

        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        plain = self.plain()
        plain.settimeout(None)
        connection = SSL.Connection(context, plain)
        connection.set_tlsext_host_name(b"localhost")
        connection.set_connect_state()
        connection.do_handshake()
        try:
            connection.renegotiate()
            connection.do_handshake()
        except (SSL.Error, OSError):
            pass
        self.assertLessEqual(connection.total_renegotiations(), 1)
        self.assertEqual(self.server.result("echo", 1), 1)

    def test_large_answers(self) -> None:
        """Answers larger than any buffer, to a reader with a tiny one: whole, and in order."""
        with self.server.visit(receive_buffer=4_096) as visitor:
            visitor.greet()
            tags = [visitor.put_call("make", size) for size in (3 * MIB, 10, 700_000, 0)]
            tags.append(visitor.put_call("later", 2 * MIB))
            visitor.flush()
            self.assertEqual([len(visitor.outcome(tag)) for tag in tags], [3 * MIB, 10, 700_000, 0, 2 * MIB])

    def test_never_reads(self) -> None:
        """Over TLS, too, who does not read costs little and is given up."""
        before = self.server.state()["resident"]
        with self.server.visit(receive_buffer=4_096) as visitor:
            visitor.greet()
            for _ in range(100):
                visitor.put_call("make", 500_000)
            visitor.flush()
            state = self.server.state()
            self.assertLess(state["backlog"], 5 * MIB)
            self.assertLess(state["resident"] - before, 12 * MIB)
            self.assertEqual(self.server.until(lambda state: state["peers"] == 1)["peers"], 1)
