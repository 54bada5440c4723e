"""The cloud storage's port: its commands, transfers and watches, on a foundation and behind a listener.

Rules of this module: who can connect is served, and who cannot any more is not forgotten; a port that closes takes
nothing new, lets transfers end (their commits included) within ``Limits.drain``, and ends the rest.
"""

from __future__ import annotations

import attrs
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint

from fluxon.cloud.serving.clients import Clients
from fluxon.cloud.serving.downloads import Downloads
from fluxon.cloud.serving.responders import responders
from fluxon.cloud.serving.transfers import Transfers
from fluxon.cloud.serving.uploads import Uploads
from fluxon.cloud.serving.watching import Watches
from fluxon.commands.cloud import INLINE
from fluxon.endpoint.foundation import Foundation, carried_out
from fluxon.endpoint.listener import Listener
from fluxon.fairness import FairThreads
from fluxon.limits import KIB, Limits
from fluxon.routing.greeting import Greeting
from fluxon.rpc import Counted, Peer, Responders

#: What a write of ``INLINE`` bytes has around it: a path, a lock's name, their names.
_AROUND = 8 * KIB


class CloudPort:
    """One run of a cloud's port."""

    def __init__(self, foundation: Foundation, endpoint: IStreamServerEndpoint, secure: bool) -> None:
        self.foundation = foundation
        self._endpoint = endpoint
        self._secure = secure
        self._listener: Listener | None = None

    @property
    def port(self) -> IListeningPort:
        """What it listens on."""
        return self.listener.port

    @property
    def listener(self) -> Listener:
        """Its port and connections."""
        assert self._listener is not None
        return self._listener

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread."""
        return self._threads.waiting

    def used(self) -> dict[str, float]:
        """What is used of its limits, by their names."""
        used: dict[str, float] = {"cloud_threads": self._threads.busy, "cloud_queue": self._threads.waiting}
        for name, slots in self._slots.items():
            used[f"cloud_{name}"], used[f"cloud_{name}_per_user"] = slots.count, slots.most
        return used

    async def open(self) -> None:
        """Listen, and serve what the foundation's cloud has."""
        foundation, reactor = self.foundation, self.foundation.reactor
        limits = _of_a_cloud(foundation.setup.limits)
        cloud = foundation.cloud
        assert cloud is not None
        storage, pool = cloud.storage, cloud.pool
        greeting = Greeting(foundation.sessions, limits)
        self._threads = FairThreads(pool, limits.cloud_queue, limits.share_of_session, limits.share_of_address)
        self._clients = Clients(self._threads, greeting.confirm, reactor)
        self._transfers = Transfers(self._clients, limits, reactor)
        self._uploads = Uploads(storage, self._clients, self._transfers, limits, pool.submit)
        downloads = Downloads(storage, self._clients, self._transfers, pool, limits)
        self._watches = Watches(storage, self._clients, limits, reactor)
        self._slots = {"uploads": self._uploads.slots, "downloads": downloads.slots, "watches": self._watches.slots}
        table = responders(greeting.hello, storage, self._clients, self._uploads, downloads, self._watches)
        counted = Counted(table)
        #: What became of requests, by command.
        self.requests = counted.requests
        self._listener = Listener(
            foundation,
            Responders(counted.table),
            limits,
            name="the cloud storage: ",
            let_go=self._transfers.let_go,
            on_disconnect=self._disconnected,
        )
        self._transfers.start()
        await self._listener.open(self._endpoint, self._secure)

    def _disconnected(self, peer: Peer) -> None:
        self._watches.forget(peer)

    async def close(self) -> None:
        """Take nothing new, let transfers end, and close."""
        if self._listener is None:
            return
        self._clients.closing = True
        await self._listener.close()
        self._transfers.stop()
        self._watches.stop()
        await carried_out("discarding uploads", lambda: self._uploads.stop())

    def hurry(self) -> None:
        """While it closes, or is about to: do not wait."""
        self.listener.hurry()


def _of_a_cloud(limits: Limits) -> Limits:
    return attrs.evolve(
        limits,
        view_timeout=limits.cloud_timeout,
        frame_anonymous=max(limits.frame_anonymous, INLINE + _AROUND),
        frame_authenticated=max(limits.frame_authenticated, INLINE + _AROUND),
    )
