"""One port and its connections, from listening to the last one's end.

Rules of this module:

- Stopping: no new connections, then no new requests, then those under way get ``Limits.drain`` seconds, then the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from fluxon.endpoint.foundation import Foundation, carried_out
from fluxon.endpoint.listening import address_of, listen
from fluxon.limits import Limits
from fluxon.rpc import Peer, Responders, ServerFactory

_log = Logger(namespace="fluxon.server")


class Listener:
    """Answers with ``responders`` on a port of its own.

    ``let_go(peer)`` has a connection end when what is under way on it is done; without one, that is its requests.
    ``on_disconnect(peer)`` hears of each connection that has ended.
    """

    port: IListeningPort
    #: With TLS, once it is open.
    secure = False

    def __init__(
        self,
        foundation: Foundation,
        responders: Responders,
        limits: Limits,
        *,
        name: str = "",
        let_go: Callable[[Peer], None] | None = None,
        on_disconnect: Callable[[Peer], None] | None = None,
    ) -> None:
        self._foundation = foundation
        self._limits = limits
        self._name = name
        self._let_go = let_go or _let_requests_end
        self._on_disconnect = on_disconnect
        self._emptied: Deferred[None] | None = None
        self._hurried = False
        #: Whether it was opened.
        self.listening = False
        self.factory = ServerFactory(responders, foundation.reactor, limits, on_disconnect=self._disconnected)

    async def open(self, endpoint: IStreamServerEndpoint, secure: bool) -> None:
        """Listen: who can connect from now on is served."""
        tls = await self._foundation.tls() if secure else None
        self.port = await listen(endpoint, self.factory, tls)
        self.listening = True
        self.secure = secure
        _log.info(
            "{name}listening on {address} {how}",
            name=self._name,
            address=address_of(self.port),
            how="with TLS" if secure else "without TLS",
        )

    def _disconnected(self, peer: Peer, _: Any) -> None:
        self._foundation.greeting.leave(peer)
        if self._on_disconnect is not None:
            self._on_disconnect(peer)
        if self._emptied is not None and not self.factory.peers:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    async def close(self) -> None:
        """Take no more connections, and end those that there are."""
        if self.listening:
            await carried_out("closing the port", self.port.stopListening)
        await self._drain()

    def hurry(self) -> None:
        """While it closes, or is about to: do not wait for requests."""
        self._hurried = True
        if self._emptied is not None:
            self._end_all()

    async def _drain(self) -> None:
        if not self.factory.peers:
            return
        emptied = self._emptied = Deferred()
        patience = 0.0 if self._hurried else self._limits.drain
        overdue = self._foundation.reactor.callLater(patience, self._end_all)
        for peer in tuple(self.factory.peers):
            self._let_go(peer)
        await emptied
        if overdue.active():
            overdue.cancel()

    def _end_all(self) -> None:
        _log.warn("{count} connections had requests or streams that did not end in time", count=len(self.factory.peers))
        for peer in tuple(self.factory.peers):
            # One that was not let go yet takes nothing new either.
            peer.protocol.drain()
            # Every deadline is over: what runs is told to stop, its clients are told, and the connection closes.
            peer.end_all()


def _let_requests_end(peer: Peer) -> None:
    peer.protocol.drain()
