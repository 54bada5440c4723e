"""What all servers are as Twisted services: started and stopped in turn, and telling whoever waits how it went.

Rules of this module: making one opens nothing; ``startService`` returns at once and ``when_ready`` tells how it went;
one start or stop at a time, in the order they were told, each with those who wait for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.arguments import check_flag, check_reactor
from fluxon.endpoint.foundation import carried_out
from fluxon.endpoint.listening import check_host, check_place, check_port, choose_endpoint, choose_operators
from fluxon.endpoint.metrics import Measured, MetricsPort
from fluxon.endpoint.privileged import TakenPort, take
from fluxon.endpoint.served import ServedServer, make_manhole
from fluxon.errors import ConfigurationError, FluxonError, Unavailable

if TYPE_CHECKING:
    from fluxon.console.ssh.manhole import Manhole

_log = Logger(namespace="fluxon.server")

#: What an operator can mend, told by its text; anything else is a fault, and its traceback is logged.
_PLAIN_ERRORS = (FluxonError, OSError, CannotListenError)


class Run(Measured, Protocol):
    """One run of a server: its parts, from start to stop."""

    async def start(self) -> None:
        """Open everything."""

    async def stop(self) -> None:
        """Close everything that is open, also after a start that failed."""

    def hurry(self) -> None:
        """Do not wait for what is under way."""


R = TypeVar("R", bound=Run)


class ServerService(Service, Generic[R]):
    """A server that subclasses make the runs of."""

    #: Whether it is the one that a project's functions are given.
    runs_views: ClassVar[bool] = False

    def __init__(
        self,
        port: int | str,
        secure: bool,
        host: str | None,
        endpoint: Any,
        reactor: Any = None,
        metrics: Any = None,
        manhole: Any = None,
    ) -> None:
        check_port(port)
        check_flag("secure", secure)
        check_host(host)
        for place, given in (("endpoint", endpoint), ("metrics", metrics), ("manhole", manhole)):
            check_place(place, given)
        if reactor is not None:
            check_reactor(reactor)
        self.configured_port = port
        self.secure = secure
        self.host = host
        self.endpoint = endpoint
        # What only root may open, until it is listened on.
        self._taken: TakenPort | None = None
        self._reactor = reactor
        #: Where metrics and health are told: a port, or a description of an endpoint; None for nowhere.
        self.metrics = metrics
        self._metrics_port: MetricsPort | None = None
        #: Where the console answers by SSH; likewise.
        self.manhole = manhole
        self._manhole: Manhole | None = None
        self._served: ServedServer | None = None
        self._engine: R | None = None
        self._turn = DeferredLock()
        self._commands = 0
        self._on_failure: list[Callable[[Failure], object]] = []
        self._outcome: Any = None
        self._waiting: dict[int, list[Deferred[Self]]] = {}

    def _make_run(self, reactor: Any) -> R:
        """What ``startService`` starts. Raises ``ConfigurationError``; opens nothing."""
        raise NotImplementedError

    def choose_endpoint(self, reactor: Any) -> IStreamServerEndpoint:
        """Where it is to listen. Raises ``ConfigurationError``; opens nothing."""
        return choose_endpoint(reactor, self.configured_port, self.host, self.secure, self.endpoint)

    def next_endpoint(self, reactor: Any) -> IStreamServerEndpoint:
        """Where it listens this time: on the port that was taken for it, if one was."""
        taken, self._taken = self._taken, None
        return taken or self.choose_endpoint(reactor)

    def privilegedStartService(self) -> None:
        """Take a port that only root may open: a daemon is somebody else when the server is ready to listen."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        reactor = self.reactor
        self._taken = take(reactor, self.choose_endpoint(reactor))

    @property
    def reactor(self) -> Any:
        """What it runs on. In a test (``MemoryServer``) its time is the test's clock."""
        if self._reactor is not None:
            return self._reactor
        from twisted.internet import reactor

        return reactor

    def startService(self) -> None:
        """Begin to start; see ``when_ready``. One that is still stopping starts when that is done."""
        super().startService()  # type: ignore[no-untyped-call]
        self._command(self._start, self)

    async def _start(self) -> None:
        if not self.running:
            raise Unavailable("the server was stopped before it began to start")
        reactor = self.reactor
        engine: R | None = None
        metrics: MetricsPort | None = None
        try:
            engine = self._make_run(reactor)
            self._served = ServedServer(self, engine, reactor)
            self._served.keep_log()
            if self.manhole is not None:
                self._manhole = make_manhole(self._served, self._operators(reactor, "manhole"))
            if self.metrics is not None:
                metrics = self._make_metrics(engine, reactor)
            await engine.start()
            if metrics is not None:
                await metrics.open()
            if self._manhole is not None:
                await self._manhole.open()
        except Exception as error:
            # Said before the log files are closed again: that is where an operator looks.
            if isinstance(error, _PLAIN_ERRORS):
                _log.error("the server cannot start: {reason}", reason=str(error))
            else:
                _log.failure("the server cannot start")
            if engine is not None:
                await engine.stop()
            self._engine = None
            await self._end_metrics(metrics)
            await self._end_console()
            if self.running:  # and nobody stopped it meanwhile
                for function in self._on_failure:
                    function(Failure())
            raise
        self._engine = engine
        self._metrics_port = metrics

    def begun(self, engine: Any) -> None:
        """For the engine: what views may use of it is there, though it does not listen yet."""
        self._engine = engine

    def _make_metrics(self, engine: R, reactor: Any) -> MetricsPort:
        return MetricsPort(engine, self._operators(reactor, "metrics"), reactor, lambda: not self.running)

    def _operators(self, reactor: Any, name: str) -> IStreamServerEndpoint:
        try:
            return choose_operators(reactor, getattr(self, name))
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}: {error.text}") from error

    def _command(self, carry_out: Callable[[], Coroutine[Any, Any, None]], outcome: Self | Failure) -> Deferred[None]:
        self._outcome = None
        # Whoever waits for this one hears of this one, whatever the server is told before it is done.
        self._commands += 1
        done: Deferred[None] = self._turn.run(lambda: Deferred.fromCoroutine(carry_out()))
        return done.addBoth(self._carried_out, self._commands, outcome)

    def _carried_out(self, result: Any, number: int, outcome: Self | Failure) -> None:
        outcome = result if isinstance(result, Failure) else outcome
        if number == self._commands:
            self._outcome = outcome
        for each in self._waiting.pop(number, ()):
            each.callback(outcome)

    def when_ready(self) -> Deferred[Self]:
        """Fires with the server when it listens; fails with why it does not.

        Asked before ``startService`` it waits for that; after ``stopService`` it fails with ``Unavailable``. Stopped
        while it starts, it is ready first.
        """
        if self._outcome is None:
            waiting: Deferred[Self] = Deferred()
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
        # Until the last request has its answer, what it uses is there.
        if self._engine is not None:
            await self._engine.stop()
            self._engine = None
        # Until the end: that it stops is told, too.
        metrics, self._metrics_port = self._metrics_port, None
        await self._end_metrics(metrics)
        # An operator may watch until then.
        await self._end_console()

    async def _end_metrics(self, metrics: MetricsPort | None) -> None:
        if metrics is not None:
            await carried_out("closing the port of metrics", lambda: Deferred.fromCoroutine(metrics.close()))

    async def _end_console(self) -> None:
        if (manhole := self._manhole) is not None:
            self._manhole = None
            await carried_out("closing the console", lambda: Deferred.fromCoroutine(manhole.close()))
        if self._served is not None:
            self._served.forget_log()
            self._served = None

    @property
    def served(self) -> ServedServer:
        """What the console is given, once the server runs."""
        self._running()
        assert self._served is not None
        return self._served

    def terminate(self) -> None:
        """Stop the reactor, and so the process: what runs the server lets requests under way end before."""
        with contextlib.suppress(ReactorNotRunning):  # it is stopping already
            self.reactor.stop()

    def reload(self) -> Deferred[str]:
        """Take up a new certificate, and write to new log files if the present ones were moved away.

        Fires with what came of the certificate, for people. Connections go on as they are.
        """
        return Deferred.fromCoroutine(self._running().foundation.reload())

    @property
    def metrics_port(self) -> IListeningPort:
        """Where metrics are told, once they are."""
        if self._metrics_port is None:
            raise Unavailable("this server tells no metrics now")
        return self._metrics_port.port

    def hurry(self) -> None:
        """While it stops: end the connections whose requests are still under way, instead of waiting for them."""
        if self._engine is not None:
            self._engine.hurry()

    def _running(self) -> R:
        if self._engine is None:
            raise Unavailable("the server is not running")
        return self._engine
