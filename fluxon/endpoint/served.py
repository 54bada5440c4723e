"""A running server as its console sees it.

Rules of this module: it only passes on; what a command may know or do is in ``fluxon.console.served``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamServerEndpoint
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
from fluxon.console.command import Command
from fluxon.console.own import own_commands
from fluxon.console.recent import RecentLines
from fluxon.console.served import ServedPort
from fluxon.database.database import Database
from fluxon.endpoint.listening import address_of
from fluxon.endpoint.metrics import Measured
from fluxon.errors import NotFound
from fluxon.metrics import Requests
from fluxon.routing import Router, Setup
from fluxon.routing.groups import Groups
from fluxon.routing.reverse import Reverse
from fluxon.sessions import Sessions

if TYPE_CHECKING:
    from fluxon.console.ssh.manhole import Manhole


class ServedServer:
    """See ``fluxon.console.served.Served``. ``run`` is one run of ``server``; what a run lacks is ``NotFound``."""

    def __init__(self, server: Any, run: Measured, reactor: Any) -> None:
        self._run = run
        self.setup: Setup = run.foundation.setup
        self.server = server
        self.reactor = reactor
        self.started: float = reactor.seconds()
        self.recent = RecentLines(reactor)
        # A cloud storage in a process of its own has no views, and none of what belongs to them.
        self.own: Mapping[Command, Any] = own_commands(self.setup.operator_commands if server.runs_views else {})
        # Asked for each event: the log files, whose levels count, are opened later.
        self._observer: ILogObserver = FilteringLogObserver(self.recent, [_Levels(self)])

    def keep_log(self) -> None:
        """Keep the last lines of the log from now on."""
        globalLogPublisher.addObserver(self._observer)

    def forget_log(self) -> None:
        """Keep no more."""
        globalLogPublisher.removeObserver(self._observer)

    @property
    def levels(self) -> LogLevelFilterPredicate:
        """Which events the log has."""
        return self._run.foundation.levels

    @property
    def database(self) -> Database | None:
        """The project's."""
        return self._run.foundation.database

    @property
    def sessions(self) -> Sessions:
        """Of this process."""
        return self._run.foundation.sessions

    @property
    def router(self) -> Router:
        """Its views."""
        return self._part("router")  # type: ignore[no-any-return]

    @property
    def reverse(self) -> Reverse:
        """Calls into clients."""
        return self._part("reverse")  # type: ignore[no-any-return]

    @property
    def groups(self) -> Groups:
        """Who is sent the same."""
        return self._part("groups")  # type: ignore[no-any-return]

    def _part(self, name: str) -> Any:
        part = getattr(self._run, name, None)
        if part is None:
            raise NotFound("this process serves the cloud storage alone: views and their clients are the main server's")
        return part

    @property
    def requests(self) -> Mapping[str, Requests]:
        """What became of requests."""
        return self._run.requests

    @property
    def queues(self) -> Mapping[str, int]:
        """What waits for a thread."""
        return self._run.queues

    def used(self) -> Mapping[str, float]:
        """What is used of the limits."""
        return self._run.used()

    @property
    def places(self) -> int | None:
        """Members of all groups together."""
        groups: Groups | None = getattr(self._run, "groups", None)
        return None if groups is None else groups.places

    @property
    def storage(self) -> Storage | None:
        """The cloud's."""
        cloud = self._run.foundation.cloud
        return None if cloud is None else cloud.storage

    @property
    def ports(self) -> list[ServedPort]:
        """Where it listens."""
        return [
            ServedPort(name, address_of(listener.port), listener.secure, listener.factory)
            for name, listener in self._run.listeners.items()
        ]

    def reload_certificates(self) -> Deferred[str]:
        """Look at the certificate's files now."""
        return Deferred.fromCoroutine(self._run.foundation.reload_certificate())

    def terminate(self) -> None:
        """Stop, and end the process."""
        self.server.terminate()


@implementer(ILogFilterPredicate)
class _Levels:
    def __init__(self, served: ServedServer) -> None:
        self._served = served

    def __call__(self, event: LogEvent) -> Any:
        return self._served.levels(event)


def make_manhole(served: ServedServer, endpoint: IStreamServerEndpoint) -> Manhole:
    """The console of ``served`` over SSH, not open yet."""
    # Conch takes hold of Twisted's global reactor when it is imported; a program may still want to choose it then.
    from fluxon.console.ssh.manhole import Manhole

    return Manhole(served, endpoint)
