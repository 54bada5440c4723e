"""``AsyncServer``: a project's main server, as a Twisted service.

Rules of this module: making one opens nothing; everything that can be called from views obeys the thread rule
(``fluxon.blocking``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort

from fluxon.cloud.filesystem import Filesystem
from fluxon.database.database import Database
from fluxon.endpoint.cloud_server import CloudStorageServer
from fluxon.endpoint.engine import Engine
from fluxon.endpoint.service import ServerService
from fluxon.errors import ConfigurationError, Unavailable
from fluxon.metrics import Requests
from fluxon.routing import Setup
from fluxon.routing.groups import Groups
from fluxon.routing.jobs import Job
from fluxon.routing.online import Online
from fluxon.sessions import Sessions


class AsyncServer(ServerService[Engine]):
    """Serves ``setup`` on ``port``; with TLS if ``secure``.

    ``host`` is the interface to listen on. Without it a secure server listens on all, and a plain one on this machine
    only. ``endpoint`` (any Twisted endpoint, or its description) stands for port and host. ``cloud_storage`` is a
    ``CloudStorageServer`` that runs in the same process. ``manhole`` is a port, or a description such as
    ``tcp:2222:interface=127.0.0.1``, for the console over SSH; ``metrics`` likewise, for metrics and
    health over HTTP. It is an ``IService``: give it to ``run_server``, or to
    an application with ``setServiceParent``.
    """

    runs_views = True

    def __init__(
        self,
        port: int | str = 8080,
        secure: bool = False,
        setup: Setup | None = None,
        *,
        host: str | None = None,
        endpoint: Any = None,
        cloud_storage: CloudStorageServer | None = None,
        manhole: Any = None,
        metrics: Any = None,
        reactor: Any = None,
    ) -> None:
        super().__init__(port, secure, host, endpoint, reactor, metrics, manhole)
        if not isinstance(setup, Setup):
            raise ConfigurationError("AsyncServer needs the setup of router.py: AsyncServer(setup=router.setup)")
        if cloud_storage is not None:
            if not isinstance(cloud_storage, CloudStorageServer):
                raise ConfigurationError("cloud_storage is a CloudStorageServer: cloud_storage=CloudStorageServer()")
            cloud_storage.belong_to(self, setup)
        self.cloud_storage = cloud_storage
        self.setup = setup

    def _make_run(self, reactor: Any) -> Engine:
        return Engine(self.setup, self, reactor, self.next_endpoint(reactor), self.secure, self.cloud_storage)

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        if self.cloud_storage is not None:
            self.cloud_storage.privilegedStartService()

    # --- for those who have it ----------------------------------------------------------------------------------------

    @property
    def listening_port(self) -> IListeningPort:
        """What it listens on, once it does: ``server.listening_port.getHost().port``."""
        return self._running().port

    @property
    def database(self) -> Database:
        """The project's database, once the server runs: ``transaction``, ``run``. ``Unavailable`` without one."""
        database = self._running().database
        if database is None:
            raise Unavailable("this server's setup has no database: database_path=BASE_DIR / 'database.sqlite3'")
        return database

    @property
    def sessions(self) -> Sessions:
        """The sessions, once the server runs. For the reactor thread."""
        return self._running().sessions

    @property
    def requests(self) -> Mapping[str, Requests]:
        """What became of the requests for each view since the server started: how many, how long, which errors."""
        return self._running().router.requests

    @property
    def cloud(self) -> Filesystem:
        """The files of the cloud storage, ``filesystem`` of its authorization model. ``Unavailable`` without one."""
        if not self.setup.has_cloud:
            raise Unavailable("this server's setup has no cloud storage")
        self._running()
        return self.setup.cloud_auth_model.filesystem  # type: ignore[no-any-return]

    @property
    def groups(self) -> Groups:
        """Sessions and users who are sent the same, once the server runs: ``join``, ``leave``, ``send`` …"""
        return self._running().groups

    @property
    def online(self) -> Online:
        """Who has a client connected, once the server runs: ``users``, ``sessions``, ``is_online``."""
        return self._running().online

    def every(self, seconds: float, function: Callable[[Any], Any]) -> Job:
        """Call ``function(server)`` every so many seconds, for the first time when they have passed.

        It runs as a view does, never twice at once; if it fails the log says so, and it runs again the next time. It
        ends with this run of the server, or by the ``cancel()`` of what is returned; a server that is started again
        calls ``on_start`` again, which is the place for this.
        """
        return self._running().jobs.every(seconds, function)

    def daily(self, at: str | time, function: Callable[[Any], Any]) -> Job:
        """Call ``function(server)`` once a day, as ``every`` does: ``at`` ``"03:00"`` in UTC, or a ``datetime.time``.

        A ``time`` may have a time zone: ``time(3, tzinfo=ZoneInfo("Europe/Berlin"))``.
        """
        return self._running().jobs.daily(at, function)

    def jobs_done(self) -> Deferred[Any]:
        """Fires when the jobs that run now have ended. For the reactor thread."""
        return self._running().jobs.ended()

    def broadcast(
        self,
        name: str,
        payload: Any = None,
        *,
        exclude: Any = None,
        timeout: float | None = None,
        acknowledge: bool = True,
        keep: float | None = None,
    ) -> Any:
        """Call the function ``name`` in every connected client, strangers included. Otherwise as ``groups.send``.

        With ``keep`` also in those that are expected back: of users, and of strangers who are in a group.
        """
        return self._running().groups.broadcast(name, payload, exclude, timeout, acknowledge, keep)

    def reverse_request(
        self,
        user_id: Any,
        name: str,
        payload: Any = None,
        timeout: float | None = None,
        *,
        keep: float | None = None,
    ) -> Any:
        """Call the function ``name`` in every connected client of a user: what became of it at each.

        The ``Delivery`` is true if at least one client ran it and acknowledged; false if the user has none, or none did
        so within ``timeout`` seconds. Its ``results`` have one for each client. Without ``timeout`` that is
        ``Limits.reverse_timeout``, and ``Limits.reverse_rest`` for the others once one has acknowledged; all of them go
        on with it all the same. A view may return a ``Delivery``: a boolean crosses.

        With ``keep`` it is kept for so many seconds for each of the user's sessions, sent again when a connection is
        lost, in order, and carried out once; it is true as well if it waits for one that is expected back ("queued").

        A dict as payload becomes the function's keyword arguments. ``user_id`` is an id or a ``request.user``. Raises
        ``Unserialisable`` or ``ResourceExhausted`` for what cannot be sent, or kept.
        """
        return self._running().reverse.reverse_request(user_id, name, payload, timeout, keep)

    def call_client(self, target: Any, name: str, payload: Any = None, timeout: float | None = None) -> Any:
        """Call the function ``name`` of a client, and return what it returned.

        ``target`` is a user (the first of their clients to answer counts) or a ``request.connection``. Raises
        ``Unavailable`` when nobody is connected, ``DeadlineExceeded``, ``OutcomeUnknown`` when the connection was
        lost, ``UnknownView`` when the client has no such function, or the error its function raised.
        """
        return self._running().reverse.call_client(target, name, payload, timeout)
