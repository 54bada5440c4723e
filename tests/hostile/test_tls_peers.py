"""Peers that speak broken TLS, networks that change or cut what passes: declared errors, and never wrong bytes."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.connect.arguments import Address
from fluxon.connect.dial import dial, shake_hands
from fluxon.connect.stream import Stream, StreamLost
from fluxon.errors import Unavailable, UntrustedServer
from fluxon.security import Secrets
from fluxon.security.tls import ServerTLS, client_tls

MESSAGE = bytes(range(256)) * 8


class Speaks(Protocol):
    """Sends ``MESSAGE`` once it is asked, and says goodbye."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(MESSAGE)
        self.transport.loseConnection()


class PeerCase(TestCase):
    timeout = 100

    @inlineCallbacks
    def against(self, attack: Callable[[int, Any], Any]) -> Any:
        """Run ``attack`` in a thread against a server; afterwards the server must still serve."""
        secrets = Secrets(Path(self.mktemp()))
        secrets.open()
        creator = ServerTLS(secrets.certificate_path, secrets.key_path)
        endpoint = SSL4ServerEndpoint(reactor, 0, creator, interface="127.0.0.1")
        factory, made = Factory(), []

        def build(_: Any) -> Speaks:
            made.append(Speaks())
            return made[-1]

        self.patch(factory, "buildProtocol", build)
        port = yield endpoint.listen(factory)
        self.addCleanup(port.stopListening)
        number = port.getHost().port
        client = client_tls("localhost", secrets.certificate_path)
        yield deferToThread(attack, number, client)
        self.assertEqual((yield deferToThread(listen_to, number, client)), (MESSAGE, None))
        for each in made:
            if not each.gone.called:  # it has yet to hear of its client's end
                each.transport.abortConnection()
        yield gatherResults([each.gone for each in made])


def listen_to(port: int, creator: Any) -> tuple[bytes, Exception | None]:
    """What the server said before the end, and the error that was the end."""
    heard = b""
    where = Address("127.0.0.1", port)
    deadline = monotonic() + 10
    connected = dial(where, deadline)
    try:
        channel = shake_hands(connected, creator, where, deadline)
    except Exception as error:
        connected.close()
        return heard, error
    stream = Stream(connected, channel)
    try:
        stream.flush([b"?"])
        while monotonic() < deadline:
            stream.wait(deadline - monotonic())
            heard += stream.receive()
        return heard, TimeoutError()
    except StreamLost as error:
        return heard, None if channel.ended else error
    except Exception as error:
        return heard, error
    finally:
        stream.close()


class ServerTests(PeerCase):
    def test_garbage(self) -> Any:
        """Random bytes, other protocols and records of impossible lengths end their own connection and nothing else."""
        chance = random.Random(7)
        blobs = [
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
            b"\x80\x2e\x01\x00\x02",
            b"\0" * 99,
        ]
        blobs += [b"\x16\x03\x01\x02\x00\x01" + chance.randbytes(511) for _ in range(50)]
        blobs += [chance.randbytes(chance.randint(1, 2_000)) for _ in range(50)]

        def attack(port: int, _: Any) -> None:
            for blob in blobs:
                with socket.create_connection(("127.0.0.1", port), timeout=10) as connected:
                    try:
                        connected.sendall(blob)
                        connected.shutdown(socket.SHUT_WR)
                        while connected.recv(65_536):
                            pass
                    except ConnectionError:
                        pass

        return self.against(attack)


class Meddler:
    """A network between the client and ``port``, for one connection: ``meddle`` gets, and gives, what the server sends.

    The connection is cut behind an answer that is shorter than what it was given.
    """

    def __init__(self, port: int, meddle: Callable[[bytes], bytes]) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._target = port
        self._meddle = meddle
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with self._listening:
            client, _ = self._listening.accept()
        with client, socket.create_connection(("127.0.0.1", self._target), timeout=10) as server:
            client.settimeout(10)
            threading.Thread(target=self._carry, args=(client, server, lambda data: data), daemon=True).start()
            self._carry(server, client, self._meddle)

    @staticmethod
    def _carry(source: socket.socket, target: socket.socket, meddle: Callable[[bytes], bytes]) -> None:
        try:
            while data := source.recv(65_536):
                passed = meddle(data)
                target.sendall(passed)
                if len(passed) < len(data):
                    break
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class NetworkTests(PeerCase):
    def test_changed_bytes(self) -> Any:
        """One byte changed anywhere in what the server sends: a declared error, and never a byte it did not send.

        A length that has grown has the client wait for what never comes; to give up on silence is the heartbeat's part.
        """
        chance = random.Random(11)

        def attack(port: int, creator: Any) -> None:
            for _ in range(80):
                position, flip, passed = chance.randrange(3_300), chance.randrange(1, 256), [0]

                def meddle(
                    data: bytes, position: int = position, flip: int = flip, passed: list[int] = passed
                ) -> bytes:
                    index = position - passed[0]
                    passed[0] += len(data)
                    if 0 <= index < len(data):
                        return data[:index] + bytes([data[index] ^ flip]) + data[index + 1 :]
                    return data

                heard, error = listen_to(Meddler(port, meddle).port, creator)
                self.assertTrue(MESSAGE.startswith(heard), (position, flip))
                if error is None:
                    self.assertEqual(heard, MESSAGE, (position, flip))
                else:
                    ends = UntrustedServer | Unavailable | StreamLost | TimeoutError
                    self.assertIsInstance(error, ends, f"{position}, {flip}")

        return self.against(attack)

    def test_cut(self) -> Any:
        """Cut anywhere before the goodbye, the client is told; it never takes a part for the whole."""

        def attack(port: int, creator: Any) -> None:
            errors = []
            for limit in range(0, 3_000, 75):
                left = [limit]

                def meddle(data: bytes, left: list[int] = left) -> bytes:
                    part = data[: left[0]]
                    left[0] -= len(part)
                    return part

                heard, error = listen_to(Meddler(port, meddle).port, creator)
                self.assertTrue(error is not None or heard == MESSAGE, limit)
                errors.append(type(error))
            self.assertIn(Unavailable, errors)  # within the handshake
            self.assertIn(StreamLost, errors)  # after it

        return self.against(attack)


class ClientTests(SynchronousTestCase):
    def test_garbage(self) -> None:
        """A server that answers the handshake with garbage: one of the two declared errors."""
        chance = random.Random(3)
        creator = client_tls("localhost")
        blobs = [
            b"\x15\x03\x01\x00\x02\x02\x28",
            b"\x16\x03\x03\x40\x00" + b"x" * 16_384,
            b"\0",
            b"HTTP/1.1 200 OK\r\n",
        ]
        blobs += [b"\x16\x03\x03\x00\x64\x02" + chance.randbytes(99) for _ in range(50)]
        blobs += [chance.randbytes(chance.randint(1, 1_000)) for _ in range(50)]
        with socket.create_server(("127.0.0.1", 0)) as listening:
            for blob in blobs:
                connected = socket.create_connection(listening.getsockname(), timeout=10)
                server, _ = listening.accept()
                with server:
                    server.sendall(blob)
                    server.shutdown(socket.SHUT_WR)
                    with connected:
                        try:
                            shake_hands(connected, creator, Address("localhost", 1), monotonic() + 10)
                        except (UntrustedServer, Unavailable) as error:
                            self.assertIn("localhost", str(error))
                        else:
                            self.fail("garbage is no handshake")
