"""``AsyncServer``: a project's main server, as a Twisted service.

Rules of this module: making one opens nothing; ``startService`` returns at once and ``when_ready`` tells how it went;
everything that can be called from views obeys the thread rule (``fluxon.blocking``).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.internet.error import CannotListenError
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

#: What an operator can mend, told by its text; anything else is a fault, and its traceback is logged.
_PLAIN_ERRORS = (FluxonError, OSError, CannotListenError)


class AsyncServer(Service):
    """Serves ``setup`` on ``port``; with TLS if ``secure``.

    ``host`` is the interface to listen on. Without it a secure server listens on all, and a plain one on this machine
    only. ``endpoint`` (any Twisted endpoint, or its description) stands for port and host. It is an ``IService``: give
    it to ``run_server``, or to an application with ``setServiceParent``.
    """

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
        # One start or stop at a time, in the order they were told, each with those who wait for it.
        self._turn = DeferredLock()
        self._commands = 0
        self._on_failure: list[Callable[[Failure], object]] = []
        self._outcome: Any = None
        self._waiting: dict[int, list[Deferred[AsyncServer]]] = {}

    # --- as a service -------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Begin to start; see ``when_ready``. One that is still stopping starts when that is done."""
        super().startService()  # type: ignore[no-untyped-call]
        self._command(self._start, self)

    async def _start(self) -> None:
        if not self.running:
            raise Unavailable("the server was stopped before it began to start")
        reactor = self._reactor
        if reactor is None:
            from twisted.internet import reactor
        engine: Engine | None = None
        try:
            endpoint = choose_endpoint(reactor, self.configured_port, self.host, self.secure, self.endpoint)
            engine = Engine(self.setup, self, reactor)
            await engine.start(endpoint, self.secure)
        except Exception as error:
            # Said before the log files are closed again: that is where an operator looks.
            if isinstance(error, _PLAIN_ERRORS):
                _log.error("the server cannot start: {reason}", reason=str(error))
            else:
                _log.failure("the server cannot start")
            if engine is not None:
                await engine.stop()
            if self.running:  # and nobody stopped it meanwhile
                for function in self._on_failure:
                    function(Failure())
            raise
        self._engine = engine

    def _command(
        self, carry_out: Callable[[], Coroutine[Any, Any, None]], outcome: AsyncServer | Failure
    ) -> Deferred[None]:
        self._outcome = None
        # Whoever waits for this one hears of this one, whatever the server is told before it is done.
        self._commands += 1
        done: Deferred[None] = self._turn.run(lambda: Deferred.fromCoroutine(carry_out()))
        return done.addBoth(self._carried_out, self._commands, outcome)

    def _carried_out(self, result: Any, number: int, outcome: AsyncServer | Failure) -> None:
        outcome = result if isinstance(result, Failure) else outcome
        if number == self._commands:
            self._outcome = outcome
        for each in self._waiting.pop(number, ()):
            each.callback(outcome)

    def when_ready(self) -> Deferred[AsyncServer]:
        """Fires with the server when it listens; fails with why it does not.

        Asked before ``startService`` it waits for that; after ``stopService`` it fails with ``Unavailable``. Stopped
        while it starts, it is ready first.
        """
        if self._outcome is None:
            waiting: Deferred[AsyncServer] = Deferred()
            # Before the first command: for that.
            self._waiting.setdefault(max(self._commands, 1), []).append(waiting)
            return waiting
        return fail(self._outcome) if isinstance(self._outcome, Failure) else succeed(self)

    def on_failure(self, function: Callable[[Failure], object]) -> None:
        """Have ``function(failure)`` called when a start fails, after the log has said why.

        For whoever runs the server, and would rather end than serve nobody. Being stopped while it starts is no
        failure.
        """
        self._on_failure.append(function)

    def stopService(self) -> Deferred[None]:
        """Take no more connections and requests, let those under way end, close everything.

        Fires when nothing is left, at the latest ``Limits.drain`` seconds after the last connection was to end.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        return self._command(self._stop, Failure(Unavailable("the server was stopped")))

    async def _stop(self) -> None:
        # Until the last view has its answer, views may call clients.
        if self._engine is not None:
            await self._engine.stop()
            self._engine = None

    def hurry(self) -> None:
        """While it stops: end the connections whose requests are still under way, instead of waiting for them."""
        if self._engine is not None:
            self._engine.hurry()

    # --- for those who have it ----------------------------------------------------------------------------------------

    def _running(self) -> Engine:
        if self._engine is None:
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
