"""The blocking client's TLS against a real Twisted server: both directions at once, and endings of every kind."""

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
from time import monotonic
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase
from zope.interface import implementer

from fluxon.connect.arguments import Address
from fluxon.connect.dial import dial, shake_hands
from fluxon.connect.stream import Stream, StreamLost
from fluxon.errors import Unavailable
from fluxon.security import Secrets
from fluxon.security.tls import ClientTLS, ServerTLS, client_tls

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 20.0


def connected_stream(port: int, tls: ClientTLS) -> Stream:
    where, deadline = Address("127.0.0.1", port), monotonic() + PATIENCE
    connected = dial(where, deadline)
    try:
        return Stream(connected, shake_hands(connected, tls, where, deadline))
    except BaseException:
        connected.close()
        raise


class Reader:
    """The receiving thread's part, for a test that wants a number of bytes."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        #: What is to be sent; any thread may add to it, and flush.
        self.output: list[bytes] = []
        self._kept = bytearray()

    def exactly(self, size: int) -> bytes:
        deadline = monotonic() + PATIENCE
        while len(self._kept) < size:
            assert monotonic() < deadline, "what was to come did not come"
            self.stream.wait(deadline - monotonic())
            self._kept += self.stream.receive()
            self.stream.flush(self.output)
        result = bytes(self._kept[:size])
        del self._kept[:size]
        return result

    def end(self) -> str:
        """Why nothing more comes."""
        deadline = monotonic() + PATIENCE
        try:
            while monotonic() < deadline:
                self.stream.wait(deadline - monotonic())
                data = self.stream.receive()
                assert not data, data
        except StreamLost as lost:
            return str(lost)
        raise AssertionError("the stream goes on")


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


class StreamCase(TestCase):
    timeout = 60

    @inlineCallbacks
    def against(self, protocol: type[Protocol], client: Callable[[Reader], Any]) -> Any:
        """``client``'s result, run in a thread on a connection to a server that speaks ``protocol``."""
        secrets = Secrets(Path(self.mktemp()))
        secrets.open()
        creator = ServerTLS(secrets.certificate_path, secrets.key_path)
        endpoint = SSL4ServerEndpoint(reactor, 0, creator, interface="127.0.0.1")
        port = yield endpoint.listen(Factory.forProtocol(protocol))
        self.addCleanup(port.stopListening)
        number = port.getHost().port

        def run() -> Any:
            stream = connected_stream(number, client_tls("127.0.0.1", secrets.certificate_path))
            try:
                return client(Reader(stream))
            finally:
                stream.close()

        return (yield deferToThread(run))


class TrafficTests(StreamCase):
    def test_many_writers(self) -> Any:
        """16 threads' messages, of 1 byte to 100 KB, come back whole, each in one piece, none lost or doubled."""
        each, threads = 40, 16

        def client(reader: Reader) -> None:
            expected: set[bytes] = set()
            errors: list[BaseException] = []

            def write(number: int) -> None:
                chance = random.Random(number)
                try:
                    for _ in range(each):
                        body = chance.randbytes(chance.choice((1, 60, 1_000, 16_384, 16_385, 100_000)))
                        expected.add(hashlib.sha256(body).digest())
                        reader.output.append(struct.pack(">I", len(body)) + body)
                        reader.stream.flush(reader.output)
                except BaseException as error:
                    errors.append(error)

            writers = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(threads)]
            for writer in writers:
                writer.start()
            seen = []
            for _ in range(each * threads):
                (size,) = struct.unpack(">I", reader.exactly(4))
                seen.append(hashlib.sha256(reader.exactly(size)).digest())
            for writer in writers:
                writer.join(PATIENCE)
            self.assertEqual(errors, [])
            self.assertEqual(set(seen), expected)

        return self.against(Echo, client)

    def test_big_payloads_both_ways(self) -> Any:
        """16 MiB there while 16 MiB come back: neither direction waits for the other to finish."""
        payload = os.urandom(1024 * 1024) * 16

        def client(reader: Reader) -> None:
            reader.stream.flush([payload])
            got = reader.exactly(len(payload))
            self.assertEqual(hashlib.sha256(got).digest(), hashlib.sha256(payload).digest())

        return self.against(Echo, client)

    def test_sizes(self) -> Any:
        """Around the edges of a record and of a step of encryption, bytes come back as they were."""

        def client(reader: Reader) -> None:
            for edge in (1, 16_384, 65_536, 262_144):
                for size in (edge - 1, edge, edge + 1):
                    payload = os.urandom(size)
                    reader.stream.flush([payload])
                    self.assertEqual(reader.exactly(size), payload)

        return self.against(Echo, client)

    def test_a_peer_that_never_reads(self) -> Any:
        """It blocks neither who sends to it nor who reads what it says; closing waits for nothing either."""

        def client(reader: Reader) -> None:
            began = monotonic()
            reader.stream.flush([b"y" * 16_000_000])
            self.assertEqual(reader.exactly(4_000_000), b"x" * 4_000_000)
            reader.stream.flush([b"z"])
            self.assertLess(monotonic() - began, PATIENCE / 2)

        return self.against(Deaf, client)


class EndingTests(StreamCase):
    def test_goodbye(self) -> Any:
        """A server that says goodbye right behind its answer waits for ours: both are seen at once."""

        class Goodbye(Protocol):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.write(b"bye")
                self.transport.loseConnection()

        def client(reader: Reader) -> None:
            reader.stream.flush([b"hello"])
            self.assertEqual(reader.exactly(3), b"bye")
            self.assertEqual(reader.end(), "the server closed it")

        return self.against(Goodbye, client)

    def test_no_goodbye(self) -> Any:
        """An end without close_notify may have cut the server short, and is told apart."""

        class Cut(Protocol):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                if data == b"hello":
                    self.transport.write(b"half a mess")
                else:
                    self.transport.transport.loseConnection()  # the TCP connection, behind the back of TLS

        def client(reader: Reader) -> None:
            reader.stream.flush([b"hello"])
            self.assertEqual(reader.exactly(11), b"half a mess")
            reader.stream.flush([b"and now?"])
            self.assertIn("without the server's goodbye", reader.end())

        return self.against(Cut, client)

    def test_server_death(self) -> Any:
        """A reset ends the stream; who sends to it afterwards is told nothing, and is not held up."""

        class Dies(Protocol):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                raw = self.transport.transport.getHandle()
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.transport.abortConnection()

        def client(reader: Reader) -> None:
            reader.stream.flush([b"hello"])
            self.assertIn("reset", reader.end())
            for _ in range(20):
                reader.stream.flush([b"x" * 100_000])

        return self.against(Dies, client)

    def test_sending_behind_the_goodbye(self) -> Any:
        """What is sent after the connection was closed harms nobody: a thread may be on its way."""

        def client(reader: Reader) -> None:
            reader.stream.flush([b"hello"])
            self.assertEqual(reader.exactly(5), b"hello")
            reader.stream.close()
            output = [b"late"]
            reader.stream.flush(output)
            self.assertEqual(output, [])
            reader.stream.stop("late, too")

        return self.against(Echo, client)


class KeyUpdateTests(SynchronousTestCase):
    def test_key_update(self) -> None:
        """When the peer changes keys and asks for the same (RFC 8446, 4.6.3), it is answered and both ways go on."""
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
        stream = connected_stream(port, client_tls("localhost", secrets.certificate_path))
        self.addCleanup(stream.close)
        reader = Reader(stream)
        for turn in range(3):
            stream.flush([b"question %d\n" % turn])
            next(line for line in output if line.endswith(b"question %d\n" % turn))
            server.stdin.write(b"before\n")
            server.stdin.flush()
            self.assertEqual(reader.exactly(7), b"before\n")  # and the session's tickets are read
            server.stdin.write(b"K\n")
            server.stdin.flush()
            next(line for line in output if line.startswith(b">>>") and b"KeyUpdate" in line)
            server.stdin.write(b"answer %d\n" % turn)
            server.stdin.flush()
            self.assertEqual(reader.exactly(9), b"answer %d\n" % turn)
        stream.flush([b"last\n"])
        next(line for line in output if line.startswith(b"<<<") and b"KeyUpdate" in line)
        next(line for line in output if line.endswith(b"last\n"))


class HandshakeTests(SynchronousTestCase):
    def test_silence(self) -> None:
        """A server that accepts and says nothing costs the time that was given, and the error names it."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            where = Address(*listening.getsockname())
            with dial(where, monotonic() + PATIENCE) as connected:
                error = self.assertRaises(
                    Unavailable, shake_hands, connected, client_tls("localhost"), where, monotonic() + 0.2
                )
            self.assertIn(str(where), str(error))
