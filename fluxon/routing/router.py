"""``Router``: the responder of ``call``. From a view's name to its answer.

Rules of this module:

- A fresh session, a known name and an ``async def`` cost one Request and one step of the coroutine, nothing else.
- A session that was not looked at for a while is verified before its view runs: a revoked one never reaches a view.
- Views run where their kind says (``mapping``), and nowhere else.
"""

from __future__ import annotations

from typing import Any

from fluxon.commands import Call, Hello
from fluxon.limits import Limits
from fluxon.routing.greeting import Greeting
from fluxon.routing.mapping import View, unknown_view
from fluxon.routing.request import Request
from fluxon.routing.threads import ViewThreads
from fluxon.rpc import Peer, Responders
from fluxon.sessions import Sessions


class Router:
    """What all connections of a server share: its views, sessions and threads."""

    def __init__(
        self, views: dict[str, View], sessions: Sessions, greeting: Greeting, server: Any, reactor: Any, limits: Limits
    ) -> None:
        self.views = views
        self.sessions = sessions
        self.greeting = greeting
        self.server = server
        self.reactor = reactor
        self.limits = limits
        self._threads = ViewThreads(limits.view_threads, limits.view_queue, reactor)

    def responders(self) -> Responders:
        """The table for a listener's factory."""
        return Responders({Hello: self.greeting.hello, Call: self.call})

    def call(self, peer: Peer, arguments: dict[str, Any]) -> Any:
        """Run a view: its value, a Deferred or a coroutine."""
        view = self.views.get(arguments["view"])
        if view is None:
            raise unknown_view(arguments["view"], self.views)
        request = Request(arguments["payload"], peer, self)
        if not peer.session.fresh(request._timestamp):
            return self._call_verified(peer, view, request)
        if view.in_thread:
            return self._threads.run(peer.session, view.function, request)
        return view.function(request)

    async def _call_verified(self, peer: Peer, view: View, request: Request) -> Any:
        session = peer.session
        if not await self.sessions.verify(session) and peer.session is session:
            self.greeting.become_anonymous(peer)
        if view.in_thread:
            return await self._threads.run(peer.session, view.function, request)
        return view.function(request)

    def stop(self) -> None:
        """Run no more views in threads."""
        self._threads.stop()
