"""``ClientService``: what every client for Twisted programs is made of: a connection that is kept up, and its session.

Rules of this module: those of ``line.py``, on the reactor's thread and with Deferreds.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.endpoints import HostnameEndpoint, clientFromString, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.arguments import check_function, shown
from fluxon.commands import Command, Hello, Leaving, SessionChanged
from fluxon.connect import reasons
from fluxon.connect.arguments import (
    DEFAULT_PORT,
    Address,
    check_events,
    checked_patience,
    checked_timeout,
    checked_wait,
    parsed_address,
)
from fluxon.connect.attempts import Attempts
from fluxon.connect.backoff import Backoff
from fluxon.connect.greeting import Greeting, hello_arguments
from fluxon.connect.reconnecting import Connection, Reconnecting
from fluxon.connect.session import Session
from fluxon.errors import (
    ConfigurationError,
    DeadlineExceeded,
    FluxonError,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
    says_stopping,
)
from fluxon.rpc import Peer, Responder, Responders
from fluxon.security.tls import client_tls

_log = Logger(namespace="fluxon.connect")

S = TypeVar("S", bound="ClientService")


class ClientService(Service):
    """A connection to a Fluxon server, as a Twisted service. ``responders`` say what the server may ask.

    Started as a service it connects, comes back by itself when the connection is lost, and stays until it is stopped.
    """

    def __init__(
        self,
        reactor: Any,
        address: Address,
        endpoint: Callable[[], Deferred[IStreamClientEndpoint]],
        *,
        secure: bool,
        session: Session,
        timeout: float,
        responders: dict[type[Command], Responder],
        on_session_lost: Callable[[], Any] | None,
        random: Callable[[], float],
        wait_for_server: float,
        connected: Callable[[], None] = lambda: None,
        on_disconnect: Callable[[], Any] | None = None,
    ) -> None:
        self._reactor = reactor
        self._timeout = checked_patience(timeout)
        self._wait_for_server = checked_wait(wait_for_server)
        check_events(True, on_session_lost=on_session_lost, on_disconnect=on_disconnect)
        check_function("random=", random, optional=False)
        self._random = random
        self._on_session_lost = on_session_lost
        self._on_disconnect = on_disconnect
        self._greeting_lock = DeferredLock()
        self._recovered = False
        self._session = session
        self._connector = Reconnecting(
            reactor,
            address,
            endpoint,
            Responders({SessionChanged: self._session_changed, Leaving: self._leaving, **responders}),
            secure=secure,
            session=session,
            backoff=Backoff(random),
            wait_for_server=self._wait_for_server,
            greeted=self._greeted,
            connected=connected,
            disconnected=self._disconnected,
        )

    def __repr__(self) -> str:
        connector = self._connector
        state = "stopped" if connector.closed else "connected" if connector.current is not None else "connecting"
        scheme = "TLS" if connector.secure else "TCP"
        return f"<{type(self).__name__} {connector.where} {scheme}, {state}, {self._session!r}>"

    # --- as a service -------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Begin to connect; see ``when_connected``."""
        super().startService()  # type: ignore[no-untyped-call]
        self._connector.start()

    def stopService(self) -> Deferred[None]:
        """End the connection; what is asked fails. Fires when nothing is left."""
        super().stopService()  # type: ignore[no-untyped-call]
        return self._connector.stop()

    def close(self) -> Deferred[None]:
        """``stopService``, for a client that is nobody's service. Closing twice is no error."""
        return self.stopService() if self.running else succeed(None)

    def when_connected(self: S, timeout: float | None = None) -> Deferred[S]:
        """Fires with the client when the server has answered hello; fails with why it has not.

        It waits no longer than ``timeout`` seconds; without one, as long as a request, or as ``wait_for_server`` says
        if that is longer.
        """
        longest = max(self._timeout, self._wait_for_server) if timeout is None else timeout
        waiting = self._connector.when_connected(self._deadline(longest))
        return waiting.addCallback(lambda _: self)

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _ask(self, command: type[Command], arguments: dict[str, Any], timeout: float | None = None) -> Any:
        """The answer to ``command``, under the session's newest token."""
        return (await self._ask_on(command, arguments, timeout))[1]

    async def _ask_on(
        self, command: type[Command], arguments: dict[str, Any], timeout: float | None = None
    ) -> tuple[Connection, Any]:
        """The answer to ``command``, and the connection that it came on."""
        command.check_arguments(arguments)
        deadline = self._deadline(timeout)
        connector, session = self._connector, self._session
        while True:
            connection = connector.current or await connector.when_connected(deadline)
            if session.is_behind(connection.token):
                await self._catch_up(connection, deadline)
            if connector.current is connection:  # or its server began to leave meanwhile, or it was lost
                try:
                    return connection, await connection.peer.ask(command, arguments, self._left(deadline))
                except Unavailable as error:
                    # The end of the connection before anything was sent, or a server that leaves: on to the next one.
                    if not (connection.peer.lost or self._is_left(connection, error)):
                        raise

    async def _ask_once(self, command: type[Command], arguments: dict[str, Any], timeout: float | None) -> Any:
        """As ``_ask``, for what the server carries out once however often it is asked: through lost connections."""
        command.check_arguments(arguments)
        deadline = self._deadline(timeout)
        connector = self._connector
        attempts = Attempts(self._session, self._random)
        while True:
            try:
                connection = connector.current or await connector.when_connected(deadline)
                if self._session.is_behind(connection.token):
                    await self._catch_up(connection, deadline)
                if connector.current is not connection:
                    continue
                left = self._left(deadline)
            except FluxonError as error:
                attempts.check_nothing_sent(error)
                raise
            attempts.check_remembered()
            try:
                return await connection.peer.ask(command, arguments, left)
            except OutcomeUnknown as error:
                if not connection.peer.lost:
                    raise  # the server's own word
                attempts.lost(error, connection.token)
            except (ResourceExhausted, Unavailable) as error:
                unsent = connection.peer.lost and isinstance(error, Unavailable)
                if not (unsent or self._is_left(connection, error)):
                    await connector.pause(attempts.refused(error, deadline - float(self._reactor.seconds())))

    async def _catch_up(self, connection: Connection, deadline: float) -> None:
        """The session has a newer token: present it here, too."""
        await self._greeting_lock.acquire()
        try:
            if not self._session.is_behind(connection.token):
                return
            presented = self._session.token
            arguments = hello_arguments(presented, compress=connection.compress, seen=self._session.seen)
            try:
                answer = await connection.peer.ask(Hello, arguments, self._left(deadline), urgent=True)
            except (OutcomeUnknown, Unavailable) as error:  # of the hello; what was to be asked was not sent
                if connection.peer.lost or self._is_left(connection, error):
                    return
                raise
            greeting = Greeting.read(answer, compress=connection.compress)
            connection.greeting, connection.token = greeting, self._greeted(presented, greeting)
            greeting.apply(connection.peer.conversation, self._session)
            if self._session.is_behind(connection.token) and self._session.token == presented:
                raise reasons.not_followed(self._connector.where)
        finally:
            self._greeting_lock.release()

    def _is_left(self, connection: Connection, error: FluxonError) -> bool:
        """Whether ``error`` is the word of a server that leaves: it did nothing, and the next one may."""
        return self._connector.current is not connection and says_stopping(error)

    def _deadline(self, timeout: float | None) -> float:
        seconds = self._timeout if timeout is None else checked_timeout(timeout)
        return float(self._reactor.seconds()) + seconds

    def _left(self, deadline: float) -> float:
        left = deadline - float(self._reactor.seconds())
        if left <= 0:
            raise DeadlineExceeded("the time was over before the request could be sent; nothing was done")
        return left

    # --- what the server says of the session --------------------------------------------------------------------------

    def _session_changed(self, peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        token = arguments["token"]
        self._session.changed(token, arguments["session"], arguments["authenticated"])
        connection = self._connector.current
        if connection is not None and connection.peer is peer:
            connection.token = self._session.known_as(None, token, fresh=True)
            connection.greeting.apply(peer.conversation, self._session)
        return {}

    def _leaving(self, peer: Peer, _: dict[str, Any]) -> dict[str, Any]:
        self._connector.leave(peer)
        return {}

    def _greeted(self, presented: str | None, greeting: Greeting) -> str | None:
        self._recovered = greeting.recovered
        lost = self._session.greeted(
            presented,
            greeting.token,
            greeting.public_id,
            authenticated=greeting.authenticated,
            fresh=greeting.fresh,
            recovered=greeting.recovered,
        )
        if lost:
            _log.info("the server no longer knows this client's session; log in again")
            if self._on_session_lost is not None:
                self._inform("on_session_lost", self._on_session_lost)
        return self._session.known_as(presented, greeting.token, fresh=greeting.fresh)

    def _disconnected(self) -> None:
        if self._on_disconnect is not None:
            self._inform("on_disconnect", self._on_disconnect)

    def _inform(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function of the program's, which has nothing to say to it."""
        told = Deferred.fromCoroutine(_call(function, *arguments))
        told.addErrback(lambda failure: _log.failure("{name} failed", failure, name=name))


def connected(client: S) -> Deferred[S]:
    """``client``, started and greeted; closed again if that fails."""
    client.startService()

    def give_up(failure: Failure) -> Deferred[S]:
        return client.close().addCallback(lambda _: failure)

    return client.when_connected().addErrback(give_up)


async def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    result = function(*arguments)
    return await result if hasattr(result, "__await__") else result


def endpoint_of(
    reactor: Any,
    where: str | IStreamClientEndpoint,
    secure: bool,
    trust: str | os.PathLike[str] | None,
    default_port: int = DEFAULT_PORT,
) -> tuple[Address, Callable[[], Deferred[IStreamClientEndpoint]]]:
    """What ``where`` means, and how to make it, which may need to read files."""
    address = parsed_address(where, default_port) if isinstance(where, str) else None
    if address is not None:
        plain = HostnameEndpoint(reactor, address.host, address.port or default_port)
        if not secure:
            return address, lambda: succeed(plain)

        def make() -> Deferred[IStreamClientEndpoint]:
            reading = deferToThreadPool(reactor, reactor.getThreadPool(), client_tls, address.host, trust)
            return reading.addCallback(wrapClientTLS, plain)

        return address, make
    if secure:
        raise ConfigurationError('secure=True is for "host:port"; an endpoint brings its own TLS')
    if isinstance(where, str):
        try:
            endpoint: IStreamClientEndpoint = clientFromString(reactor, where)
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(f'where= is "host:port", or a Twisted client endpoint; not {where!r}') from error
        return Address(where, None), lambda: succeed(endpoint)
    if not IStreamClientEndpoint.providedBy(where):
        raise ConfigurationError(
            f'connect to where= "host:port", or to a Twisted client endpoint; not to {shown(where)}'
        )
    return Address(f"this {type(where).__name__}", None), lambda: succeed(where)
