"""The streams between a cloud's port and its clients: how many, whose, and for how long.

Rules of this module:

- Every few seconds each is looked at. One whose connection no longer belongs to whoever began it is given up: who was
  thrown out hears and says nothing more. So is one that hardly moves: it holds a descriptor that others want.
- A server that stops lets them end, commits included, and takes nothing new meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from fluxon.cloud.serving.clients import Clients, owner_of
from fluxon.errors import DeadlineExceeded, FluxonError, ResourceExhausted, Unauthenticated
from fluxon.limits import Limits
from fluxon.rpc import Peer

_log = Logger(namespace="fluxon.cloud")

Stream = Any


@attrs.define(eq=False)
class _Transfer:
    peer: Peer
    owner: Hashable
    stream: Stream
    #: Tells how many bytes it has moved.
    moved: Callable[[], int]
    seen: int
    seen_at: float


class Slots:
    """Places for ``what``, of which there are ``total``, and ``each`` for one owner."""

    def __init__(self, what: str, total: int, each: int) -> None:
        self._what = what
        self._total = total
        self._each = each
        self._taken: Counter[Hashable] = Counter()
        self._count = 0

    @property
    def count(self) -> int:
        """How many are taken."""
        return self._count

    @property
    def most(self) -> int:
        """The most that one owner has taken."""
        return max(self._taken.values(), default=0)

    def has_room(self, owner: Hashable) -> bool:
        """Whether ``owner`` may take one more of their own."""
        return self._taken[owner] < self._each

    def take(self, owner: Hashable) -> None:
        """Take one. ``ResourceExhausted`` when none is left."""
        if not self.has_room(owner):
            raise ResourceExhausted(f"{self._each} {self._what} of yours are under way; wait for one to end")
        if self._count >= self._total:
            raise ResourceExhausted(f"too many {self._what} are under way; try again in a moment")
        self._taken[owner] += 1
        self._count += 1

    def give_back(self, owner: Hashable) -> None:
        """One has ended."""
        self._count -= 1
        self._taken[owner] -= 1
        if not self._taken[owner]:
            del self._taken[owner]


class Transfers:
    """The streams of all connections of a port."""

    def __init__(self, clients: Clients, limits: Limits, reactor: Any) -> None:
        self._clients = clients
        self._limits = limits
        self._of_peer: dict[Peer, set[_Transfer]] = {}
        # What keeps a stopping server's connection open besides streams: uploads that wait for their commit.
        self._unfinished: Counter[Peer] = Counter()
        self._leaving: set[Peer] = set()
        self._also: list[Callable[[float], None]] = []
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def start(self) -> None:
        """Begin to look at them."""
        self._looking.start(self._limits.session_freshness, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._looking.running:
            self._looking.stop()

    def at_each_look(self, function: Callable[[float], None]) -> None:
        """Have ``function(now)`` called with every look."""
        self._also.append(function)

    def begin(self, peer: Peer, stream: Stream, moved: Callable[[], int], ended: Callable[[], None]) -> None:
        """``stream`` will be one of ``peer``'s; ``ended()`` is called when it has ended, however."""
        transfer = _Transfer(peer, owner_of(peer), stream, moved, moved(), self._clients.now())
        self._of_peer.setdefault(peer, set()).add(transfer)
        stream.when_done().addBoth(lambda _: self._ended(transfer, ended))

    def _ended(self, transfer: _Transfer, ended: Callable[[], None]) -> None:
        peer = transfer.peer
        transfers = self._of_peer[peer]
        transfers.discard(transfer)
        if not transfers:
            del self._of_peer[peer]
        ended()
        self._settle(peer)

    # --- looking ------------------------------------------------------------------------------------------------------

    def _look(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._look_at_all()).addErrback(
            lambda failure: _log.failure("looking after transfers failed", failure)
        )

    async def _look_at_all(self) -> None:
        now = self._clients.now()
        for function in self._also:
            function(now)
        for peer in list(self._of_peer):
            try:
                await self._clients.confirm(peer)
            except FluxonError:
                continue  # nobody can be asked now, or the connection is lost; the next look is soon
            owner = owner_of(peer)
            for transfer in list(self._of_peer.get(peer, ())):
                if transfer.owner != owner:
                    transfer.stream.give_up(Unauthenticated("the session that began this transfer is over"))
                elif self._stalls(transfer, now):
                    transfer.stream.give_up(DeadlineExceeded("the transfer did not move for too long"))

    def _stalls(self, transfer: _Transfer, now: float) -> bool:
        if now - transfer.seen_at < self._limits.cloud_stalled:
            return False
        moved = transfer.moved()
        stalls = moved - transfer.seen < self._limits.frame_rate * self._limits.cloud_stalled
        transfer.seen, transfer.seen_at = moved, now
        return stalls

    # --- stopping -----------------------------------------------------------------------------------------------------

    def hold(self, peer: Peer) -> None:
        """``peer`` has begun what only another command of its own will finish."""
        self._unfinished[peer] += 1

    def release(self, peer: Peer) -> None:
        """That is finished, or never will be."""
        self._unfinished[peer] -= 1
        if not self._unfinished[peer]:
            del self._unfinished[peer]
        self._settle(peer)

    def let_go(self, peer: Peer) -> None:
        """The server stops: end the connection when nothing is under way on it."""
        self._leaving.add(peer)
        self._settle(peer)

    def _settle(self, peer: Peer) -> None:
        if peer in self._leaving and peer not in self._of_peer and peer not in self._unfinished:
            self._leaving.discard(peer)
            if not peer.lost:
                peer.protocol.drain()
