"""``Client``: the client for Twisted programs.

Rules of this module: everything happens on the reactor's thread and gives Deferreds; every failure is a
``FluxonError`` whose text says what to do, the same as ``ConnectionInterface`` raises.
"""

from __future__ import annotations

import os
import random as _random
from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, fail, succeed
from twisted.internet.endpoints import HostnameEndpoint, clientFromString, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.blocking import Pending, pending
from fluxon.commands import Call, Hello, SessionChanged
from fluxon.connect.arguments import DEFAULT_PORT, Address, check_trust, checked_timeout, parsed_address
from fluxon.connect.backoff import Backoff
from fluxon.connect.functions import Function, Functions
from fluxon.connect.greeting import Greeting, hello_arguments
from fluxon.connect.interface import ConnectionInterface
from fluxon.connect.reconnecting import Connection, Reconnecting
from fluxon.connect.session import SessionHolder
from fluxon.errors import ConfigurationError, DeadlineExceeded, FluxonError, OutcomeUnknown, Unavailable
from fluxon.rpc import Peer, Responders
from fluxon.security.tls import client_tls

_log = Logger(namespace="fluxon.connect")


class Client(Service):
    """A connection to a Fluxon server, with a session of its own, as a Twisted service.

    ``where`` is ``"host:port"``, a Twisted endpoint, or the description of one (``"unix:/run/chat"``). ``secure`` is
    TLS to a ``"host:port"``, ``trust`` the path of a PEM file with the server's certificate or its authority, where
    the platform does not know it. ``session`` is another client whose session this one shares.

    Started as a service it connects, comes back by itself when the connection is lost, still logged in, and stays
    until it is stopped. ``fluxon.connect.connect`` makes, starts and awaits one.
    """

    name = "fluxon-client"

    def __init__(
        self,
        reactor: Any,
        where: str | IStreamClientEndpoint,
        *,
        secure: bool = False,
        trust: str | os.PathLike[str] | None = None,
        functions: Mapping[str, Function] | None = None,
        session: Client | ConnectionInterface | None = None,
        timeout: float = 30.0,
        on_session_lost: Callable[[], Any] | None = None,
        random: Callable[[], float] = _random.random,
    ) -> None:
        check_trust(trust, secure)
        self._reactor = reactor
        self._timeout = checked_timeout(timeout)
        self._functions = Functions(waiting_allowed=True)
        self._functions.update(functions or {})
        self._on_session_lost = on_session_lost
        self._greeting_lock = DeferredLock()
        address, endpoint = _endpoint(reactor, where, secure, trust)
        if session is None:
            self.session = SessionHolder(address.host, secure)
        else:
            session.session.check_shared_with(address.host, secure)
            self.session = session.session
        self._connector = Reconnecting(
            reactor,
            address,
            endpoint,
            Responders({Call: self._call_function, SessionChanged: self._session_changed}),
            secure=secure,
            session=self.session,
            backoff=Backoff(random),
            greeted=self._greeted,
        )

    def __repr__(self) -> str:
        connector = self._connector
        state = "stopped" if connector.closed else "connected" if connector.current is not None else "connecting"
        return f"<Client {connector.where} {'TLS' if connector.secure else 'TCP'}, {state}, {self.session!r}>"

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

    def when_connected(self, timeout: float | None = None) -> Deferred[Client]:
        """Fires with the client when the server has answered hello; fails with why it has not."""
        waiting = self._connector.when_connected(self._deadline(timeout))
        return waiting.addCallback(lambda _: self)

    # --- asking -------------------------------------------------------------------------------------------------------

    def call(self, view_name: str, payload: Any = None, timeout: float | None = None) -> Pending[Any]:
        """Have the server's view ``view_name`` answer ``payload``, within ``timeout`` seconds.

        Fails as ``ConnectionInterface.send_request`` raises. Cancelling tells the server.
        """
        return pending(Deferred.fromCoroutine(self._call(view_name, payload, timeout)))

    async def _call(self, view_name: str, payload: Any, timeout: float | None) -> Any:
        arguments = {"view": view_name, "payload": payload}
        Call.check_arguments(arguments)
        deadline = self._deadline(timeout)
        connector, session = self._connector, self.session
        while True:
            connection = connector.current or await connector.when_connected(deadline)
            if connection.token != session.token:
                await self._greet_again(connection, deadline)
            try:
                return await connection.peer.ask(Call, arguments, self._left(deadline))
            except Unavailable:
                # Not the server's word but the end of the connection, before anything was sent: on to the next one.
                if not connection.peer.lost:
                    raise

    async def _greet_again(self, connection: Connection, deadline: float) -> None:
        """Another connection of this session has a newer token: present it here, too."""
        await self._greeting_lock.acquire()
        try:
            presented = self.session.token
            if connection.token == presented:
                return
            arguments = hello_arguments(presented, compress=connection.compress)
            try:
                answer = await connection.peer.ask(Hello, arguments, self._left(deadline), urgent=True)
            except (OutcomeUnknown, Unavailable):  # of the hello; what was to be asked was not sent
                if connection.peer.lost:
                    return
                raise
            greeting = Greeting.read(answer, compress=connection.compress)
            connection.greeting, connection.token = greeting, greeting.token
            self._greeted(presented, greeting)
            greeting.apply(connection.peer.conversation, self.session)
        finally:
            self._greeting_lock.release()

    def _deadline(self, timeout: float | None) -> float:
        seconds = self._timeout if timeout is None else checked_timeout(timeout)
        return float(self._reactor.seconds()) + seconds

    def _left(self, deadline: float) -> float:
        left = deadline - float(self._reactor.seconds())
        if left <= 0:
            raise DeadlineExceeded("the time was over before the request could be sent; nothing was done")
        return left

    # --- being asked --------------------------------------------------------------------------------------------------

    def reverse_request_mapping(self, mapping: Mapping[str, Function]) -> None:
        """Let the server call these functions, by these names; earlier ones of other names stay.

        A dict payload becomes keyword arguments, any other the only argument, None none. Functions are called in the
        order of the server's calls; one that waits (``async def``, or a Deferred) lets the next begin.
        """
        self._functions.update(mapping)

    def _call_function(self, _: Peer, arguments: dict[str, Any]) -> Any:
        return self._functions.call(arguments["view"], arguments["payload"])

    def _session_changed(self, peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        self.session.changed(arguments["token"], arguments["session"], arguments["authenticated"])
        connection = self._connector.current
        if connection is not None and connection.peer is peer:
            connection.token = arguments["token"]
            connection.greeting.apply(peer.conversation, self.session)
        return {}

    def _greeted(self, presented: str | None, greeting: Greeting) -> None:
        lost = self.session.greeted(
            presented,
            greeting.token,
            greeting.public_id,
            authenticated=greeting.authenticated,
            fresh=greeting.fresh,
        )
        if lost:
            _log.info("the server no longer knows this client's session; log in again")
            if self._on_session_lost is not None:
                told = Deferred.fromCoroutine(_call(self._on_session_lost))
                told.addErrback(lambda failure: _log.failure("on_session_lost failed", failure))


def connect(reactor: Any, where: str | IStreamClientEndpoint, **keywords: Any) -> Deferred[Client]:
    """A ``Client`` of ``where``, connected and greeted. The keywords are those of ``Client``.

    Fails with the reason when the first attempt does (nobody listens, the certificate is not trusted, …). Once
    connected it comes back by itself; ``await client.close()`` ends it.
    """
    try:
        client = Client(reactor, where, **keywords)
    except FluxonError:
        return fail()
    client.startService()

    def give_up(failure: Failure) -> Deferred[Client]:
        return client.close().addCallback(lambda _: failure)

    return client.when_connected().addErrback(give_up)


async def _call(function: Callable[[], Any]) -> Any:
    result = function()
    return await result if hasattr(result, "__await__") else result


def _endpoint(
    reactor: Any, where: str | IStreamClientEndpoint, secure: bool, trust: str | os.PathLike[str] | None
) -> tuple[Address, Callable[[], Deferred[IStreamClientEndpoint]]]:
    """What ``where`` means, and how to make it, which may need to read files."""
    address = parsed_address(where) if isinstance(where, str) else None
    if address is not None:
        plain = HostnameEndpoint(reactor, address.host, address.port or DEFAULT_PORT)
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
            raise ConfigurationError(f'{where!r} is neither "host:port" nor a Twisted client endpoint') from error
        return Address(where, None), lambda: succeed(endpoint)
    if not IStreamClientEndpoint.providedBy(where):
        raise ConfigurationError(f'connect to "host:port" or to a Twisted client endpoint, not to {where!r}')
    return Address(f"this {type(where).__name__}", None), lambda: succeed(where)
