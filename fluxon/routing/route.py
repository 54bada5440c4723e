"""``Route``: the way from a request for one view to its result, and what became of those who went it.

Rules of this module:

- A fresh session, a known name and an ``async def`` cost one Request and one step of the coroutine, nothing else.
- A route observes the requests that go it (``rpc.observing``). Those that are to have a line in the log, and are likely
  to be answered at once, are observed one by one: while there is room for such lines.
- A session that was not looked at for a while is verified before its view runs: a revoked one never reaches a view.
  Requests that come meanwhile wait for the same look; none overtakes it.
- Views run where their kind says (``mapping``), and nowhere else.
"""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from fluxon.blocking import wait_for
from fluxon.caller import serve
from fluxon.errors import FluxonError
from fluxon.routing.mapping import View
from fluxon.routing.request import Request
from fluxon.rpc import Counting, Peer
from fluxon.wire import Ask

if TYPE_CHECKING:
    from fluxon.routing.router import Router


class Route(Counting):
    """Shared by all connections. ``router`` has what all views of a server share."""

    __slots__ = ("_function", "_in_thread", "_log", "router")

    def __init__(self, view: View, router: Router) -> None:
        super().__init__()
        self._function = view.function
        self._in_thread = view.in_thread
        self._log = router.log
        self.router = router

    def respond(self, peer: Peer, payload: Any) -> Any:
        """Run the view: its value, a Deferred or a coroutine."""
        ask = peer.current
        request = Request(payload, peer, self, ask)
        assert ask is not None
        ask.observer = _Noted(self, peer, ask) if self._log.open else self
        session = peer.session
        # ``session.fresh``, without the call.
        if not session.verified_at <= request.arrived < session.fresh_until:
            return self._respond_verified(peer, request)
        if self._in_thread:
            return self._run_in_thread(peer, request)
        return self._function(request)

    def ended(self, peer: Peer, ask: Ask, error: FluxonError | None, seconds: float) -> None:
        """Count one, and have a line in the log for it, if there is room."""
        super().ended(peer, ask, error, seconds)
        self._log.note(Request(None, peer, self, ask), self.router.seconds(), seconds, error)

    def stand_in(self, peer: Any, payload: Any) -> Any:
        """Run the view for somebody who is not there; see ``StandIn``. It is not counted."""
        serve(peer)
        request = Request(payload, peer, self, None)
        return self._run_in_thread(peer, request) if self._in_thread else self._function(request)

    async def _respond_verified(self, peer: Peer, request: Request) -> Any:
        await self.router.greeting.confirm(peer)
        if self._in_thread:
            return await self._run_in_thread(peer, request)
        result = self._function(request)
        # A coroutine goes on in this context, which knows whom it serves.
        return await result if isinstance(result, CoroutineType) else result

    def _run_in_thread(self, peer: Peer, request: Request) -> Deferred[Any]:
        router = self.router

        def run(request: Request) -> Any:
            serve(peer)
            # It may have waited for its thread, while its user was thrown out.
            if not peer.session.fresh(router.seconds()):
                wait_for(router.reactor, lambda: Deferred.fromCoroutine(router.greeting.confirm(peer)))
            return self._function(request)

        return router.threads.run(peer.session, run, request, peer.protocol.address)


class _Noted:
    """The observer of one request that has a line in the log, also if it is answered at once."""

    __slots__ = ("_ask", "_peer", "_route", "prompt")

    def __init__(self, route: Route, peer: Peer, ask: Ask) -> None:
        self._route = route
        self._peer = peer
        self._ask: Ask | None = ask
        self.prompt = 0

    def prompt_ended(self, seconds: float) -> None:
        # An ask knows its observer: one that knew its ask would wait for the garbage collector.
        ask, self._ask = self._ask, None
        if ask is not None:
            self._route.ended(self._peer, ask, None, seconds)

    def ended(self, peer: Peer, ask: Ask, error: FluxonError | None, seconds: float) -> None:
        self._ask = None
        self._route.ended(peer, ask, error, seconds)
