"""Factories: what all connections of one listener, or of one client, have in common.

Any Twisted endpoint can listen or connect with one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Any

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from fluxon.addresses import is_local, network_of
from fluxon.bounds import for_client
from fluxon.limits import Limits
from fluxon.rpc.allowances import Allowances, Holder
from fluxon.rpc.busy import BusyReads
from fluxon.rpc.heartbeat import Watch
from fluxon.rpc.heavy import HeavyReads
from fluxon.rpc.load import Load
from fluxon.rpc.observing import Turn
from fluxon.rpc.peer import Peer
from fluxon.rpc.protocol import PeerProtocol
from fluxon.rpc.responders import Responders
from fluxon.rpc.telling import Telling
from fluxon.wire import Conversation, Tell

#: Places at the other side that ordinary asks leave free: a new token or a hello must not be refused for want of one.
URGENT = 4


class PeerFactory(Factory):
    """Makes a ``PeerProtocol`` for each connection; see ``ServerFactory`` and ``ClientFactory``."""

    noisy = False
    greeted_from_start = False
    #: Whether the other side is told before a connection is drained.
    takes_leave = True

    def __init__(
        self,
        responders: Responders,
        clock: IReactorTime,
        limits: Limits | None = None,
        *,
        on_disconnect: Callable[[Peer, Failure], Any] | None = None,
    ) -> None:
        self.responders = responders
        self.clock = clock
        self.limits = limits or Limits()
        self.watch = Watch(clock, self.limits, self.limits.heartbeat)
        self.load = Load(self.limits.in_flight_total, self.limits.in_flight_kept)
        self.busy = BusyReads(self.limits)
        self.turn = Turn(clock.seconds)
        self.heavy = HeavyReads(self.busy, clock)
        self.allowances = Allowances(self.limits)
        #: Bytes that came from connections, and that were handed to them, so far.
        self.received = self.sent = 0
        #: The connections that are open now.
        self.peers: set[Peer] = set()
        #: How many there have been.
        self.accepted = 0
        self._by_address: Counter[str] = Counter()
        self._on_disconnect = on_disconnect

    def buildProtocol(self, addr: IAddress | None) -> PeerProtocol:  # type: ignore[override]
        protocol = PeerProtocol(self, self.converse())
        protocol.peer.greeted = self.greeted_from_start
        return protocol

    def converse(self) -> Conversation:
        """The state of a new connection, with this side's limits."""
        raise NotImplementedError

    def refusal(self, address: str | None) -> str | None:
        """Why a connection from ``address`` is not wanted now; None if it is."""
        if len(self.peers) >= self.limits.connections:
            return "there are too many connections"
        return self._refusal_of(address)

    def _refusal_of(self, address: str | None) -> str | None:
        limit = for_client(self.limits.connections_per_address, is_local(address))
        if address is not None and limit is not None and self._by_address[network_of(address)] >= limit:
            return "there are too many connections from its address"
        return None

    def connected(self, peer: Peer) -> None:
        """A connection is made."""
        peer.since = self.clock.seconds()
        self.peers.add(peer)
        self.accepted += 1
        self._count(peer.protocol.address, 1)

    def disconnected(self, peer: Peer, reason: Failure) -> None:
        """A connection is lost."""
        if peer not in self.peers:
            return  # it was refused
        self.peers.discard(peer)
        self._count(peer.protocol.address, -1)
        if self._on_disconnect is not None:
            self._on_disconnect(peer, reason)

    def host_of(self, protocol: PeerProtocol) -> str | None:
        """Where the other side says that it is now."""
        host: str | None = getattr(protocol.transport.getPeer(), "host", None)
        return host

    def introduce(self, peer: Peer) -> None:
        """The other side asks before it has said hello."""

    def told(self, peer: Peer, tell: Tell) -> None:
        """The other side tells something."""

    def locate(self, peer: Peer) -> None:
        """Look again who the other side is: what a proxy says of its client comes with the first bytes (``haproxy:``).

        Ends the connection if that client has too many already.
        """
        protocol = peer.protocol
        address = self.host_of(protocol)
        if address != protocol.address:
            self._count(protocol.address, -1)
            refusal = self._refusal_of(address)
            self._count(address, 1)
            protocol.address = address
            if refusal is not None:
                protocol.abort(refusal)

    def _count(self, address: str | None, change: int) -> None:
        if address is not None:
            network = network_of(address)
            self._by_address[network] += change
            if not self._by_address[network]:
                del self._by_address[network]

    def used(self) -> dict[str, float]:
        """What is used of the limits that are a port's, by their names; the most of any, where they are each one's."""
        peers, now = self.peers, self.clock.seconds()
        return {
            "connections": len(peers),
            "connections_per_address": max(self._by_address.values(), default=0),
            "in_flight": max((peer.conversation.working for peer in peers), default=0),
            "in_flight_total": self.load.count,
            "waiting_asks": max((peer.conversation.waiting for peer in peers), default=0),
            "waiting_bytes": max((peer.conversation.waiting_bytes for peer in peers), default=0),
            "output_abort": max((peer.protocol.backlog for peer in peers), default=0),
            "streams": max((len(peer.streams) for peer in peers), default=0),
            "request_rate_per_address": self.allowances.busiest(now),
        }


class ServerFactory(PeerFactory):
    """For a listening endpoint: answers nothing before hello, and nobody too often."""

    def introduce(self, peer: Peer) -> None:
        """A stranger asks, who may turn out to be from elsewhere (``locate``): bound how often."""
        self.locate(peer)
        if peer.allowance is None:
            self.allow(peer, None)

    def allow(self, peer: Peer, holder: Holder | None) -> None:
        """Let ``peer`` ask as often as its address and ``holder``, its session if it has one, may."""
        peer.allowance = self.allowances.of(peer.protocol.address, holder, self.clock.seconds())

    def converse(self) -> Conversation:
        limits = self.limits
        return Conversation(
            receive_limit=limits.frame_before_hello,
            send_limit=limits.frame_to_client,
            item_limit=limits.items_before_hello,
            in_flight=limits.in_flight,
            ask_limit=max(1, limits.in_flight - URGENT),
            waiting_limit=limits.waiting_asks,
            waiting_bytes_limit=limits.waiting_bytes,
            unsolicited_limit=limits.unsolicited,
            stream_limit=limits.streams,
            templates=self.responders.templates,
        )


class ClientFactory(PeerFactory):
    """For a connecting endpoint: answers from the start, and asks for hello first."""

    greeted_from_start = True
    takes_leave = False

    def __init__(self, responders: Responders, clock: IReactorTime, limits: Limits | None = None, **told: Any) -> None:
        super().__init__(responders, clock, limits, **told)
        self._telling = Telling(responders)

    def watch_every(self, heartbeat: float) -> None:
        """The server says how long it may be silent, in seconds; 0 for ever. For connections greeted from now on."""
        heartbeat = heartbeat or inf
        if heartbeat != self.watch.heartbeat:
            self.watch = Watch(self.clock, self.limits, heartbeat)

    def told(self, peer: Peer, tell: Tell) -> None:
        self._telling.told(peer, tell)

    def converse(self) -> Conversation:
        limits = self.limits
        return Conversation(
            receive_limit=limits.frame_to_client,
            send_limit=limits.frame_before_hello,
            in_flight=limits.in_flight,
            ask_limit=max(1, limits.in_flight - URGENT),
            waiting_limit=limits.waiting_asks,
            unsolicited_limit=limits.unsolicited,
            takes_tells=True,
        )
