"""The transport that sends at once: the same bytes in the same order as the stock one, whatever the socket takes."""

from __future__ import annotations

import random
import select
import socket
import ssl
from pathlib import Path
from typing import Any
from unittest.mock import patch

from OpenSSL import SSL
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ServerEndpoint, UNIXServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from fluxon.rpc import direct, direct_tls, send_directly, tls_around
from fluxon.rpc.direct import DirectServer
from fluxon.rpc.direct_tls import DirectTLS
from fluxon.security import Secrets
from fluxon.security.tls import ServerTLS

reactor: Any = _reactor
PATIENCE = 10.0


class Writer(Protocol):
    """Runs the test's script as soon as it is connected."""

    factory: Any

    def connectionMade(self) -> None:
        transport: Any = self.transport
        getattr(transport, "socket", transport.getHandle()).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        self.factory.kinds.append(type(transport))
        if not self.factory.wait_for_word:
            self.factory.script(transport)

    def dataReceived(self, data: bytes) -> None:
        if self.factory.wait_for_word:
            self.factory.script(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.ended.append(reason)


class Script(Factory):
    protocol = Writer  # type: ignore[assignment]
    wait_for_word = False

    def __init__(self, script: Any) -> None:
        self.script = script
        self.kinds: list[type] = []
        self.ended: list[Failure] = []


def read_all(port: int) -> bytes:
    """Everything until the end, by a reader with a tiny buffer who is slow to begin."""
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        reader.settimeout(PATIENCE)
        heard = b""
        try:
            reader.connect(("127.0.0.1", port))
            while data := reader.recv(1_000 if len(heard) < 20_000 else 65_536):
                heard += data
        except ConnectionResetError:
            heard += b"<reset>"
        return heard


class DirectCase(TestCase):
    timeout = 30

    async def listen(self, factory: Factory, direct: bool = True) -> int:
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        if direct:
            self.assertTrue(send_directly(port))
        return int(port.getHost().port)

    async def heard(self, script: Any, direct: bool) -> tuple[bytes, Script]:
        factory = Script(script)
        number = await self.listen(factory, direct)
        heard = await deferToThread(read_all, number)
        while not factory.ended:
            await deferLater(reactor, 0.001)
        self.assertEqual(issubclass(factory.kinds[0], DirectServer), direct)
        return heard, factory


class OrderTests(DirectCase):
    async def test_same_bytes(self) -> None:
        """Writes of all sizes, single and in sequences, over many turns, then a polite close: nothing lost or moved."""
        chance = random.Random(5)
        parts = [chance.randbytes(chance.choice((1, 100, 5_000, 70_000, 200_000))) for _ in range(60)]

        def script(transport: Any) -> None:
            left = list(parts)

            def turn() -> None:
                for _ in range(min(len(left), chance.randint(1, 5))):
                    data = left.pop(0)
                    if chance.random() < 0.2:
                        transport.writeSequence([data[:10], data[10:]])
                    else:
                        transport.write(data)
                if left:
                    reactor.callLater(0, turn)
                else:
                    transport.loseConnection()

            turn()

        for each in (True, False):
            heard, factory = await self.heard(script, each)
            self.assertEqual(heard, b"".join(parts))
            self.assertIn("cleanly", str(factory.ended[0].value))

    async def test_producer(self) -> None:
        """A full socket pauses the producer, an emptied one lets it go on: as often as needed, and in order."""
        chunks = [bytes([number]) * 50_000 for number in range(40)]

        class Producer:
            def __init__(self, transport: Any) -> None:
                self.transport, self.left, self.paused, self.pauses = transport, list(chunks), False, 0

            def pauseProducing(self) -> None:
                self.paused = True
                self.pauses += 1

            def resumeProducing(self) -> None:
                self.paused = False
                while self.left and not self.paused:
                    self.transport.write(self.left.pop(0))
                if not self.left and not self.paused:
                    self.transport.unregisterProducer()
                    self.transport.loseConnection()

            def stopProducing(self) -> None:
                pass

        producers: list[Producer] = []

        def script(transport: Any) -> None:
            producers.append(Producer(transport))
            transport.registerProducer(producers[-1], True)
            producers[-1].resumeProducing()

        for each in (True, False):
            heard, _ = await self.heard(script, each)
            self.assertEqual(heard, b"".join(chunks))
        self.assertGreater(producers[0].pauses, 3)

    async def test_abort(self) -> None:
        """An abort sends nothing more, with something queued or not, and later writes are dropped."""

        def script(transport: Any) -> None:
            transport.write(b"x" * 1_000_000)
            transport.abortConnection()
            transport.write(b"never")

        heard, factory = await self.heard(script, True)
        self.assertTrue(heard.endswith(b"<reset>"))
        self.assertNotIn(b"never", heard)
        self.assertLess(len(heard), 1_000_000)
        self.assertEqual(factory.ended[0].type.__name__, "ConnectionAborted")

    async def test_write_after_abort(self) -> None:
        """Nothing is queued, and still nothing leaves: the socket is not even tried."""
        tried: list[bytes] = []

        class Socket:
            def __init__(self, real: Any) -> None:
                self.real = real

            def __getattr__(self, name: str) -> Any:
                return getattr(self.real, name)

            def send(self, data: bytes) -> int:
                tried.append(data)
                return len(data)

        def script(transport: Any) -> None:
            transport.socket = Socket(transport.socket)
            transport.write(b"before")
            transport.abortConnection()
            transport.write(b"never")

        await self.heard(script, True)
        self.assertEqual(tried, [b"before"])

    async def test_write_after_close(self) -> None:
        """What is written after a polite close is the stock transport's business: the same for both."""

        def script(transport: Any) -> None:
            transport.write(b"a" * 300_000)
            transport.loseConnection()
            transport.write(b"b")

        self.assertEqual((await self.heard(script, True))[0], (await self.heard(script, False))[0])

    async def test_reader_gone(self) -> None:
        """Writing to one who has gone ends in connectionLost, once, and in nothing else."""
        factory = Script(lambda transport: _write_until_lost(transport))
        number = await self.listen(factory)

        def come_and_go() -> None:
            socket.create_connection(("127.0.0.1", number), timeout=PATIENCE).close()

        await deferToThread(come_and_go)
        while not factory.ended:
            await deferLater(reactor, 0.001)
        self.assertEqual(len(factory.ended), 1)


def _write_until_lost(transport: Any) -> None:
    if transport.connected:
        transport.write(b"x" * 10_000)
        reactor.callLater(0, _write_until_lost, transport)


class TLSTests(DirectCase):
    async def test_under_tls(self) -> None:
        """TLS over it, Twisted's and ours, to a slow reader: the same bytes, and a goodbye."""
        for ours in (False, True):
            await self.check_under_tls(ours)

    async def check_under_tls(self, ours: bool) -> None:
        secrets = Secrets(Path(self.mktemp()))
        secrets.open()
        creator = ServerTLS(secrets.certificate_path, secrets.key_path)
        parts = [bytes([number]) * 30_000 for number in range(50)]

        def script(transport: Any) -> None:
            for part in parts:
                transport.write(part)
            transport.loseConnection()

        factory = Script(script)
        factory.wait_for_word = True
        around = tls_around(factory, creator) if ours else TLSMemoryBIOFactory(creator, False, factory)
        self.assertEqual(around.protocol is DirectTLS, ours)
        number = await self.listen(around)

        def read() -> bytes:
            context = ssl.create_default_context(cafile=str(secrets.certificate_path))
            plain = socket.create_connection(("127.0.0.1", number), timeout=PATIENCE)
            with context.wrap_socket(plain, server_hostname="localhost") as tls:
                tls.sendall(b"?")
                heard = b""
                while part := tls.recv(65_536):
                    heard += part
            return heard

        self.assertEqual(await deferToThread(read), b"".join(parts))
        while not factory.ended:
            await deferLater(reactor, 0.001)


class BrokenTLSTests(TestCase):
    """TLS whose other side is in memory."""

    def test_what_comes_after_an_offence(self) -> None:
        """Bytes that are no TLS end it; what follows them is not heard, and the end is told once."""
        secrets = Secrets(Path(self.mktemp()))
        secrets.open()
        heard: list[bytes] = []
        ended: list[Failure] = []

        class Listening(Protocol):
            def dataReceived(self, data: bytes) -> None:
                heard.append(data)

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                ended.append(reason)

        factory = Factory()
        factory.protocol = Listening  # type: ignore[assignment]
        server: Any = tls_around(factory, ServerTLS(secrets.certificate_path, secrets.key_path)).buildProtocol(None)
        self.assertIsInstance(server, DirectTLS)
        transport = StringTransport()
        server.makeConnection(transport)
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        client.set_connect_state()
        while True:
            try:
                client.do_handshake()
            except SSL.WantReadError:
                server.dataReceived(client.bio_read(65_536))
                client.bio_write(transport.value())
                transport.clear()
            else:
                break
        client.send(b"first")
        server.dataReceived(client.bio_read(65_536))
        client.send(b"second")
        server.dataReceived(client.bio_read(65_536) + b"no TLS at all" * 10)
        self.assertEqual(heard, [b"first", b"second"])
        self.assertTrue(transport.disconnecting)
        client.send(b"third")
        server.dataReceived(client.bio_read(65_536))
        self.assertEqual((heard, ended), ([b"first", b"second"], []))
        server.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([each.type for each in ended], [SSL.Error])


class WithoutEpollTests(DirectCase):
    """Where there is no epoll the reactor reads."""

    async def test_reading(self) -> None:
        """All that comes is heard, but for while it pauses; and what is sent is what was to be sent."""
        heard: list[bytes] = []
        made: list[Any] = []

        class Listening(Protocol):
            def connectionMade(self) -> None:
                made.append(self.transport)

            def dataReceived(self, data: bytes) -> None:
                heard.append(data)
                made[0].write(data * 1_000)

        factory = Factory()
        factory.protocol = Listening  # type: ignore[assignment]
        with patch("select.epoll"):
            del select.epoll
            number = await self.listen(factory)
        with socket.create_connection(("127.0.0.1", number), timeout=PATIENCE) as client:
            await self.until(lambda: made)
            self.assertIsInstance(made[0], DirectServer)
            self.assertIsNone(made[0]._readers)
            client.sendall(b"one")
            await self.until(lambda: heard)
            made[0].pauseProducing()
            client.sendall(b"two")
            await deferLater(reactor, 0.02)
            self.assertEqual(heard, [b"one"])
            made[0].resumeProducing()
            await self.until(lambda: len(heard) == 2)
            made[0].loseConnection()
            answered = await deferToThread(read_on, client)
        self.assertEqual((heard, answered), ([b"one", b"two"], b"one" * 1_000 + b"two" * 1_000))

    async def until(self, condition: Any) -> None:
        while not condition():
            await deferLater(reactor, 0.001)


def read_on(client: socket.socket) -> bytes:
    heard = b""
    while data := client.recv(65_536):
        heard += data
    return heard


class ElsewhereTests(DirectCase):
    async def test_other_ports(self) -> None:
        """A port that is none of TCP's is left as it is."""
        path = self.mktemp()[-60:].replace("/", "-")
        port = await UNIXServerEndpoint(reactor, path).listen(Script(lambda transport: None))
        self.addCleanup(port.stopListening)
        self.assertFalse(send_directly(port))
        self.assertFalse(send_directly(object()))

    async def test_another_twisted(self) -> None:
        """A release that lacks something private that the fast path reads is served by the stock transport."""
        self.patch(direct, "_NEEDED", (*direct._NEEDED, "_of_a_later_release"))
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Script(lambda transport: None))
        self.addCleanup(port.stopListening)
        self.assertFalse(send_directly(port))
        self.patch(direct_tls, "_NEEDED", (*direct_tls._NEEDED, "_of_a_later_release"))
        self.assertIs(tls_around(Factory(), ServerTLS.__new__(ServerTLS)).protocol, BufferingTLSTransport)
