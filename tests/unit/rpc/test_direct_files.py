"""Files that the kernel sends: in their place among everything else, to whoever reads however slowly, or not at all."""

from __future__ import annotations

import errno
import os
import random
import socket
import tempfile
from typing import Any
from unittest.mock import patch

from raw_peer import Get, RawPeer, connect
from twisted.internet import reactor as _reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from fluxon.commands import Anything, Command
from fluxon.rpc import FileSource, Opening, Outgoing, Peer, Responders, ServerFactory, send_directly
from fluxon.wire import Answer, Ask, Chunk, End

reactor: Any = _reactor
PATIENCE = 10.0
SIZE = 1_000_000


class Do(Command):
    """Something that the other side is to do."""

    name = "do"
    arguments = {"value": Anything()}


class Sender(Protocol):
    """Sends ``pieces`` as its transport takes them: bytes, or ``(header, offset, size)`` of the file."""

    factory: Any
    transport: Any

    def connectionMade(self) -> None:
        self.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        self.paused = False
        self.pauses = 0
        self.taken = 0
        self.left = list(self.factory.pieces)
        self.factory.senders.append(self)
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def pauseProducing(self) -> None:
        self.paused = True
        self.pauses += 1

    def resumeProducing(self) -> None:
        self.paused = False
        while self.left and not self.paused:
            piece = self.left[0]
            if isinstance(piece, bytes):
                self.transport.write(piece)
            elif self.transport.idle:
                header, offset, size = piece
                self.transport.send_file(header, self.factory.descriptor, offset, size, self.took)
            else:
                self.transport.pause_producer()
                return
            self.left.pop(0)
        if not self.left and not self.paused and self.factory.closes:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def took(self) -> None:
        self.taken += 1

    def stopProducing(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.ended.append(reason)


class Sending(Factory):
    protocol = Sender  # type: ignore[assignment]
    closes = True

    def __init__(self, descriptor: int, pieces: list[Any]) -> None:
        self.descriptor = descriptor
        self.pieces = pieces
        self.senders: list[Sender] = []
        self.ended: list[Failure] = []


class FileTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.content = os.urandom(SIZE)
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        self.file.write(self.content)
        self.file.flush()
        self.addCleanup(self.file.close)

    async def serve(self, pieces: list[Any], closes: bool = True) -> tuple[Sending, int]:
        factory = Sending(self.file.fileno(), pieces)
        factory.closes = closes
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        self.assertTrue(send_directly(port))
        return factory, port.getHost().port

    async def heard(self, pieces: list[Any], slow: bool = True) -> tuple[bytes, Sending]:
        factory, number = await self.serve(pieces)
        heard = await deferToThread(read_all, number, slow)
        while not factory.ended:
            await deferLater(reactor, 0.001)
        return heard, factory

    def mixed(self) -> tuple[list[Any], bytes]:
        chance = random.Random(7)
        pieces: list[Any] = []
        expected = b""
        for _ in range(40):
            if chance.random() < 0.5:
                pieces.append(chance.randbytes(chance.choice((1, 100, 30_000))))
                expected += pieces[-1]
            else:
                offset, size = chance.randrange(SIZE // 2), chance.choice((1, 1_000, 200_000))
                pieces.append((b"<header>", offset, size))
                expected += b"<header>" + self.content[offset : offset + size]
        return pieces, expected

    async def test_order(self) -> None:
        """Bytes and parts of a file, in any mixture: what is heard is what was sent, in its order, and a polite end."""
        pieces, expected = self.mixed()
        for slow in (True, False):
            heard, factory = await self.heard(pieces, slow)
            self.assertEqual(len(heard), len(expected))
            self.assertTrue(heard == expected)
            self.assertIn("cleanly", str(factory.ended[0].value))
            self.assertEqual(factory.senders[0].taken, sum(isinstance(each, tuple) for each in pieces))
            if slow:
                self.assertGreater(factory.senders[0].pauses, 3)

    async def test_written_behind(self) -> None:
        """What is written while a part waits for the socket comes behind it."""

        class Impatient(Sender):
            def connectionMade(self) -> None:
                super().connectionMade()
                self.transport.write(b"behind")

        factory, number = await self.serve([(b"<", 0, 500_000)])
        factory.protocol = Impatient  # type: ignore[assignment]
        heard = await deferToThread(read_all, number, True)
        self.assertTrue(heard == b"<" + self.content[:500_000] + b"behind")

    async def test_too_short(self) -> None:
        """A file that has less than was promised: the connection is aborted, since nothing could stand in for it."""
        heard, factory = await self.heard([(b"<", SIZE - 10, 1_000), b"never"])
        self.assertTrue((b"<" + self.content[-10:]).startswith(heard.removesuffix(b"<reset>")))
        self.assertEqual(factory.ended[0].type.__name__, "ConnectionAborted")
        self.assertEqual(factory.senders[0].taken, 1)

    async def test_too_short_where_the_kernel_does_not_send(self) -> None:
        """The same of what is read instead: nothing of it is sent, and the file is let go."""
        with patch("os.sendfile", side_effect=OSError(errno.EINVAL, "Invalid argument")):
            heard, factory = await self.heard([(b"<", SIZE - 10, 1_000), b"never"])
        self.assertIn(heard, (b"<", b"<<reset>"))
        self.assertEqual(factory.ended[0].type.__name__, "ConnectionLost")
        self.assertEqual(factory.senders[0].taken, 1)

    async def test_a_disk_that_fails(self) -> None:
        """The connection is ended, since what was promised does not come; the file is let go, once."""
        with patch("os.sendfile", side_effect=OSError(errno.EIO, "Input/output error")):
            heard, factory = await self.heard([(b"<", 0, 1_000), b"never"])
        self.assertIn(heard, (b"<", b"<<reset>"))
        self.assertEqual(factory.ended[0].type.__name__, "ConnectionLost")
        self.assertEqual(factory.senders[0].taken, 1)

    async def test_by_who_is_no_producer(self) -> None:
        """A part leaves by itself, in its place, also if nobody is to be told when the socket is full."""

        class Once(Sender):
            def connectionMade(self) -> None:
                self.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
                self.taken = 0
                self.factory.senders.append(self)
                self.transport.send_file(b"<", self.factory.descriptor, 0, SIZE, self.took)
                self.transport.write(b">")
                self.transport.loseConnection()

        factory, number = await self.serve([])
        factory.protocol = Once  # type: ignore[assignment]
        heard = await deferToThread(read_all, number, True)
        self.assertTrue(heard == b"<" + self.content + b">")
        self.assertEqual(factory.senders[0].taken, 1)

    async def test_a_stream_behind_an_answer(self) -> None:
        """A stream that may go on while an answer waits for the socket lets that pass, and goes on behind it."""
        answer, opened = b"x" * 50_000, []

        def open_it(_: Peer, arguments: dict[str, Any]) -> Opening:
            source = FileSource(os.dup(self.file.fileno()), 0, SIZE, maybeDeferred)
            opened.append(Outgoing(source))
            return Opening({}, opened[-1])

        factory = ServerFactory(Responders({Get: open_it}), reactor)
        factory.greeted_from_start = True
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        self.assertTrue(send_directly(port))
        client = await deferToThread(connect, port.getHost().port, PATIENCE, None, 4_096)
        self.addCleanup(client.close)
        raw = RawPeer(client)
        while not factory.peers:
            await deferLater(reactor, 0.001)
        (peer,) = factory.peers
        peer.greeted = True
        transport = peer.protocol.transport
        transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        raw.conversation.ask("get", {"offset": 0, "length": SIZE}, waiter=None, opens=True)
        raw.flush()
        tag = (await deferToThread(raw.next, Answer)).value["stream"]
        flow = raw.conversation.streams.attach(tag, False, "file")
        peer.ask(Do, {"value": answer}).addErrback(lambda _: None)
        peer.protocol.flush()
        self.assertEqual((transport.idle, peer.protocol.idle), (False, True))
        raw.conversation.streams.grant(flow, 2 * SIZE)
        raw.flush()
        while peer.protocol.idle:
            await deferLater(reactor, 0.001)
        self.assertEqual(opened[0].sent, 0)
        asked = await deferToThread(raw.next)
        self.assertEqual((type(asked), asked.arguments), (Ask, {"value": answer}))
        heard = b""
        while not isinstance(message := await deferToThread(raw.next), End):
            self.assertIsInstance(message, Chunk)
            heard += message.data
        self.assertTrue(heard == self.content)
        raw.flush()
        self.assertIsNone(await opened[0].when_done())

    async def test_reader_gone(self) -> None:
        """One who leaves in the middle: connectionLost, and the file is let go."""
        factory, number = await self.serve([(b"<", 0, SIZE)] * 20)

        def come_and_go() -> None:
            with socket.create_connection(("127.0.0.1", number), timeout=PATIENCE) as reader:
                reader.recv(1_000)

        await deferToThread(come_and_go)
        while not factory.ended:
            await deferLater(reactor, 0.001)
        (sender,) = factory.senders
        self.assertEqual(sender.taken, 20 - len(sender.left))

    async def test_aborted(self) -> None:
        """An abort while a part waits lets the file go, once."""
        factory, number = await self.serve([(b"<", 0, SIZE)] * 20)
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            reader.setblocking(False)
            reader.connect_ex(("127.0.0.1", number))
            while not factory.senders or not factory.senders[0].paused:
                await deferLater(reactor, 0.001)
            factory.senders[0].transport.abortConnection()
            while not factory.ended:
                await deferLater(reactor, 0.001)
        (sender,) = factory.senders
        self.assertEqual(sender.taken, 20 - len(sender.left))

    async def test_a_kind_of_file_that_the_kernel_does_not_send(self) -> None:
        """It is read instead, in the same place."""
        pieces, expected = self.mixed()
        with patch("os.sendfile", side_effect=OSError(22, "Invalid argument")):
            heard, factory = await self.heard(pieces)
        self.assertTrue(heard == expected)
        self.assertIn("cleanly", str(factory.ended[0].value))


def read_all(port: int, slow: bool) -> bytes:
    with socket.socket() as reader:
        if slow:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        reader.settimeout(PATIENCE)
        heard = bytearray()
        try:
            reader.connect(("127.0.0.1", port))
            while data := reader.recv(1_000 if slow and len(heard) < 20_000 else 65_536):
                heard += data
        except ConnectionResetError:
            heard += b"<reset>"
        return bytes(heard)
