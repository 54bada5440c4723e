"""``AsyncServer``: a project's main server, as a Twisted service.

Rules of this module: making one opens nothing; ``startService`` returns at once and ``when_ready`` tells how it went;
everything that can be called from views obeys the thread rule (``fluxon.blocking``).
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.blocking import Pending
from fluxon.database.database import Database
from fluxon.endpoint.engine import Engine
from fluxon.endpoint.listening import choose_endpoint
from fluxon.errors import ConfigurationError, FluxonError, Unavailable
from fluxon.routing import Setup
from fluxon.sessions import Sessions

_log = Logger(namespace="fluxon.server")


class AsyncServer(Service):
    """Serves ``setup`` on ``port``; with TLS if ``secure``.

    ``host`` is the interface to listen on. Without it a secure server listens on all, and a plain one on this machine
    only. ``endpoint`` (any Twisted endpoint, or its description) stands for port and host. It is an ``IService``: give
    it to ``run_server``, or to an application with ``setServiceParent``.
    """

    name = "fluxon"

    def __init__(
        self,
        port: int | str = 8080,
        secure: bool = False,
        setup: Setup | None = None,
        *,
        host: str | None = None,
        endpoint: Any = None,
        cloud_storage: Any = None,
        reactor: Any = None,
    ) -> None:
        if not isinstance(setup, Setup):
            raise ConfigurationError("AsyncServer needs the setup of router.py: AsyncServer(setup=router.setup)")
        if cloud_storage is not None:
            raise ConfigurationError("cloud storage is not part of this release; leave cloud_storage out")
        self.setup = setup
        self.configured_port = port
        self.host = host
        self.secure = secure
        self.endpoint = endpoint
        self._reactor = reactor
        self._engine: Engine | None = None
        self._starting: Deferred[None] | None = None
        self._outcome: Any = None
        self._waiting: list[Deferred[AsyncServer]] = []

    # --- as a service -------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Begin to start; see ``when_ready``."""
        super().startService()  # type: ignore[no-untyped-call]
        self._outcome = None
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addBoth(self._started)

    async def _start(self) -> None:
        reactor = self._reactor
        if reactor is None:
            from twisted.internet import reactor
        endpoint = choose_endpoint(reactor, self.configured_port, self.host, self.secure, self.endpoint)
        engine = self._engine = Engine(self.setup, self, reactor)
        try:
            await engine.start(endpoint, self.secure)
        except BaseException:
            self._engine = None
            await engine.stop()
            raise

    def _started(self, result: Any) -> None:
        self._starting = None
        self._outcome = result if isinstance(result, Failure) else self
        if isinstance(result, Failure):
            if result.check(FluxonError) or result.check(OSError) or type(result.value).__name__ == "CannotListenError":
                _log.error("the server cannot start: {reason}", reason=str(result.value))
            else:
                _log.failure("the server cannot start", result)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self._outcome)

    def when_ready(self) -> Deferred[AsyncServer]:
        """Fires with the server when it listens; fails with why it does not."""
        if self._outcome is None:
            waiting: Deferred[AsyncServer] = Deferred()
            self._waiting.append(waiting)
            return waiting
        return fail(self._outcome) if isinstance(self._outcome, Failure) else succeed(self)

    def stopService(self) -> Deferred[None]:
        """Take no more connections and requests, let those under way end, close everything."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._starting is not None:
            ended: Deferred[Any] = self.when_ready()
            ended.addErrback(lambda _: None)
            await ended
        engine, self._engine = self._engine, None
        self._outcome = None
        if engine is not None:
            await engine.stop()

    # --- for those who have it ----------------------------------------------------------------------------------------

    def _running(self) -> Engine:
        if self._engine is None or self._outcome is not self:
            raise Unavailable("the server is not running")
        return self._engine

    @property
    def listening_port(self) -> IListeningPort:
        """What it listens on, once it does: ``server.listening_port.getHost().port``."""
        return self._running().port

    @property
    def database(self) -> Database | None:
        """The project's database, once the server runs."""
        return self._running().database

    @property
    def sessions(self) -> Sessions:
        """The sessions, once the server runs. For the reactor thread."""
        return self._running().sessions

    def reverse_request(
        self, user_id: Any, name: str, payload: Any = None, timeout: float | None = None
    ) -> bool | Pending[bool]:
        """Call the function ``name`` in every connected client of a user.

        True if at least one client ran it and acknowledged; False if the user has none, or none did so within
        ``timeout`` seconds (default ``Limits.reverse_timeout``). A dict as payload becomes the function's keyword
        arguments. ``user_id`` is an id or a ``request.user``. Raises ``Unserialisable`` for what cannot be sent.
        """
        return self._running().reverse.reverse_request(user_id, name, payload, timeout)

    def call_client(self, target: Any, name: str, payload: Any = None, timeout: float | None = None) -> Any:
        """Call the function ``name`` of a client, and return what it returned.

        ``target`` is a user (the first of their clients to answer counts) or a ``request.connection``. Raises
        ``Unavailable`` when nobody is connected, ``DeadlineExceeded``, ``OutcomeUnknown`` when the connection was
        lost, ``UnknownView`` when the client has no such function, or the error its function raised.
        """
        return self._running().reverse.call_client(target, name, payload, timeout)
