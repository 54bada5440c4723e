"""The parts of a running main server: views and calls into clients, on a foundation and behind a listener; and the
cloud's port, if it is in this process.

Rules of this module: opened in order and closed in the reverse one; nothing is opened before ``start``; what ``start``
opened ``stop`` closes, also when ``start`` failed half way.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint

from fluxon.database.database import Database
from fluxon.endpoint.cloud_port import CloudPort
from fluxon.endpoint.cloud_server import CloudStorageServer
from fluxon.endpoint.foundation import Foundation
from fluxon.endpoint.listener import Listener
from fluxon.endpoint.metrics.figures import used_of_all
from fluxon.errors import Unavailable
from fluxon.metrics import Requests
from fluxon.routing import Router, Setup
from fluxon.routing.clients import Clients
from fluxon.routing.events import Events
from fluxon.routing.groups import Groups
from fluxon.routing.jobs import Jobs
from fluxon.routing.lifetime import Lifetime
from fluxon.routing.online import Online
from fluxon.routing.presence import Presence
from fluxon.routing.reverse import Reverse
from fluxon.sessions import Sessions


class Engine:
    """One run of one server."""

    router: Router
    reverse: Reverse
    groups: Groups
    online: Online
    events: Events
    jobs: Jobs

    def __init__(
        self,
        setup: Setup,
        server: Any,
        reactor: Any,
        endpoint: IStreamServerEndpoint,
        secure: bool,
        cloud: CloudStorageServer | None = None,
    ) -> None:
        self._setup = setup
        self._server = server
        self._reactor = reactor
        self._endpoint = endpoint
        self._secure = secure
        self._hurried = False
        self._lifetime = Lifetime(setup.lifetime, server, reactor, setup.limits)
        self.foundation = Foundation(setup, reactor)
        self._listener: Listener | None = None
        self._cloud = cloud
        self._cloud_port: CloudPort | None = None
        if cloud is not None:
            self._cloud_port = CloudPort(self.foundation, cloud.next_endpoint(reactor), cloud.secure)

    @property
    def database(self) -> Database | None:
        """The project's, if it has one."""
        return self.foundation.database

    @property
    def sessions(self) -> Sessions:
        """Of this process."""
        return self.foundation.sessions

    @property
    def port(self) -> IListeningPort:
        """What it listens on. ``Unavailable`` while it does not, as in ``on_start``."""
        if not self.listener.listening:
            raise Unavailable("the server does not listen yet")
        return self.listener.port

    @property
    def listener(self) -> Listener:
        """Its port and connections."""
        assert self._listener is not None
        return self._listener

    @property
    def listeners(self) -> dict[str, Listener]:
        """Its ports, by name."""
        cloud = {} if self._cloud_port is None else {"cloud": self._cloud_port.listener}
        return {"main": self.listener, **cloud}

    @property
    def requests(self) -> dict[str, Requests]:
        """What became of requests: of views, and of commands of the cloud."""
        return {**({} if self._cloud_port is None else self._cloud_port.requests), **self.router.requests}

    @property
    def queues(self) -> dict[str, int]:
        """What waits for a thread."""
        cloud = {} if self._cloud_port is None else {"cloud": self._cloud_port.waiting}
        return {"views": self.router.waiting, "events": self.events.waiting, **cloud}

    def used(self) -> dict[str, float]:
        """What is used of the limits, by their names."""
        threads = self.router.threads
        cloud = {} if self._cloud_port is None else self._cloud_port.used()
        views = {"view_threads": threads.busy, "view_queue": threads.waiting}
        return {**used_of_all(self), **views, **self.foundation.keeping.used(), **self.router.repeats.used(), **cloud}

    async def start(self) -> None:
        """Open everything, and listen last: who can connect is served."""
        foundation, limits = self.foundation, self._setup.limits
        await foundation.open()
        sessions, greeting = foundation.sessions, foundation.greeting
        self.router = Router(self._setup.views, sessions, greeting, self._server, self._reactor, limits)
        self.router.database = foundation.database
        self.reverse = Reverse(sessions, foundation.keeping, self._reactor, limits, self.router.wait)
        self._listener = Listener(foundation, self.router.responders(), limits)
        clients = Clients(sessions, self._listener.factory)
        self.groups = Groups(clients, foundation.keeping, self._reactor, limits, self.router.wait)
        self.online = Online(clients, self.router.wait)
        self.events = Events(self._setup.listeners, self.router)
        greeting.observer = Presence(self.groups, self.events)
        self.jobs = Jobs(self._server, self._reactor)
        self._server.begun(self)
        await self._lifetime.begin()
        if self._cloud is not None and self._cloud_port is not None:
            await self._cloud_port.open()
            self._cloud.opened(self._cloud_port)
        await self._listener.open(self._endpoint, self._secure)

    async def stop(self) -> None:
        """Close everything that is open."""
        # Both ports at once: each lets what is under way end, within the same time.
        closing = [] if self._cloud_port is None else [Deferred.fromCoroutine(self._cloud_port.close())]
        if self._listener is not None:
            closing.append(Deferred.fromCoroutine(self.jobs.stop(self._patience)))
            await self._listener.close()
            self.groups.stop()
            # The last connections have just ended: whoever wants to know still has the database.
            await self.events.stop(self._patience)
        for each in closing:
            await each
        await self._lifetime.end()
        if self._listener is not None:
            self.router.stop()
        if self._cloud is not None:
            self._cloud.opened(None)
        await self.foundation.close()

    @property
    def _patience(self) -> float:
        """Seconds for what is under way."""
        return 0.0 if self._hurried else self._setup.limits.drain

    def hurry(self) -> None:
        """While it stops, or is about to: do not wait for requests."""
        self._hurried = True
        self._lifetime.hurry()
        self.jobs.hurry()
        self.listener.hurry()
        if self._cloud_port is not None:
            self._cloud_port.hurry()
