"""Listening and connecting in memory, as Twisted's endpoints.

Rules of this module: a listener is found by its name, a client that finds none is refused as by a real machine; every
client has a port number of its own, and the address that the test gives it.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionRefusedError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from zope.interface import implementer

from fluxon.testing.calling import Calls
from fluxon.testing.link import Link

#: Where clients are unless a test says otherwise.
LOCALHOST = "127.0.0.1"


class Network:
    """All listeners and links of a test."""

    def __init__(self, calls: Calls, reactor: IReactorTime) -> None:
        self._calls = calls
        self._reactor = reactor
        self._listening: dict[int, IProtocolFactory] = {}
        self._ports = count(50_000)
        #: Every connection that there is.
        self.links: set[Link] = set()

    def listen(self, port: int, factory: IProtocolFactory) -> MemoryPort:
        """Have ``factory`` serve the clients that connect to ``port``."""
        self._listening[port] = factory
        factory.doStart()
        return MemoryPort(self, port)

    def close(self, port: int) -> None:
        """Serve no more clients at ``port``."""
        factory = self._listening.pop(port, None)
        if factory is not None:
            factory.doStop()

    def connect(self, port: int, factory: IProtocolFactory, address: str) -> tuple[Link, Any]:
        """A link from ``address``, and the client's protocol. Raises Twisted's ``ConnectError``."""
        listening = self._listening.get(port)
        if listening is None:
            raise ConnectionRefusedError()
        link = Link(
            self._calls,
            self._reactor,
            IPv4Address("TCP", address, next(self._ports)),
            IPv4Address("TCP", LOCALHOST, port),
            self.links.discard,
        )
        client = factory.buildProtocol(link.client.getPeer())
        server = listening.buildProtocol(link.server.getPeer())
        if client is None or server is None:
            raise ConnectionRefusedError()
        link.client.protocol, link.server.protocol = client, server
        self.links.add(link)
        server.makeConnection(link.server)
        client.makeConnection(link.client)
        return link, client

    def heal(self) -> None:
        """No fault is in force any more."""
        for link in self.links:
            for direction in (link.to_server, link.to_client):
                direction.delay(0)
                direction.release()


@implementer(IListeningPort)
class MemoryPort:
    """What a server listens on."""

    def __init__(self, network: Network, port: int) -> None:
        self._network = network
        self._port = port

    def startListening(self) -> None:
        """It does from the beginning."""

    def stopListening(self) -> Deferred[None]:
        """Take no more clients; those that there are stay."""
        self._network.close(self._port)
        return succeed(None)

    def getHost(self) -> IPv4Address:
        """Its address, which leads nowhere outside of the test."""
        return IPv4Address("TCP", LOCALHOST, self._port)


@implementer(IStreamServerEndpoint)
class MemoryServerEndpoint:
    """For a server: ``AsyncServer(endpoint=...)``."""

    def __init__(self, network: Network, port: int) -> None:
        self._network = network
        self._port = port

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen at the endpoint's port."""
        port: IListeningPort = self._network.listen(self._port, protocolFactory)
        return succeed(port)


@implementer(IStreamClientEndpoint)
class MemoryClientEndpoint:
    """For a client: ``connect(reactor, endpoint)``. ``link`` is the newest connection that was made with it."""

    def __init__(self, network: Network, port: int, address: str = LOCALHOST) -> None:
        self._network = network
        self._port = port
        self._address = address
        self.link: Link | None = None

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Connect to whoever listens at the endpoint's port."""
        try:
            self.link, protocol = self._network.connect(self._port, protocolFactory, self._address)
        except ConnectError:
            return fail()
        return succeed(protocol)
