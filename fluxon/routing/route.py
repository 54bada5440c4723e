"""``Route``: the way from a request for one view to its result, and what became of those who went it.

Rules of this module:

- A fresh session, a known name and an ``async def`` cost one Request and one step of the coroutine, nothing else.
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
from fluxon.metrics import Requests
from fluxon.routing.mapping import View
from fluxon.routing.request import Request
from fluxon.rpc import Peer

if TYPE_CHECKING:
    from fluxon.routing.router import Router


class Route:
    """Shared by all connections. ``router`` has what all views of a server share."""

    __slots__ = ("_function", "_in_thread", "requests", "router")

    def __init__(self, view: View, router: Router) -> None:
        self._function = view.function
        self._in_thread = view.in_thread
        self.router = router
        #: What became of the requests.
        self.requests = Requests()

    def respond(self, peer: Peer, payload: Any) -> Any:
        """Run the view: its value, a Deferred or a coroutine."""
        request = Request(payload, peer, self)
        serve(request)
        if not peer.session.fresh(request.arrived):
            return self._respond_verified(peer, request)
        if self._in_thread:
            return self._run_in_thread(peer, request)
        return self._function(request)

    def stand_in(self, peer: Any, payload: Any) -> Any:
        """Run the view for somebody who is not there; see ``StandIn``. It is not counted."""
        request = Request(payload, peer, self)
        serve(request)
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
            serve(request)
            # It may have waited for its thread, while its user was thrown out.
            if not peer.session.fresh(router.seconds()):
                wait_for(router.reactor, lambda: Deferred.fromCoroutine(router.greeting.confirm(peer)))
            return self._function(request)

        return router.threads.run(peer.session, run, request, peer.protocol.address)
