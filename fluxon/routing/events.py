"""What happens to connections, told to a project's functions: connect, login, logout, disconnect.

Rules of this module:

- Who is on a connection changes by these events and by nothing else: ``connect`` tells who it is, ``login`` and
  ``logout`` each change, ``disconnect`` who it was at the end.
- The events of one connection are told one at a time, in order, whatever the functions wait for. Nobody waits for
  them: requests are answered meanwhile.
- Functions run where views of their kind do (``mapping``), plain ones in a few threads of their own: a full pool of
  views must not cost an event. One that fails is logged with an incident id; one that hangs is given up after
  ``view_timeout``.
- A client that logs in and out faster than that is heard of costs no more than ``_WAITING`` events.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from fluxon.caller import serve
from fluxon.routing.mapping import View
from fluxon.routing.request import Connection, T
from fluxon.routing.stand_in import settled
from fluxon.rpc import Peer
from fluxon.rpc.faults import to_internal
from fluxon.sessions import Session
from fluxon.sessions.user import AuthenticatedUser
from fluxon.workers import WorkerPool

if TYPE_CHECKING:
    from fluxon.endpoint import AsyncServer
    from fluxon.routing.router import Router

_log = Logger(namespace="fluxon.routing")

KINDS = ("connect", "login", "logout", "disconnect")

#: Events of one connection that wait for the one before them. A connection's end is told all the same.
_WAITING = 64

#: Connections whose events are told at once, and which are begun in one turn of the reactor: when a network fails,
#: thousands end in one moment.
_AT_ONCE = 64


class Event(Generic[T]):
    """Something that happened to a connection; what a function for it is given.

    ``user`` and ``sessionid`` are those of that moment: for a logout and a disconnect, who it was. To a type checker
    ``Event[User]`` says whose row ``user`` is, as ``Request[User]`` does.
    """

    __slots__ = ("_peer", "_router", "_timestamp", "kind", "reason", "session", "user")

    def __init__(self, kind: str, peer: Peer, session: Session, router: Router, reason: str | None = None) -> None:
        #: ``connect``, ``login``, ``logout`` or ``disconnect``.
        self.kind = kind
        self._peer = peer
        self._router = router
        self._timestamp = router.seconds()
        #: For the engine's own use.
        self.session = session
        user: Any = None if session.user is None else AuthenticatedUser(session.user)
        self.user: T | None = user
        #: Why a session ended, for a logout: ``logged out``, ``revoked``, ``expired``, ``password changed`` …
        self.reason = reason

    def __repr__(self) -> str:
        return f"<Event {self.kind} of {self.peername}, session {self.sessionid}>"

    @property
    def sessionid(self) -> str:
        """The session's public name."""
        return self.session.public_id

    @property
    def peername(self) -> tuple[str, int] | None:
        """The client's address and port."""
        return self._peer.peername

    @property
    def connection(self) -> Connection:
        """The connection."""
        return Connection(self._peer, self._router)

    @property
    def server(self) -> AsyncServer:
        """The server, as ``request.server``."""
        return self._router.server  # type: ignore[no-any-return]

    @property
    def timestamp(self) -> datetime:
        """When it happened, in UTC."""
        return datetime.fromtimestamp(self._timestamp, UTC)


class Events:
    """``functions`` by kind, told what happens to connections. To be used on the reactor thread."""

    def __init__(self, functions: dict[str, View], router: Router) -> None:
        self._functions = functions
        self._router = router
        self._threads = WorkerPool("event", router.limits.event_threads, router.reactor)
        # Of each connection of which something is to be told: in order, the one that is being told taken out.
        self._queues: dict[Peer, deque[Event]] = {}
        self._ready: deque[Peer] = deque()
        self._told_now = 0
        self._soon: IDelayedCall | None = None
        self._running: set[Deferred[None]] = set()
        self._idle: Deferred[None] | None = None

    @property
    def waiting(self) -> int:
        """Connections of which something is to be told."""
        return len(self._queues)

    def tell(self, kind: str, peer: Peer, session: Session, reason: str | None = None) -> None:
        """Have the function of ``kind``, if there is one, called soon."""
        if kind not in self._functions:
            return
        queue = self._queues.get(peer)
        if queue is None:
            queue = self._queues[peer] = deque()
            self._ready.append(peer)
            self._begin_soon()
        elif len(queue) >= _WAITING and kind != "disconnect":
            _log.warn("{kind} of connection {number} is not told: too much waits", kind=kind, number=peer.number)
            return
        queue.append(Event(kind, peer, session, self._router, reason))

    def _begin_soon(self) -> None:
        # Always from the reactor: functions that wait for nothing would begin one another, as deep as there are many.
        if self._ready and self._soon is None:
            self._soon = self._router.reactor.callLater(0, self._begin)

    def _begin(self) -> None:
        self._soon = None
        for _ in range(min(len(self._ready), _AT_ONCE - self._told_now)):
            self._told_now += 1
            Deferred.fromCoroutine(self._tell_all(self._ready.popleft()))
        if self._told_now < _AT_ONCE:
            self._begin_soon()

    async def _tell_all(self, peer: Peer) -> None:
        queue = self._queues[peer]
        while queue:
            await self._tell(queue.popleft())
        del self._queues[peer]
        self._told_now -= 1
        self._begin_soon()
        if not self._queues and self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)

    async def _tell(self, event: Event) -> None:
        view, router = self._functions[event.kind], self._router
        running = Deferred.fromCoroutine(self._run(view, event))
        running.addTimeout(router.limits.view_timeout, router.reactor)
        running.addErrback(to_internal, f"on_{event.kind}, {event!r}")
        self._running.add(running)
        await running
        self._running.discard(running)

    async def _run(self, view: View, event: Event) -> None:
        serve(event)
        if view.in_thread:
            (result,) = await self._threads.submit(_boxed, view, event)
        else:
            result = view.function(event)
        await settled(result)

    async def stop(self, patience: float) -> None:
        """Until everything is told, ``patience`` seconds at most; then nothing more is."""
        if self._queues:
            self._idle = Deferred()
            self._idle.addTimeout(patience, self._router.reactor, onTimeoutCancel=self._give_up)
            await self._idle
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._threads.stop()

    def _give_up(self, *_: Any) -> None:
        _log.warn("{count} connections ended untold: their functions took too long", count=len(self._queues))
        for queue in self._queues.values():
            queue.clear()
        for each in tuple(self._running):
            each.cancel()


def _boxed(view: View, event: Event) -> tuple[Any]:
    # It may return a Deferred or a coroutine, which must not fire anything in its thread.
    return (view.function(event),)
