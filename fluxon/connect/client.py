"""``Client``: the client for Twisted programs.

Rules of this module: everything happens on the reactor's thread and gives Deferreds; every failure is a
``FluxonError`` whose text says what to do, the same as ``ConnectionInterface`` raises.
"""

from __future__ import annotations

import os
import random as _random
from collections.abc import Callable, Coroutine, Mapping
from secrets import token_urlsafe
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IStreamClientEndpoint

from fluxon.arguments import check_reactor
from fluxon.blocking import Pending, pending
from fluxon.commands import Call, CallOnce, Deliver, Goodbye
from fluxon.connect.arguments import check_events, check_trust
from fluxon.connect.functions import Function, Functions
from fluxon.connect.interface import ConnectionInterface
from fluxon.connect.service import ClientService, connected, endpoint_of
from fluxon.connect.session import shared_session
from fluxon.errors import FluxonError
from fluxon.rpc import Peer


class Client(ClientService):
    """A connection to a Fluxon server, with a session of its own, as a Twisted service.

    ``where`` is ``"host:port"``, a Twisted endpoint, or the description of one (``"unix:/run/chat"``). ``secure`` is
    TLS to a ``"host:port"``, ``trust`` the path of a PEM file with the server's certificate or its authority, where
    the platform does not know it. ``session`` is another client whose session this one shares.

    ``wait_for_server`` is for programs that may start before their server: for so many seconds from its start on,
    ``connect``, ``when_connected`` and requests wait for a server that is not there yet, within their own timeouts,
    instead of failing with the first attempt. A certificate that is not trusted, and a server of another kind, are told
    at once all the same.

    Started as a service it connects, comes back by itself when the connection is lost, still logged in, and stays
    until it is stopped. ``fluxon.connect.connect`` makes, starts and awaits one. ``on_disconnect``, ``on_reconnect``
    and ``on_session_lost`` are called as those of ``ConnectionInterface``, and may be ``async def``.
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
        wait_for_server: float = 0.0,
        on_session_lost: Callable[[], Any] | None = None,
        on_reconnect: Callable[[bool], Any] | None = None,
        on_disconnect: Callable[[], Any] | None = None,
        random: Callable[[], float] = _random.random,
    ) -> None:
        check_reactor(reactor)
        check_trust(trust, secure)
        check_events(True, on_reconnect=on_reconnect)
        self._functions = Functions(waiting_allowed=True)
        self._functions.update({} if functions is None else functions)
        address, endpoint = endpoint_of(reactor, where, secure, trust)
        #: What this client knows of its session; for ``session=`` of another client, and for cloud clients.
        self.session = shared_session(session, address.host, secure)
        super().__init__(
            reactor,
            address,
            endpoint,
            secure=secure,
            session=self.session,
            timeout=timeout,
            responders={Call: self._call_function, Deliver: self._deliver},
            on_session_lost=on_session_lost,
            random=random,
            wait_for_server=wait_for_server,
            connected=self._connected,
            on_disconnect=on_disconnect,
        )
        self._on_reconnect = on_reconnect

    def call(
        self,
        view_name: str,
        payload: Any = None,
        timeout: float | None = None,
        *,
        idempotent: bool = False,
        key: str | None = None,
    ) -> Pending[Any]:
        """Have the server's view ``view_name`` answer ``payload``, within ``timeout`` seconds.

        Fails as ``ConnectionInterface.send_request`` raises; ``idempotent`` and ``key`` mean what they mean there.
        Cancelling tells the server.
        """
        arguments = {"view": view_name, "payload": payload}
        if idempotent or key is not None:
            arguments["key"] = token_urlsafe(16) if key is None else key
            return pending(Deferred.fromCoroutine(self._ask_once(CallOnce, arguments, timeout)))
        return pending(Deferred.fromCoroutine(self._ask(Call, arguments, timeout)))

    @property
    def recovered(self) -> bool:
        """See ``ConnectionInterface.recovered``."""
        return self._recovered

    def stopService(self) -> Deferred[None]:
        """End the connection; what is asked fails. The server is told, and keeps nothing for this client."""
        connection = self._connector.current
        if connection is not None:
            connection.peer.ask(Goodbye, {}, urgent=True).addErrback(lambda _: None)
        return super().stopService()

    def reverse_request_mapping(self, mapping: Mapping[str, Function]) -> None:
        """Let the server call these functions, by these names; earlier ones of other names stay.

        A dict payload becomes keyword arguments, any other the only argument, None none. Functions are called in the
        order of the server's calls; one that waits (``async def``, or a Deferred) lets the next begin. Calls that the
        server keeps come again after a lost connection, and are carried out once for all clients that share a session:
        map the same functions on each.
        """
        self._functions.update(mapping)

    def _call_function(self, _: Peer, arguments: dict[str, Any]) -> Any:
        return self._functions.call(arguments["view"], arguments["payload"])

    def _deliver(self, peer: Peer, arguments: dict[str, Any]) -> Any:
        numbers, number = self.session.numbers, arguments["number"]
        repeated: Deferred[None] = Deferred()
        # It may be another client of this session, in a thread, that carries it out.
        if not numbers.arrive(number, lambda: self._reactor.callFromThread(repeated.callback, None)):
            return repeated
        try:
            result = self._call_function(peer, arguments)
        except BaseException:
            numbers.done(number)
            raise
        if not isinstance(result, (Deferred, Coroutine)):
            numbers.done(number)
            return result
        waiting = result if isinstance(result, Deferred) else Deferred.fromCoroutine(result)

        def done(outcome: Any) -> Any:
            numbers.done(number)
            return outcome

        return waiting.addBoth(done)

    def _connected(self) -> None:
        if self._on_reconnect is not None and self._connector.was_connected:
            self._inform("on_reconnect", self._on_reconnect, self._recovered)


def connect(reactor: Any, where: str | IStreamClientEndpoint, **keywords: Any) -> Deferred[Client]:
    """A ``Client`` of ``where``, connected and greeted. The keywords are those of ``Client``.

    Fails with the reason when the first attempt does (nobody listens, the certificate is not trusted, …), or, with
    ``wait_for_server``, when the server has not come up after so many seconds. Once connected it comes back by itself;
    ``await client.close()`` ends it.
    """
    try:
        client = Client(reactor, where, **keywords)
    except FluxonError:
        return fail()
    return connected(client)
