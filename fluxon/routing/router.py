"""``Router``: the responder of ``call``. From a view's name to its answer.

Rules of this module:

- A fresh session, a known name and an ``async def`` cost one Request and one step of the coroutine, nothing else.
- A session that was not looked at for a while is verified before its view runs: a revoked one never reaches a view.
  Requests that come meanwhile wait for the same look; none overtakes it.
- Views run where their kind says (``mapping``), and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CoroutineType
from typing import Any

from twisted.internet.defer import Deferred

from fluxon.blocking import wait_for
from fluxon.caller import serve
from fluxon.commands import Call, CallOnce, Command, Goodbye, Hello
from fluxon.database.database import Database
from fluxon.fairness import FairThreads
from fluxon.limits import Limits
from fluxon.metrics import Requests
from fluxon.routing.greeting import Greeting
from fluxon.routing.mapping import View, unknown_view
from fluxon.routing.repeats import Repeats
from fluxon.routing.request import Request
from fluxon.routing.request_log import RequestLog
from fluxon.routing.stand_in import StandIn, settled
from fluxon.rpc import Peer, Responder, Responders
from fluxon.sessions import Sessions
from fluxon.workers import WorkerPool


class Router:
    """What all connections of a server share: its views, sessions and threads."""

    def __init__(
        self, views: dict[str, View], sessions: Sessions, greeting: Greeting, server: Any, reactor: Any, limits: Limits
    ) -> None:
        self.views = views
        #: What became of the requests for each view.
        self.requests = {name: Requests() for name in views}
        self.log = RequestLog(reactor, limits.request_lines)
        self._found = {name: (view, self.requests[name]) for name, view in views.items()}
        self.sessions = sessions
        self.greeting = greeting
        self.server = server
        self.reactor = reactor
        self.seconds: Callable[[], float] = reactor.seconds
        self.limits = limits
        #: The project's, if it has one.
        self.database: Database | None = None
        #: What was answered to requests with a key.
        self.repeats = Repeats(self, limits)
        self._threads = FairThreads(WorkerPool("view", limits.view_threads, reactor), limits.view_queue)

    def wait(self, start: Callable[[], Deferred[Any]]) -> Any:
        """In a view's thread: what ``start()``, called on the reactor, answers.

        ``RuntimeError`` in the function of a transaction: the answer could need the very database that it holds.
        """
        if self.database is not None and self.database.in_transaction:
            raise RuntimeError(
                "logins and calls into clients cannot be made inside transaction(): every writer would wait for them; "
                "make them when it has returned"
            )
        return wait_for(self.reactor, start)

    def responders(self) -> Responders:
        """The table for a listener's factory."""
        table: dict[type[Command], Responder] = {
            Hello: self.greeting.hello,
            Call: self.call,
            CallOnce: self.repeats.call_once,
        }
        if self.greeting.keeping is not None:
            table[Goodbye] = self.greeting.keeping.goodbye
        return Responders(table)

    def call(self, peer: Peer, arguments: dict[str, Any]) -> Any:
        """Run a view: its value, a Deferred or a coroutine."""
        found = self._found.get(arguments["view"])
        if found is None:
            raise unknown_view(arguments["view"], self.views)
        view, requests = found
        request = Request(arguments["payload"], peer, self, requests)
        serve(request)
        if not peer.session.fresh(request._timestamp):
            return self._call_verified(peer, view, request)
        if view.in_thread:
            return self._run_in_thread(view, request, peer)
        return view.function(request)

    async def call_as(self, user: Any, name: str, payload: Any) -> Any:
        """Run a view for an operator, as the user whose row is given, or as a stranger (None): what it answers.

        There is no client behind it: the view cannot log in, nor call back. It is not counted.
        """
        view = self.views.get(name)
        if view is None:
            raise unknown_view(name, self.views)
        peer: Any = StandIn(user)
        request = Request(payload, peer, self, Requests())
        serve(request)
        return await settled(self._run_in_thread(view, request, peer) if view.in_thread else view.function(request))

    @property
    def waiting(self) -> int:
        """Plain views that wait for a thread."""
        return self._threads.waiting

    async def _call_verified(self, peer: Peer, view: View, request: Request) -> Any:
        await self.greeting.confirm(peer)
        if view.in_thread:
            return await self._run_in_thread(view, request, peer)
        result = view.function(request)
        # A coroutine goes on in this context, which knows whom it serves.
        return await result if isinstance(result, CoroutineType) else result

    def _run_in_thread(self, view: View, request: Request, peer: Peer) -> Deferred[Any]:
        def run(request: Request) -> Any:
            serve(request)
            # It may have waited for its thread, while its user was thrown out.
            if not peer.session.fresh(self.reactor.seconds()):
                wait_for(self.reactor, lambda: Deferred.fromCoroutine(self.greeting.confirm(peer)))
            return view.function(request)

        return self._threads.run(peer.session, run, request)

    def stop(self) -> None:
        """Run no more views in threads."""
        self._threads.stop()
        self.log.stop()
