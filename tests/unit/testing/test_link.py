"""Connections in memory: they behave as TCP does, but for the faults that a test asks for."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from fluxon.testing.calling import Calls
from fluxon.testing.clock import Clock, ClockedReactor
from fluxon.testing.network import MemoryClientEndpoint, MemoryServerEndpoint, Network
from fluxon.testing.transport import BUFFER
from fluxon.wire.frames import frame


class Noting(Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.lost: Any = None
        self.paused = False
        self.stopped = False

    def dataReceived(self, data: bytes) -> None:
        self.received.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        assert self.lost is None, "told twice"
        self.lost = reason.type

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self.stopped = True


class LinkTests(TestCase):
    """A client ``here``, a server ``there``, and the ``link`` between them."""

    async def setUp(self) -> None:
        calls = Calls(reactor, blocks=False)
        self.clock = Clock(calls, 0.0)
        self.addCleanup(self.clock.stop)
        self.network = Network(calls, ClockedReactor(reactor, self.clock))
        served: list[Noting] = []

        def build(_: Any = None) -> Noting:
            served.append(Noting())
            return served[-1]

        factory = Factory()
        factory.buildProtocol = build  # type: ignore[method-assign]
        self.port = await MemoryServerEndpoint(self.network, 1).listen(factory)
        self.endpoint = MemoryClientEndpoint(self.network, 1, "10.0.0.7")
        self.here = await self.endpoint.connect(Factory.forProtocol(Noting))
        assert self.endpoint.link is not None
        self.link = self.endpoint.link
        [self.there] = served

    async def settled(self) -> None:
        await self.clock.advance(0)

    async def test_both_ways(self) -> None:
        """Nothing arrives within the call that sends; everything does soon, whole frames at a time, and in order."""
        self.here.transport.write(frame(b"one") + frame(b"two")[:3])
        self.here.transport.writeSequence([frame(b"two")[3:], frame(b"three")])
        self.there.transport.write(frame(b"back"))
        self.assertEqual(self.there.received, [])
        await self.settled()
        self.assertEqual(self.there.received, [frame(b"one"), frame(b"two"), frame(b"three")])
        self.assertEqual(self.here.received, [frame(b"back")])

    async def test_who_is_at_the_other_end(self) -> None:
        """The server sees the address that the test chose, and each connection has a port of its own."""
        self.assertEqual(self.there.transport.getPeer().host, "10.0.0.7")
        self.assertEqual(self.there.transport.getPeer(), self.here.transport.getHost())
        self.assertEqual(self.here.transport.getPeer(), self.port.getHost())
        await MemoryClientEndpoint(self.network, 1).connect(Factory.forProtocol(Noting))
        self.assertEqual(len({each.client.getHost().port for each in self.network.links}), 2)
        self.link.cut()
        await self.settled()
        self.assertNotIn(self.link, self.network.links)

    async def test_nobody_listens(self) -> None:
        """At another port, and at one that was closed."""
        await self.port.stopListening()
        for port in (1, 2):
            connecting = MemoryClientEndpoint(self.network, port).connect(Factory.forProtocol(Noting))
            await self.assertFailure(connecting, ConnectionRefusedError)

    async def test_who_is_not_served(self) -> None:
        """A server that takes no more connections refuses one, and no link is left of it."""
        before = set(self.network.links)
        factory = Factory()
        factory.buildProtocol = lambda _: None  # type: ignore[method-assign]
        await MemoryServerEndpoint(self.network, 2).listen(factory)
        connecting = MemoryClientEndpoint(self.network, 2).connect(Factory.forProtocol(Noting))
        await self.assertFailure(connecting, ConnectionRefusedError)
        self.assertEqual(self.network.links, before)

    async def test_what_listens(self) -> None:
        """Hears that it begins and ends, once, as Twisted's ports tell their factories."""
        heard: list[str] = []
        factory = Factory.forProtocol(Noting)
        factory.startFactory = lambda: heard.append("start")  # type: ignore[method-assign]
        factory.stopFactory = lambda: heard.append("stop")  # type: ignore[method-assign]
        port = await MemoryServerEndpoint(self.network, 2).listen(factory)
        self.assertEqual(heard, ["start"])
        for _ in range(2):
            await port.stopListening()
        self.assertEqual(heard, ["start", "stop"])

    async def test_what_is_no_frame(self) -> None:
        """Bytes of another protocol travel as they come."""
        self.here.transport.write(b"GET / HTTP/1.1\r\n")
        await self.settled()
        self.here.transport.write(b"\r\n")
        await self.settled()
        self.assertEqual(b"".join(self.there.received), b"GET / HTTP/1.1\r\n\r\n")

    async def test_half_a_frame(self) -> None:
        """Waits for its other half, whatever part of it is there."""
        whole = frame(b"x" * 100)
        for size in (len(whole) - 1, 20, 2):
            self.there.received.clear()
            self.here.transport.write(whole[:size])
            await self.settled()
            self.assertEqual(self.there.received, [], size)
            self.here.transport.write(whole[size:])
            await self.settled()
            self.assertEqual(self.there.received, [whole], size)

    async def test_sooner_and_later(self) -> None:
        """What is here now is not held up by what is late."""
        self.here.transport.write(frame(b"now"))
        self.link.to_server.delay(2)
        self.here.transport.write(frame(b"late"))
        await self.settled()
        self.assertEqual(self.there.received, [frame(b"now")])
        await self.clock.advance(2)
        self.assertEqual(self.there.received, [frame(b"now"), frame(b"late")])

    async def test_late(self) -> None:
        """By the clock; what is sent without delay afterwards does not overtake."""
        self.link.to_server.delay(2)
        self.here.transport.write(frame(b"late"))
        self.link.to_server.delay(0)
        self.here.transport.write(frame(b"later"))
        await self.clock.advance(1.9)
        self.assertEqual(self.there.received, [])
        await self.clock.advance(0.1)
        self.assertEqual(self.there.received, [frame(b"late"), frame(b"later")])

    async def test_held(self) -> None:
        """One direction waits for the test; the other goes on."""
        self.link.to_server.hold()
        self.here.transport.write(frame(b"held"))
        self.there.transport.write(frame(b"free"))
        await self.clock.advance(3_600)
        self.assertEqual((self.there.received, self.here.received), ([], [frame(b"free")]))
        self.link.to_server.release()
        await self.settled()
        self.assertEqual(self.there.received, [frame(b"held")])

    async def test_twice(self) -> None:
        """As many frames as the test says, each right behind itself."""
        self.link.to_server.duplicate(2)
        self.here.transport.write(frame(b"a") + frame(b"b") + frame(b"c"))
        await self.settled()
        self.assertEqual(self.there.received, [frame(each) for each in (b"a", b"a", b"b", b"b", b"c")])

    async def test_lost(self) -> None:
        """The frame that is lost takes the connection with it, after those before it have arrived."""
        self.link.to_server.lose(after=1)
        self.here.transport.write(frame(b"a") + frame(b"b") + frame(b"c"))
        await self.settled()
        self.assertEqual(self.there.received, [frame(b"a")])
        self.assertEqual((self.here.lost, self.there.lost), (ConnectionLost, ConnectionLost))
        self.assertFalse(self.link.open)

    async def test_cut(self) -> None:
        """At once: what is on the way does not arrive, and both ends hear of it, once."""
        self.here.transport.write(frame(b"a"))
        self.link.cut()
        self.link.cut()
        await self.settled()
        self.assertEqual((self.there.received, self.here.lost, self.there.lost), ([], ConnectionLost, ConnectionLost))
        self.here.transport.write(frame(b"to nobody"))
        await self.settled()
        self.assertEqual(self.there.received, [])

    async def test_before_anybody_hears_of_the_end(self) -> None:
        """What is sent into a line that is cut, and that neither end knows to be, arrives nowhere and fails nowhere."""
        self.link.cut()
        self.here.transport.write(frame(b"to nobody"))
        await self.settled()
        self.assertEqual((self.there.received, self.here.lost), ([], ConnectionLost))
        self.assertEqual((self.link.to_server.size, self.link.to_server.delivered), (0, 0))

    async def test_a_polite_close(self) -> None:
        """Lets everything arrive first, and waits for a producer."""
        transport = self.here.transport
        transport.registerProducer(self.here, True)
        transport.write(frame(b"last words"))
        transport.loseConnection()
        transport.write(frame(b"too late"))
        await self.settled()
        self.assertEqual((self.there.received, self.there.lost), ([frame(b"last words")], None))
        transport.unregisterProducer()
        await self.settled()
        self.assertEqual((self.here.lost, self.there.lost), (ConnectionDone, ConnectionDone))

    async def test_an_abort(self) -> None:
        """Drops what is on the way."""
        self.here.transport.write(frame(b"a"))
        self.here.transport.abortConnection()
        await self.settled()
        self.assertEqual(
            (self.there.received, self.here.lost, self.there.lost), ([], ConnectionAborted, ConnectionLost)
        )

    async def test_other_producers(self) -> None:
        """One that comes when the connection is lost is stopped; pull producers have no place here."""
        self.assertRaises(NotImplementedError, self.there.transport.registerProducer, self.there, False)
        self.link.cut()
        await self.settled()
        self.here.transport.registerProducer(self.here, True)
        self.assertTrue(self.here.stopped)

    async def test_a_producer(self) -> None:
        """Pauses while much is on the way, and goes on when nothing is; one direction has one."""
        self.here.transport.registerProducer(self.here, True)
        self.assertRaises(RuntimeError, self.here.transport.registerProducer, self.here, True)
        self.link.to_server.hold()
        self.here.transport.write(frame(b"x" * BUFFER))
        await self.settled()
        self.assertEqual((self.here.paused, self.there.received), (True, []))
        self.link.to_server.release()
        await self.settled()
        self.assertEqual((self.here.paused, len(self.there.received)), (False, 1))
