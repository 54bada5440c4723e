"""Keeps one connection of a Twisted program up: connects, says hello, and comes back when it is lost.

Rules of this module: everything happens on the reactor's thread, nothing blocks it, and the same decisions are made as
in ``connector.py`` (who waits, who fails at once, how long between attempts) from the same texts and delays.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import attrs
from twisted.internet import error as net
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.addresses import is_local
from fluxon.commands import Hello
from fluxon.connect import reasons
from fluxon.connect.arguments import Address
from fluxon.connect.backoff import Backoff
from fluxon.connect.greeting import Greeting, hello_arguments
from fluxon.connect.session import Session
from fluxon.errors import DeadlineExceeded, FluxonError, ProtocolError, Unavailable
from fluxon.rpc import ClientFactory, Peer, PeerFactory, PeerProtocol, Responders
from fluxon.security.tls import explain_tls_failure
from fluxon.wire import Conversation

_log = Logger(namespace="fluxon.connect")

#: From the first packet to an answered hello.
ATTEMPT = 10.0

#: How much of what came first is kept, to tell what kind of server speaks.
_BEGINNING = 8

#: What an attempt ends with that took too long, or is no longer wanted: each endpoint has its own word.
_GIVEN_UP = (net.ConnectingCancelledError, CancelledError, TimedOut)


class _Protocol(PeerProtocol):
    """Remembers how what came began, and tells when it is over."""

    def __init__(self, factory: PeerFactory, conversation: Conversation) -> None:
        super().__init__(factory, conversation)
        self.beginning = b""
        #: Called first when it is over, before those who asked are told: they may ask again at once.
        self.leaving: Callable[[], None] | None = None
        #: Fires with the reason.
        self.gone: Deferred[BaseException] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        if len(self.beginning) < _BEGINNING:
            self.beginning += data[:_BEGINNING]
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.leaving is not None:
            self.leaving()
        super().connectionLost(reason)
        # A Failure as a result would be an error of the Deferred.
        self.gone.callback(reason.value or net.ConnectionLost())


class _Factory(ClientFactory):
    def buildProtocol(self, addr: IAddress | None) -> _Protocol:  # type: ignore[override]
        protocol = _Protocol(self, self.converse())
        protocol.peer.greeted = self.greeted_from_start
        return protocol


@attrs.define(eq=False)
class Connection:
    """One greeted connection."""

    peer: Peer
    greeting: Greeting
    #: The token that the server knows it by.
    token: str | None
    compress: bool


class Reconnecting:
    """The connection of one client. ``endpoint`` gives what to connect to, when it is first needed."""

    def __init__(
        self,
        reactor: IReactorTime,
        where: Address,
        endpoint: Callable[[], Deferred[IStreamClientEndpoint]],
        responders: Responders,
        *,
        secure: bool,
        session: Session,
        backoff: Backoff,
        wait_for_server: float,
        greeted: Callable[[str | None, Greeting], str | None],
        connected: Callable[[], None] = lambda: None,
        disconnected: Callable[[], None] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self.where = where
        self.secure = secure
        self._make_endpoint = endpoint
        self._endpoint: IStreamClientEndpoint | None = None
        self._session = session
        self._backoff = backoff
        self._wait_for_server = wait_for_server
        # A first connection is waited for until then.
        self._patient_until = 0.0
        self._greeted = greeted
        self._connected = connected
        self._disconnected = disconnected
        self._factory = _Factory(responders, reactor)
        #: The connection, while there is one that was greeted.
        self.current: Connection | None = None
        # The same, and after its server has said that it leaves.
        self._served: Connection | None = None
        self.closed = True
        #: Whether there ever was one.
        self.was_connected = False
        self._trouble: FluxonError | None = None
        self._waiting: list[Deferred[Connection]] = []
        # Of requests that the server refused for now.
        self._pauses: set[Deferred[None]] = set()
        self._step: Deferred[Any] | None = None
        self._pausing = False
        self._running: Deferred[None] | None = None

    # --- for the client -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and stay connected until ``stop``."""
        self.closed = False
        self._patient_until = float(self._reactor.seconds()) + self._wait_for_server
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: _log.failure("a client's connection failed for good", failure))

    def stop(self) -> Deferred[None]:
        """End it; fires when nothing is left."""
        self.closed = True
        running, self._running = self._running, None
        for waiting in self._take_waiting():
            waiting.errback(reasons.closed())
        for pause in list(self._pauses):
            pause.errback(reasons.closed())
        if self._served is not None:
            self._served.peer.protocol.close()
        elif self._step is not None:
            self._step.cancel()
        ended: Deferred[None] = Deferred()
        if running is None:
            ended.callback(None)
        else:
            running.addBoth(lambda _: ended.callback(None))
        return ended

    def when_connected(self, deadline: float) -> Deferred[Connection]:
        """The connection as soon as there is one; why there is none by ``deadline``, or at all."""
        waiting: Deferred[Connection] = Deferred(self._forget)
        if self.current is not None:
            waiting.callback(self.current)
            return waiting
        if self.closed:
            waiting.errback(reasons.closed())
            return waiting
        timer = self._reactor.callLater(max(0.0, deadline - self._reactor.seconds()), self._expire, waiting)

        def over(result: Any) -> Any:
            if timer.active():
                timer.cancel()
            return result

        waiting.addBoth(over)
        self._waiting.append(waiting)
        if self._pausing and not self.was_connected and self._step is not None:
            self._step.cancel()  # somebody wants it now
        return waiting

    def pause(self, seconds: float) -> Deferred[None]:
        """Fires after ``seconds``. Fails when it is closed meanwhile."""

        def over(result: Any) -> Any:
            self._pauses.discard(pause)
            if timer.active():
                timer.cancel()
            return result

        pause: Deferred[None] = Deferred()
        timer = self._reactor.callLater(seconds, pause.callback, None)
        self._pauses.add(pause)
        return pause.addBoth(over)

    def _forget(self, waiting: Deferred[Connection]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def _expire(self, waiting: Deferred[Connection]) -> None:
        self._forget(waiting)
        waiting.errback(reasons.still_waiting(self.where, self._trouble))

    def _take_waiting(self) -> Iterator[Deferred[Connection]]:
        """Those who wait until now, to be told: but for those whom one of the others, being told, gives up."""
        waiting, self._waiting = self._waiting, []
        return (each for each in waiting if not each.called)

    def leave(self, peer: Peer) -> None:
        """The server of ``peer`` stops: what is asked from now on waits for the next connection."""
        if self.current is not None and self.current.peer is peer:
            self.current = None
            self._trouble = reasons.leaving(self.where)

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self.closed:
            since = self._reactor.seconds()
            try:
                connection = await self._stepping(Deferred.fromCoroutine(self._connect()))
            except CancelledError:
                break
            except FluxonError as error:
                self._failed(error)
            except Exception:
                _log.failure("connecting to {where} failed in a way that it should not", where=self.where)
                self._failed(Unavailable("connecting failed; the log says why"))
            else:
                await self._serve(connection)
                self._backoff.connected_for(self._reactor.seconds() - since)
            if not self.closed:
                await self._pause()

    async def _stepping(self, step: Deferred[Any]) -> Any:
        self._step = step
        try:
            return await step
        finally:
            self._step = None

    async def _pause(self) -> None:
        self._pausing = True
        try:
            await self._stepping(deferLater(self._reactor, self._delay(), lambda: None))
        except CancelledError:
            pass
        finally:
            self._pausing = False

    def _delay(self) -> float:
        delay, left = self._backoff.next(), self._patient_until - float(self._reactor.seconds())
        return left if 0 < left < delay and not self.was_connected else delay  # for a last attempt

    async def _connect(self) -> Connection:
        deadline = self._reactor.seconds() + ATTEMPT
        if self._endpoint is None:
            self._endpoint = await self._make_endpoint()
        connecting = self._endpoint.connect(self._factory)
        connecting.addTimeout(ATTEMPT, self._reactor)
        try:
            protocol = await connecting
        except (net.ConnectError, OSError, UnicodeError, *_GIVEN_UP) as error:
            if self.closed:
                raise CancelledError from error
            raise _not_connected(self.where, error) from error
        assert isinstance(protocol, _Protocol)
        return await self._greet(protocol, max(deadline - self._reactor.seconds(), 0.1))

    async def _greet(self, protocol: _Protocol, timeout: float) -> Connection:
        peer = protocol.peer
        presented = self._session.token
        compress = not _is_local(protocol)
        try:
            arguments = hello_arguments(presented, compress=compress, seen=self._session.seen)
            answer = await peer.ask(Hello, arguments, timeout, urgent=True)
            greeting = Greeting.read(answer, compress=compress)
        except BaseException as error:
            lost = peer.lost
            protocol.abort("it was never greeted")
            reason = await protocol.gone
            raise self._explain(protocol, error, reason if lost else None) from error
        self._factory.watch_every(greeting.heartbeat)
        protocol.greeted()
        token = self._greeted(presented, greeting)
        greeting.apply(peer.conversation, self._session)
        return Connection(peer, greeting, token, compress)

    def _explain(self, protocol: _Protocol, error: BaseException, reason: BaseException | None) -> BaseException:
        """``reason`` is why the connection ended, if it did so by itself."""
        beginning = protocol.beginning
        if reason is not None:
            refusal = explain_tls_failure(reason, self.where.host)
            if refusal is not None:
                return refusal
            if self.was_connected:
                return reasons.lost(self.where, str(reason))  # a server that is known, cut off once more
            if beginning:
                return reasons.broke_off(self.where, beginning, secure=self.secure)
            return reasons.closed_before_hello(self.where, secure=self.secure)
        if isinstance(error, DeadlineExceeded):
            return reasons.silent(self.where)
        if type(error) is FluxonError or isinstance(error, ProtocolError):
            return reasons.not_fluxon(self.where, beginning, str(error), secure=self.secure)
        return error  # the server's own words, or the program's end

    async def _serve(self, connection: Connection) -> None:
        protocol = connection.peer.protocol
        assert isinstance(protocol, _Protocol)
        self._connected()
        self.current = self._served = connection
        protocol.leaving = self._leave
        self.was_connected = True
        self._trouble = None
        _log.info("connected to {where}", where=self.where)
        for waiting in self._take_waiting():
            waiting.callback(connection)
        if self.closed:
            protocol.close()
        reason = str(await protocol.gone)
        self._trouble = reasons.lost(self.where, reason)
        _log.info("the connection to {where} was lost: {reason}", where=self.where, reason=reason)
        if not self.closed:
            self._disconnected()

    def _leave(self) -> None:
        self.current = self._served = None

    def _failed(self, error: FluxonError) -> None:
        self._trouble = error
        patient = self.was_connected or float(self._reactor.seconds()) < self._patient_until
        if reasons.gives_up(error, patient=patient):
            for waiting in self._take_waiting():
                waiting.errback(type(error)(error.text, details=error.details))


def _is_local(protocol: PeerProtocol) -> bool:
    address = protocol.transport.getPeer() if protocol.transport is not None else None
    host = getattr(address, "host", None)
    return is_local(host)


def _not_connected(where: Address, error: BaseException) -> FluxonError:
    """Twisted's errors of connecting, in the terms of the operating system's."""
    if isinstance(error, net.DNSLookupError):
        return reasons.not_connected(where, socket.gaierror())
    if isinstance(error, net.ConnectionRefusedError):
        return reasons.not_connected(where, ConnectionRefusedError())
    if isinstance(error, (net.TimeoutError, *_GIVEN_UP)):
        return reasons.not_connected(where, TimeoutError())
    if isinstance(error, (OSError, UnicodeError)):
        return reasons.not_connected(where, error)
    return reasons.not_connected(where, OSError(getattr(error, "osError", None) or 0, str(error).rstrip(".")))
