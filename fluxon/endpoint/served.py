"""A running server as its console sees it.

Rules of this module: it only passes on; what a command may know or do is in ``fluxon.console.served``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevelFilterPredicate,
    globalLogPublisher,
)
from zope.interface import implementer

from fluxon.cloud.storage import Storage
from fluxon.console.recent import RecentLines
from fluxon.console.served import ServedPort
from fluxon.database.database import Database
from fluxon.endpoint.listening import address_of
from fluxon.routing import Router, Setup
from fluxon.routing.reverse import Reverse
from fluxon.sessions import Sessions

if TYPE_CHECKING:
    from fluxon.endpoint.engine import Engine


class ServedServer:
    """See ``fluxon.console.served.Served``."""

    def __init__(self, engine: Engine, setup: Setup, server: Any, reactor: Any) -> None:
        self._engine = engine
        self.setup = setup
        self.server = server
        self.reactor = reactor
        self.started: float = reactor.seconds()
        self.recent = RecentLines(reactor)
        self._observer: ILogObserver | None = None

    def keep_log(self) -> None:
        """Keep the last lines of the log from now on."""
        # Asked for each event: the log files, whose levels count, are opened later.
        self._observer = FilteringLogObserver(self.recent, [_Levels(self)])
        globalLogPublisher.addObserver(self._observer)

    def forget_log(self) -> None:
        """Keep no more."""
        if self._observer is not None:
            globalLogPublisher.removeObserver(self._observer)
            self._observer = None

    @property
    def levels(self) -> LogLevelFilterPredicate:
        """Which events the log has."""
        return self._engine.foundation.levels

    @property
    def database(self) -> Database | None:
        """The project's."""
        return self._engine.database

    @property
    def sessions(self) -> Sessions:
        """Of this process."""
        return self._engine.sessions

    @property
    def router(self) -> Router:
        """Its views."""
        return self._engine.router

    @property
    def reverse(self) -> Reverse:
        """Calls into clients."""
        return self._engine.reverse

    @property
    def storage(self) -> Storage | None:
        """The cloud's."""
        cloud = self._engine.foundation.cloud
        return None if cloud is None else cloud.storage

    @property
    def ports(self) -> list[ServedPort]:
        """Where it listens."""
        found = [("main", self.server, self._engine.listener)]
        if self.server.cloud_storage is not None:
            found.append(("cloud", self.server.cloud_storage, self.server.cloud_storage.cloud_port.listener))
        return [
            ServedPort(name, address_of(listener.port), server.secure, listener.factory)
            for name, server, listener in found
        ]

    def reload_certificates(self) -> Deferred[str]:
        """Look at the certificate's files now."""
        return Deferred.fromCoroutine(self._engine.foundation.reload_certificate())

    def terminate(self) -> None:
        """Stop, and end the process."""
        self.server.terminate()


@implementer(ILogFilterPredicate)
class _Levels:
    def __init__(self, served: ServedServer) -> None:
        self._served = served

    def __call__(self, event: LogEvent) -> Any:
        return self._served.levels(event)
