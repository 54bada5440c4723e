"""Connections that are read together hear and end as if the reactor read each."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from fluxon.rpc import Counting, send_directly
from fluxon.rpc.observing import Turn
from fluxon.rpc.readers import _TOGETHER, Readers, readers_for


class Listening(Protocol):
    def __init__(self, factory: Any) -> None:
        self.factory = factory
        self.heard = b""
        self.ended: Failure | None = None

    def connectionMade(self) -> None:
        self.factory.made.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self.factory.hears(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = reason


class Made(Factory):
    def __init__(self) -> None:
        self.made: list[Listening] = []
        self.hears: Any = lambda protocol, data: None

    def buildProtocol(self, addr: Any) -> Listening:
        return Listening(self)


def reads() -> list[Any]:
    return [each for each in reactor.getReaders() if isinstance(each, Readers)]  # type: ignore[attr-defined]


class ReadersTests(TestCase):
    timeout = 30

    async def connected(self, count: int, turn: Turn | None = None) -> tuple[Made, list[socket.socket]]:
        factory = Made()
        port = await TCP4ServerEndpoint(reactor, 0, backlog=256, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        self.assertTrue(send_directly(port, turn))
        self.assertEqual(reads(), [])
        clients = [socket.create_connection(("127.0.0.1", port.getHost().port)) for _ in range(count)]
        for each in clients:
            self.addCleanup(each.close)
        await self.until(lambda: len(factory.made) == count)
        return factory, clients

    async def until(self, condition: Any) -> None:
        while not condition():
            await deferLater(reactor, 0.001)

    async def test_all_are_read(self) -> None:
        """Many that are readable at once all hear; nothing is left in the reactor when the last has gone."""
        factory, clients = await self.connected(40)
        self.assertEqual(len(reads()), 1)
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
        await self.until(lambda: all(each.heard for each in factory.made))
        self.assertEqual({each.heard for each in factory.made}, {b"%d" % number for number in range(40)})
        for client in clients:
            client.close()
        await self.until(lambda: all(each.ended for each in factory.made))
        self.assertEqual(
            {str(each.ended.value) for each in factory.made if each.ended}, {"Connection was closed cleanly."}
        )
        self.assertEqual(reads(), [])

    async def test_one_turn(self) -> None:
        """What several brought is one turn, whose observers hear at its end, once, also if one of them fails."""
        turn, counting = Turn(reactor.seconds), Counting()  # type: ignore[attr-defined]
        factory, clients = await self.connected(5, turn)
        heard: list[tuple[bool, float, int]] = []

        def hears(protocol: Listening, data: bytes) -> None:
            if not counting.prompt:
                turn.observers.append(counting)
            counting.prompt += 1
            heard.append((turn.open, turn.began, counting.requests.count))
            if data == b"4":
                raise ArithmeticError("these bytes")

        factory.hears = hears
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
        await self.until(lambda: len(heard) == 5)
        self.assertEqual(set(heard), {(True, turn.began, 0)})
        self.assertEqual((turn.open, turn.observers, counting.prompt), (False, [], 0))
        self.assertEqual(counting.requests.count, 5)
        self.assertEqual(len(self.flushLoggedErrors(ArithmeticError)), 1)

    async def test_one_that_fails(self) -> None:
        """An exception ends the connection whose bytes caused it, is logged, and harms no other."""
        factory, (bad, good) = await self.connected(2)

        def hears(protocol: Listening, data: bytes) -> None:
            if data == b"bad":
                raise ArithmeticError("these bytes")

        factory.hears = hears
        bad.sendall(b"bad")
        good.sendall(b"good")
        await self.until(lambda: sum(bool(each.ended) for each in factory.made) == 1 and factory.made[1].heard)
        (ended,) = [each for each in factory.made if each.ended]
        self.assertEqual(ended.heard, b"bad")
        self.assertEqual(len(self.flushLoggedErrors(ArithmeticError)), 1)
        good.sendall(b", still")
        await self.until(lambda: any(each.heard == b"good, still" for each in factory.made))

    async def test_one_ends_the_others(self) -> None:
        """Connections that the first of several readable ones ends are not read any more."""
        factory, clients = await self.connected(5)

        def hears(protocol: Listening, data: bytes) -> None:
            for each in factory.made:
                if each is not protocol:
                    each.transport.abortConnection()  # type: ignore[attr-defined]

        factory.hears = hears
        for client in clients:
            client.sendall(b"x")
        await self.until(lambda: sum(bool(each.ended) for each in factory.made) == 4)
        self.assertEqual(sorted(each.heard for each in factory.made), [b"", b"", b"", b"", b"x"])

    async def test_paused(self) -> None:
        """One that pauses its transport is not read until it goes on; others are."""
        factory, (first, second) = await self.connected(2)
        paused = factory.made[0]
        paused.transport.pauseProducing()  # type: ignore[attr-defined]
        for client in (first, second):
            client.sendall(b"x")
        await self.until(lambda: factory.made[1].heard)
        await deferLater(reactor, 0.02)
        self.assertEqual(paused.heard, b"")
        paused.transport.resumeProducing()  # type: ignore[attr-defined]
        await self.until(lambda: paused.heard)

    async def test_going_on_again(self) -> None:
        """One that is read already, and is told to go on, is read once; and not at all when it pauses then."""
        factory, (first, second) = await self.connected(2)
        paused, other = factory.made
        for _ in range(2):
            paused.transport.resumeProducing()  # type: ignore[attr-defined]
        first.sendall(b"x")
        await self.until(lambda: paused.heard)
        self.assertEqual(paused.heard, b"x")
        for _ in range(2):
            paused.transport.pauseProducing()  # type: ignore[attr-defined]
        for client in (first, second):
            client.sendall(b"y")
        await self.until(lambda: other.heard)
        await deferLater(reactor, 0.02)
        self.assertEqual(paused.heard, b"x")

    async def test_only_gone(self) -> None:
        """What has nothing to read, and nobody at its other end any more, is told so, as the reactor tells it."""
        readers = Readers(reactor, None)
        gone: list[Failure] = []

        class Pipe:
            """The end of a pipe that is read: its other end leaves without a byte that says so."""

            def __init__(self) -> None:
                self.descriptor, self.other = os.pipe()

            def fileno(self) -> int:
                return self.descriptor

            def doRead(self) -> None:
                raise AssertionError("there is nothing to read")

            def connectionLost(self, reason: Failure) -> None:
                gone.append(reason)
                readers.remove(self)
                os.close(self.descriptor)

            def send_held(self) -> None:
                """Nothing is."""

        pipe = Pipe()
        readers.add(pipe)
        os.close(pipe.other)
        await self.until(lambda: gone)
        self.assertEqual([each.type for each in gone], [ConnectionDone])
        self.assertEqual(reads(), [])

    async def test_many_answers(self) -> None:
        """Of very many that are read in one go the first do not wait for the last: so many answers, and they leave."""
        factory, clients = await self.connected(3 * _TOGETHER)
        (readers,) = reads()
        waiting: list[int] = []

        def hears(protocol: Listening, data: bytes) -> None:
            protocol.transport.write(data)  # type: ignore[union-attr]
            waiting.append(len(readers.sending))

        factory.hears = hears
        for number, client in enumerate(clients):
            client.sendall(b"%04d" % number)
        await self.until(lambda: len(waiting) == len(clients))
        self.assertEqual(max(waiting), _TOGETHER)
        self.assertEqual(readers.sending, [])
        for number, client in enumerate(clients):
            client.settimeout(20)
            self.assertEqual(await deferToThread(self.received, client, 4), b"%04d" % number)

    async def test_answers(self) -> None:
        """What is sent while several are read arrives whole and in order: little, much, in pieces, before an end."""
        factory, clients = await self.connected(40)
        much = bytes(range(256)) * 8_000

        def hears(protocol: Listening, data: bytes) -> None:
            transport: Any = protocol.transport
            transport.write(data)
            if data == b"much":
                transport.write(much)
            elif data == b"pieces":
                transport.writeSequence([b"1", b"2"])
                transport.write(b"3")
            elif data == b"end":
                transport.loseConnection()

        factory.hears = hears
        wanted = {b"little": b"little", b"much": b"much" + much, b"pieces": b"pieces123", b"end": b"end"}
        asked = [list(wanted)[number % 4] for number in range(40)]
        for client, each in zip(clients, asked, strict=True):
            client.sendall(each)
        for client, each in zip(clients, asked, strict=True):
            client.settimeout(20)
            self.assertEqual(await deferToThread(self.received, client, len(wanted[each])), wanted[each])
            if each == b"end":
                self.assertEqual(await deferToThread(client.recv, 1), b"")
        await self.until(lambda: sum(bool(each.ended) for each in factory.made) == 10)

    async def test_full_sockets(self) -> None:
        """What the socket takes a part of goes on where it stopped."""
        factory, clients = await self.connected(2)
        parts = [b"%08d" % number * 500 for number in range(200)]
        for each in factory.made:
            each.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)  # type: ignore[attr-defined]
        factory.hears = lambda protocol, data: protocol.transport.write(parts[len(protocol.heard) - 1])
        for number in range(len(parts)):
            for client in clients:
                client.sendall(b"x")
            await self.until(lambda wanted=number + 1: all(len(each.heard) == wanted for each in factory.made))
        for client in clients:
            client.settimeout(20)
            heard = await deferToThread(self.received, client, sum(map(len, parts)))
            self.assertTrue(heard == b"".join(parts))

    def received(self, client: socket.socket, size: int) -> bytes:
        heard = b""
        while len(heard) < size and (data := client.recv(size - len(heard))):
            heard += data
        return heard

    async def test_a_reset(self) -> None:
        """The other side's reset ends the connection uncleanly."""
        factory, (client,) = await self.connected(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.close()
        await self.until(lambda: factory.made[0].ended)
        assert factory.made[0].ended is not None
        self.assertNotIn("cleanly", str(factory.made[0].ended.value))

    async def test_the_reactor_ends(self) -> None:
        """What the reactor tells its readers when it ends, each of the connections hears."""
        factory, _ = await self.connected(3)
        (readers,) = reads()
        readers.connectionLost(Failure(ConnectionError("it ends")))
        self.assertEqual([str(each.ended.value) for each in factory.made if each.ended], ["it ends"] * 3)
        self.assertEqual(reads(), [])

    def test_other_reactors(self) -> None:
        """Where a reactor lacks what this needs, it reads its connections itself."""
        self.assertIsNone(readers_for(object()))
        self.assertIsNotNone(readers_for(reactor))
        self.assertEqual(reads(), [])
