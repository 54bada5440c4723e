"""Files through real sockets, both ways, with both clients, plain and over TLS."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

from descriptors import open_files
from raw_peer import Get, Put, welcome
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import TestCase

from fluxon.commands import Command, Hello
from fluxon.connect import Client, ConnectionInterface
from fluxon.connect import streams as blocking
from fluxon.connect.link import Link
from fluxon.errors import FluxonError, NotFound, OutcomeUnknown, Unavailable
from fluxon.limits import KIB, MIB, Limits
from fluxon.rpc import (
    FileSource,
    Incoming,
    Opening,
    Outgoing,
    Peer,
    Responders,
    ServerFactory,
    send_directly,
)
from fluxon.security import Secrets
from fluxon.security.tls import ServerTLS
from fluxon.workers import WorkerPool

reactor: Any = _reactor
PATIENCE = 30.0

#: No multiple of any block, chunk or window.
SIZE = 9 * MIB + 12_345


class Kept:
    """A sink that keeps bytes, and a digest; ``limit`` bytes are too many."""

    def __init__(self, limit: int = 2**40) -> None:
        self.size = 0
        self.hash = hashlib.sha256()
        self.limit = limit
        self.ends: list[FluxonError | None] = []

    def data(self, piece: memoryview) -> None:
        self.size += len(piece)
        self.hash.update(piece)
        if self.size > self.limit:
            raise NotFound("no room for so much")

    def ended(self, error: FluxonError | None) -> None:
        self.ends.append(error)


def soon() -> float:
    return monotonic() + PATIENCE


class Server:
    """Serves one file and keeps what is sent to it."""

    def __init__(self, secure: bool, direct: bool, limits: Limits | None = None) -> None:
        self.direct = direct
        self.pool = WorkerPool("file", 2, reactor)
        self.content = os.urandom(MIB) * (SIZE // MIB) + os.urandom(SIZE % MIB)
        self.file = tempfile.NamedTemporaryFile()  # noqa: SIM115
        self.file.write(self.content)
        self.file.flush()
        self.kept: list[Kept] = []
        self.limit = 2**40
        self.sent: list[Outgoing] = []
        self.factory = ServerFactory(Responders({Get: self.get, Put: self.put, Hello: self.hello}), reactor, limits)
        self.served: Any = self.factory
        self.trust: Path | None = None
        if secure:
            secrets = Secrets(Path(tempfile.mkdtemp()) / "secrets")
            secrets.open()
            self.trust = secrets.certificate_path
            creator = ServerTLS(secrets.certificate_path, secrets.key_path)
            self.served = TLSMemoryBIOFactory(creator, False, self.factory)

    async def start(self) -> int:
        self.port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(self.served)
        if self.direct:
            assert send_directly(self.port)
        return int(self.port.getHost().port)

    async def stop(self) -> None:
        await self.port.stopListening()
        for peer in list(self.factory.peers):
            peer.protocol.abort("the test is over")
        while self.factory.peers:
            await deferLater(reactor, 0.001)
        self.pool.stop()
        self.file.close()

    def hello(self, peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        peer.greeted = True
        peer.protocol.greeted()
        return welcome()

    def get(self, peer: Peer, arguments: dict[str, Any]) -> Opening:
        source = FileSource(os.open(self.file.name, os.O_RDONLY), **arguments, submit=self.pool.submit)
        self.sent.append(Outgoing(source))
        return Opening({}, self.sent[-1])

    def put(self, peer: Peer, arguments: dict[str, Any]) -> Opening:
        self.kept.append(Kept(self.limit))
        return Opening({}, Incoming(self.kept[-1]))


class TransferCase(TestCase):
    """Over each kind of transport; see the classes at the end."""

    timeout = 60
    secure = False
    direct = False

    async def setUp(self) -> None:
        self.server = Server(self.secure, self.direct)
        self.number = await self.server.start()

    async def tearDown(self) -> None:
        await self.server.stop()

    async def open_files(self) -> int:
        """Files that the server has open, besides its own."""
        return list(open_files().values()).count(self.server.file.name) - 1

    # The blocking client.

    def blocking(self) -> ConnectionInterface:
        connection = ConnectionInterface("127.0.0.1", self.number, secure=self.secure, trust=self.server.trust)
        self.addCleanup(deferToThread, connection.close)
        return connection

    @staticmethod
    def ask(connection: ConnectionInterface, command: type[Command], arguments: dict[str, Any]) -> tuple[Link, int]:
        link = connection._line.greeted_link(soon())
        return link, link.ask(command.name, arguments, soon(), opens=True)["stream"]

    @classmethod
    def download(cls, connection: ConnectionInterface, offset: int = 0, length: int = SIZE) -> bytes:
        link, tag = cls.ask(connection, Get, {"offset": offset, "length": length})
        parts = []
        with blocking.Incoming(link, tag) as incoming:
            while piece := incoming.read(soon()):
                parts.append(bytes(piece))
        return b"".join(parts)

    @classmethod
    def upload(cls, connection: ConnectionInterface, data: bytes) -> None:
        link, tag = cls.ask(connection, Put, {})
        with blocking.Outgoing(link, tag) as outgoing:
            outgoing.write(data, soon())
            outgoing.finish(soon())


class TransferTests(TransferCase):
    async def test_down(self) -> None:
        """All of a file, a part, and none of it; each confirmed, and the file closed."""
        connection = self.blocking()
        content = self.server.content
        for offset, length in ((0, SIZE), (12_345, MIB + 1), (SIZE - 1, 1), (7, 0)):
            self.assertEqual(
                await deferToThread(self.download, connection, offset, length), content[offset : offset + length]
            )
            await self.server.sent[-1].when_done()
            self.assertEqual(await self.open_files(), 0)

    async def test_up(self) -> None:
        """What was sent is what is kept, and ``finish`` returns when it is."""
        connection = self.blocking()
        for size in (SIZE, 1, 0):
            await deferToThread(self.upload, connection, self.server.content[:size])
            kept = self.server.kept[-1]
            self.assertEqual((kept.size, kept.ends), (size, [None]))
            self.assertEqual(kept.hash.digest(), hashlib.sha256(self.server.content[:size]).digest())

    async def test_many_at_once(self) -> None:
        """Eight transfers of one connection, both ways, and requests between them."""
        connection = self.blocking()
        digest = hashlib.sha256(self.server.content).digest()
        downs = [deferToThread(self.download, connection) for _ in range(4)]
        ups = [deferToThread(self.upload, connection, self.server.content) for _ in range(4)]
        for content in await gatherResults(downs):
            self.assertEqual(hashlib.sha256(content).digest(), digest)
        await gatherResults(ups)
        self.assertEqual({each.hash.digest() for each in self.server.kept}, {digest})

    async def test_given_up_by_the_client(self) -> None:
        """A reader that leaves costs the server nothing more, and the connection goes on."""
        connection = self.blocking()

        def leave() -> None:
            link, tag = self.ask(connection, Get, {"offset": 0, "length": SIZE})
            with blocking.Incoming(link, tag) as incoming:
                incoming.read(soon())

        for _ in range(40):
            await deferToThread(leave)
        while self.server.factory.peers and next(iter(self.server.factory.peers)).streams:
            await deferLater(reactor, 0.001)
        self.assertEqual(len(await deferToThread(self.download, connection)), SIZE)
        await self.server.sent[-1].when_done()
        self.assertEqual(await self.open_files(), 0)

    async def test_given_up_by_the_server(self) -> None:
        """A sink that refuses: the sender hears why, while it sends."""
        self.server.limit = MIB
        connection = self.blocking()
        error = await self.assertFailure(deferToThread(self.upload, connection, self.server.content), NotFound)
        self.assertEqual(error.text, "no room for so much")
        self.assertEqual(len(await deferToThread(self.download, connection, 0, 10)), 10)

    async def test_lost(self) -> None:
        """The connection breaks in the middle, both ways."""
        connection = self.blocking()
        waiting: Deferred[None] = Deferred()

        def cut() -> None:
            for peer in list(self.server.factory.peers):
                peer.protocol.abort("the test says so")

        def read() -> None:
            link, tag = self.ask(connection, Get, {"offset": 0, "length": SIZE})
            with blocking.Incoming(link, tag) as incoming:
                incoming.read(soon())
                reactor.callFromThread(waiting.callback, None)
                while incoming.read(soon()):
                    pass

        reading = deferToThread(read)
        await waiting
        cut()
        await self.assertFailure(reading, Unavailable)

        def write() -> None:
            link, tag = self.ask(connection, Put, {})
            with blocking.Outgoing(link, tag) as outgoing:
                outgoing.write(b"x", soon())
                reactor.callFromThread(cut)
                outgoing.write(bytes(64 * MIB), soon())
                outgoing.finish(soon())

        await self.assertFailure(deferToThread(write), Unavailable, OutcomeUnknown)
        self.assertEqual([type(each) for each in self.server.kept[-1].ends], [Unavailable])
        await self.assertFailure(self.server.sent[-1].when_done(), Unavailable)
        while await self.open_files():  # a thread may be reading a last block of it
            await deferLater(reactor, 0.001)

    async def test_a_slow_reader(self) -> None:
        """Of what a client does not read, the server holds next to nothing: the file is read as it is sent."""
        connection = self.blocking()
        link, tag = await deferToThread(self.ask, connection, Get, {"offset": 0, "length": SIZE})
        incoming = await deferToThread(blocking.Incoming, link, tag, MIB)
        sent = self.server.sent[-1]
        while sent.sent < MIB:
            await deferLater(reactor, 0.001)
        await deferLater(reactor, 0.05)
        self.assertEqual(sent.sent, MIB)
        (peer,) = self.server.factory.peers
        self.assertEqual(peer.protocol.backlog, 0)
        await deferToThread(incoming.give_up)
        await self.assertFailure(sent.when_done(), FluxonError)

    async def test_twisted_client(self) -> None:
        """The client for Twisted programs, both ways at once."""
        endpoint: Any = f"127.0.0.1:{self.number}"
        trust = {"secure": True, "trust": self.server.trust} if self.secure else {}
        client = Client(reactor, endpoint, **trust)
        client.startService()
        await client.when_connected()
        self.addCleanup(client.close)
        connection = client._connector.current
        assert connection is not None
        peer = connection.peer
        kept = Kept()
        down = Incoming(kept, window=256 * KIB)
        peer.attach((await peer.ask(Get, {"offset": 0, "length": SIZE}))["stream"], down)
        source = FileSource(os.open(self.server.file.name, os.O_RDONLY), 0, SIZE, self.server.pool.submit)
        up = Outgoing(source)
        tag = (await peer.ask(Put, {}))["stream"]
        await deferLater(reactor, 0.01)  # some turns later: its credit has come meanwhile
        peer.attach(tag, up)
        await gatherResults([down.when_done(), up.when_done()])
        digest = hashlib.sha256(self.server.content).digest()
        self.assertEqual((kept.hash.digest(), self.server.kept[0].hash.digest()), (digest, digest))
        self.assertEqual(kept.ends, [None])
        await self.server.sent[-1].when_done()
        self.assertEqual(await self.open_files(), 0)


class DirectTests(TransferTests):
    """The kernel sends the files."""

    direct = True


class SecureTests(TransferTests):
    """Over TLS."""

    secure = True
    direct = True
