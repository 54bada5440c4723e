"""Where a server listens: what becomes of an endpoint that cannot, and where operators' ports are."""

from __future__ import annotations

import errno
from typing import Any

from serving import ServingTestCase
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from fluxon.endpoint import AsyncServer
from fluxon.endpoint.listening import choose_operators
from fluxon.errors import ConfigurationError, Unavailable


@implementer(IStreamServerEndpoint)
class Refusing:
    """An endpoint where the system lets nobody listen."""

    def __init__(self, interface: str, port: int, code: int) -> None:
        self._error = CannotListenError(interface, port, OSError(code, "the system's words"))

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        return fail(self._error)


class ListeningTests(ServingTestCase):
    async def test_why_not(self) -> None:
        """Each reason of the system's is told with what to do about it; one that is unknown in its own words."""
        for interface, port, code, kind, words in (
            ("127.0.0.1", 8080, errno.EADDRINUSE, Unavailable, "127.0.0.1:8080 is in use"),
            ("", 8080, errno.EADDRINUSE, Unavailable, "port 8080 is in use"),
            ("", 80, errno.EACCES, ConfigurationError, "choose a port from 1024 on"),
            ("192.0.2.1", 8080, errno.EADDRNOTAVAIL, ConfigurationError, "no address of this machine"),
            ("", 8080, errno.EMFILE, Unavailable, "nobody can listen on port 8080: [Errno 24] the system's words"),
        ):
            endpoint = Refusing(interface, port, code)
            server = AsyncServer(setup=self.setup_of(), endpoint=endpoint)
            server.startService()
            error = await self.fails(kind, server.when_ready())
            self.assertIn(words, error.text)
            await server.stopService()

    def test_operators(self) -> None:
        """Their ports are on this machine only, unless an interface is named; an endpoint stays what it is."""
        for port, interface in (
            (2222, "127.0.0.1"),
            ("2222", "127.0.0.1"),
            ("tcp:2222", "127.0.0.1"),
            ("tcp:2222:interface=10.0.0.1", "10.0.0.1"),
        ):
            memory: Any = MemoryReactorClock()
            choose_operators(memory, port).listen(None)  # type: ignore[arg-type]
            self.assertEqual(memory.tcpServers[0][0], 2222)
            self.assertEqual(memory.tcpServers[0][3], interface, port)
        endpoint = TCP4ServerEndpoint(MemoryReactorClock(), 2222)
        self.assertIs(choose_operators(MemoryReactorClock(), endpoint), endpoint)
        self.assertRaises(ConfigurationError, choose_operators, MemoryReactorClock(), object())
