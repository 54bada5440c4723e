"""BlockingTLS against a real Twisted server: many threads, both directions at once, and endings of every kind."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase
from zope.interface import implementer

from fluxon.errors import Unavailable
from fluxon.security import Secrets
from fluxon.security.tls import BlockingTLS, ServerTLS, client_tls


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


@implementer(IHandshakeListener)
class Deaf(Protocol):
    """Sends 4 MB and never reads."""

    def handshakeCompleted(self) -> None:
        assert self.transport is not None
        self.transport.write(b"x" * 4_000_000)
        self.transport.pauseProducing()


class Watched(BlockingTLS):
    """Tells when its reader is about to wait for the socket."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.waiting = threading.Event()

    def _receive(self, deadline: float | None) -> bytes:
        self.waiting.set()
        return super()._receive(deadline)


class BlockingCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.secrets = Secrets(Path(self.mktemp()))
        self.secrets.open()

    @inlineCallbacks
    def against(self, protocol: type[Protocol], client: Callable[[Watched], Any]) -> Any:
        """``client``'s result, run in a thread on a connection to a server that speaks ``protocol``."""
        creator = ServerTLS(self.secrets.certificate_path, self.secrets.key_path)
        endpoint = SSL4ServerEndpoint(reactor, 0, creator, interface="127.0.0.1")
        port = yield endpoint.listen(Factory.forProtocol(protocol))
        self.addCleanup(port.stopListening)
        number = port.getHost().port

        def run() -> Any:
            tls = self.connected(number)
            try:
                tls.handshake(timeout=10)
                return client(tls)
            finally:
                tls.close()

        return (yield deferToThread(run))

    def connected(self, port: int) -> Watched:
        trust = self.secrets.certificate_path
        return Watched(socket.create_connection(("127.0.0.1", port), timeout=10), client_tls("127.0.0.1", trust))


def _exactly(tls: BlockingTLS, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = tls.recv(timeout=20)
        assert part, "the connection ended early"
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class TrafficTests(BlockingCase):
    def test_many_writers(self) -> Any:
        """16 threads' messages, of 1 byte to 100 KB, come back whole, each in one piece, none lost or doubled."""
        each, threads = 40, 16

        def client(tls: BlockingTLS) -> None:
            expected: set[bytes] = set()
            errors: list[BaseException] = []
            guard = threading.Lock()

            def write(number: int) -> None:
                chance = random.Random(number)
                try:
                    for _ in range(each):
                        body = chance.randbytes(chance.choice((1, 60, 1_000, 16_384, 16_385, 100_000)))
                        with guard:
                            expected.add(hashlib.sha256(body).digest())
                        tls.sendall(struct.pack(">I", len(body)) + body)
                except BaseException as error:
                    errors.append(error)

            writers = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(threads)]
            for writer in writers:
                writer.start()
            seen = []
            for _ in range(each * threads):
                (size,) = struct.unpack(">I", _exactly_buffered(tls, 4))
                seen.append(hashlib.sha256(_exactly_buffered(tls, size)).digest())
            for writer in writers:
                writer.join(10)
            self.assertEqual(errors, [])
            self.assertEqual(set(seen), expected)

        kept = bytearray()

        def _exactly_buffered(tls: BlockingTLS, size: int) -> bytes:
            while len(kept) < size:
                part = tls.recv(timeout=20)
                assert part, "the connection ended early"
                kept.extend(part)
            result = bytes(kept[:size])
            del kept[:size]
            return result

        return self.against(Echo, client)

    def test_big_payloads_both_ways(self) -> Any:
        """16 MiB there while 16 MiB come back: neither direction waits for the other to finish."""
        payload = os.urandom(1024 * 1024) * 16

        def client(tls: BlockingTLS) -> None:
            writer = threading.Thread(target=tls.sendall, args=(memoryview(payload),), daemon=True)
            writer.start()
            self.assertEqual(hashlib.sha256(_exactly(tls, len(payload))).digest(), hashlib.sha256(payload).digest())
            writer.join(10)

        return self.against(Echo, client)

    def test_sizes(self) -> Any:
        """Around the edges of a record and of our own slices, and for nothing at all, bytes come back as they were."""

        def client(tls: BlockingTLS) -> None:
            tls.sendall(b"")
            for edge in (1, 16_384, 65_536, 131_072):
                for size in (edge - 1, edge, edge + 1):
                    payload = os.urandom(size)
                    tls.sendall(bytearray(payload))
                    self.assertEqual(_exactly(tls, size), payload)
            tls.sendall(b"0123456789")
            self.assertEqual([tls.recv(4), tls.recv(4), tls.recv(4)], [b"0123", b"4567", b"89"])
            self.assertEqual(tls.version, "TLSv1.3")

        return self.against(Echo, client)

    def test_reads_while_a_writer_is_stuck(self) -> Any:
        """A peer that sends and never reads holds up the writers, not the reader; close() frees the writers."""

        def client(tls: BlockingTLS) -> None:
            outcome: list[BaseException] = []

            def write() -> None:
                try:
                    tls.sendall(b"y" * 64_000_000)
                except BaseException as error:
                    outcome.append(error)

            writer = threading.Thread(target=write, daemon=True)
            writer.start()
            self.assertEqual(len(_exactly(tls, 4_000_000)), 4_000_000)
            self.assertTrue(writer.is_alive(), "the reader has everything and the writer is still stuck")
            self.assertRaises(TimeoutError, tls.sendall, b"z", 0.05)
            tls.close()
            writer.join(10)
            self.assertIsInstance(outcome[0], OSError)

        return self.against(Deaf, client)

    def test_bounded_sending(self) -> Any:
        """A sendall that does not finish in time ends the connection: half a message cannot be taken back."""

        def client(tls: BlockingTLS) -> None:
            self.assertRaises(TimeoutError, tls.sendall, b"y" * 64_000_000, 0.2)
            self.assertRaises(OSError, tls.sendall, b"after half a message")
            self.assertEqual(tls.recv(), b"")

        return self.against(Deaf, client)

    def test_answers_behind_a_writer(self) -> Any:
        """What reading has to send while a writer is busy goes out behind it, though the reader waits again by then."""
        ended = threading.Event()

        class Ends(Protocol):
            def connectionLost(self, reason: Failure = connectionDone) -> None:
                ended.set()

        class Busy(Watched):
            def _send(self, deadline: float | None) -> None:
                super()._send(deadline)
                # In the last moment before the writer lets go, as the reader would (a goodbye stands for any answer).
                self._connection.shutdown()
                reader = threading.Thread(target=self._flush)
                reader.start()
                reader.join()

        def client(tls: Watched) -> None:
            tls.__class__ = Busy
            tls.sendall(b"x")
            self.assertTrue(ended.wait(10), "the goodbye never reached the server")

        return self.against(Ends, client)

    def test_receive_timeout(self) -> Any:
        """recv gives up in time and can be called again: nothing is lost."""

        def client(tls: BlockingTLS) -> None:
            self.assertRaises(TimeoutError, tls.recv, 100, 0.05)
            tls.sendall(b"later")
            self.assertEqual(_exactly(tls, 5), b"later")

        return self.against(Echo, client)


class EndingTests(BlockingCase):
    def test_close_wakes_everybody(self) -> Any:
        """close() from another thread ends a waiting recv with b"", and a later sendall with an OSError."""

        def client(tls: Watched) -> None:
            tls.waiting.clear()
            answers: list[bytes] = []
            reader = threading.Thread(target=lambda: answers.append(tls.recv()), daemon=True)
            reader.start()
            self.assertTrue(tls.waiting.wait(10))
            tls.close()
            reader.join(5)
            self.assertEqual(answers, [b""])
            self.assertRaises(OSError, tls.sendall, b"x")
            self.assertEqual(tls.recv(), b"")
            self.assertEqual(tls._socket.fileno(), -1)
            tls.close()

        return self.against(Echo, client)

    def test_goodbye(self) -> Any:
        """A server's orderly end is b"" after everything that it sent."""

        class Goodbye(Protocol):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.write(b"bye")
                self.transport.loseConnection()

        def client(tls: BlockingTLS) -> None:
            tls.sendall(b"hello")
            self.assertEqual(_exactly(tls, 3), b"bye")
            self.assertEqual(tls.recv(timeout=10), b"")

        return self.against(Goodbye, client)

    def test_no_goodbye(self) -> Any:
        """An end without close_notify may have cut the server short, and is told apart: ConnectionResetError."""

        class Cut(Protocol):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.write(b"half a mess")
                self.transport.transport.loseConnection()  # the TCP connection, behind the back of TLS

        def client(tls: BlockingTLS) -> None:
            tls.sendall(b"hello")
            self.assertEqual(_exactly(tls, 11), b"half a mess")
            self.assertRaises(ConnectionResetError, tls.recv, 100, 10)

        return self.against(Cut, client)

    def test_server_death(self) -> Any:
        """A reset ends readers and writers with an OSError, at once."""

        class Dies(Protocol):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                raw = self.transport.transport.getHandle()
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.transport.abortConnection()

        def client(tls: BlockingTLS) -> None:
            tls.sendall(b"hello")
            self.assertRaises(ConnectionError, tls.recv, 100, 10)

            def flood() -> None:
                for _ in range(100):
                    tls.sendall(b"x" * 100_000, timeout=10)

            self.assertRaises(OSError, flood)

        return self.against(Dies, client)


class KeyUpdateTests(SynchronousTestCase):
    def test_key_update(self) -> None:
        """When the peer changes keys and asks for the same (RFC 8446, 4.6.3), both directions go on."""
        openssl = shutil.which("openssl")
        if openssl is None:
            raise SkipTest("needs the openssl command for a peer that updates its keys")
        secrets = Secrets(Path(self.mktemp()))
        secrets.open()
        pair = ["-cert", str(secrets.certificate_path), "-key", str(secrets.key_path)]
        server = subprocess.Popen(
            [openssl, "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-tls1_3", "-msg", *pair],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.addCleanup(server.wait, 10)
        self.addCleanup(server.kill)
        assert server.stdin is not None and server.stdout is not None
        output = iter(server.stdout.readline, b"")
        port = next(int(line.rsplit(b":", 1)[1]) for line in output if line.startswith(b"ACCEPT"))
        connected = socket.create_connection(("127.0.0.1", port), timeout=10)
        tls = BlockingTLS(connected, client_tls("localhost", secrets.certificate_path))
        self.addCleanup(tls.close)
        tls.handshake(10)
        for turn in range(3):
            tls.sendall(b"question %d\n" % turn)
            next(line for line in output if line.endswith(b"question %d\n" % turn))
            server.stdin.write(b"K\n")
            server.stdin.flush()
            next(line for line in output if line.startswith(b">>>") and b"KeyUpdate" in line)
            server.stdin.write(b"answer %d\n" % turn)
            server.stdin.flush()
            self.assertEqual(tls.recv(timeout=10), b"answer %d\n" % turn)
        tls.sendall(b"last\n")
        lines = []
        for line in output:
            lines.append(line)
            if line.endswith(b"last\n"):
                break
        self.assertTrue(any(line.startswith(b"<<<") and b"KeyUpdate" in line for line in lines), lines)


class HandshakeTests(SynchronousTestCase):
    def test_silence(self) -> None:
        """A server that accepts and says nothing costs the timeout, and the error names the host."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            connected = socket.create_connection(listening.getsockname())
            tls = BlockingTLS(connected, client_tls("localhost"))
            error = self.assertRaises(Unavailable, tls.handshake, 0.2)
            self.assertIn("localhost", str(error))
            self.assertEqual(connected.fileno(), -1)
