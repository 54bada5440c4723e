"""What commands are given of a running server.

Rules of this module: a protocol only. ``fluxon.endpoint`` has what keeps it; a test may have another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import LogLevelFilterPredicate

from fluxon.cloud.storage import Storage
from fluxon.console.command import Command
from fluxon.console.recent import RecentLines
from fluxon.database.database import Database
from fluxon.metrics import Requests
from fluxon.routing import Router, Setup
from fluxon.routing.groups import Groups
from fluxon.routing.reverse import Reverse
from fluxon.rpc import ServerFactory
from fluxon.sessions import Sessions


@attrs.frozen
class ServedPort:
    """One port that clients connect to."""

    name: str
    where: str
    secure: bool
    factory: ServerFactory


class Served(Protocol):
    """A running server. To be used on the reactor thread."""

    #: The ``AsyncServer``, for the Python prompt.
    server: Any
    setup: Setup
    reactor: Any
    #: POSIX seconds.
    started: float
    recent: RecentLines
    #: The project's own commands, and what they do.
    own: Mapping[Command, Any]

    @property
    def sessions(self) -> Sessions:
        """Of this process."""

    @property
    def router(self) -> Router:
        """The views. ``NotFound`` where there are none."""

    @property
    def reverse(self) -> Reverse:
        """Calls into clients. ``NotFound`` where there are none."""

    @property
    def groups(self) -> Groups:
        """Who is sent the same. ``NotFound`` where there are none."""

    @property
    def requests(self) -> Mapping[str, Requests]:
        """What became of requests: of views, and of commands of the cloud."""

    @property
    def queues(self) -> Mapping[str, int]:
        """What waits for a thread, by the name of the pool."""

    def used(self) -> Mapping[str, float]:
        """What is used of the limits, by their names; the most of any port or client, where they are each one's."""

    @property
    def places(self) -> int | None:
        """Members of all groups together; None where there are no groups."""

    @property
    def storage(self) -> Storage | None:
        """The cloud's, if the setup has one. It blocks."""

    @property
    def levels(self) -> LogLevelFilterPredicate:
        """Which events the log has."""

    @property
    def database(self) -> Database | None:
        """The project's, if it has one."""

    @property
    def ports(self) -> list[ServedPort]:
        """Where it listens."""

    def reload_certificates(self) -> Deferred[str]:
        """Look at the certificate's files now: what came of it, in words."""

    def terminate(self) -> None:
        """Begin to stop, and end the process."""
