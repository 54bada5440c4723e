"""``Router``: the responder of ``call``. From a view's name to its route, and what all routes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from fluxon.blocking import wait_for
from fluxon.commands import Call, CallOnce, Command, Goodbye, Hello
from fluxon.database.database import Database
from fluxon.fairness import FairThreads
from fluxon.limits import Limits
from fluxon.routing.greeting import Greeting
from fluxon.routing.mapping import View, unknown_view
from fluxon.routing.repeats import Repeats
from fluxon.routing.request_log import RequestLog
from fluxon.routing.route import Route
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
        self.log = RequestLog(reactor, limits.request_lines, self._answered)
        self._routes = {name: Route(view, self) for name, view in views.items()}
        #: What became of the requests for each view.
        self.requests = {name: route.requests for name, route in self._routes.items()}
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
        #: For plain views.
        self.threads = FairThreads(
            WorkerPool("view", limits.view_threads, reactor),
            limits.view_queue,
            limits.share_of_session,
            limits.share_of_address,
        )

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
        assert self.greeting.keeping is not None
        table[Goodbye] = self.greeting.keeping.goodbye
        responders = Responders(table)
        for name, route in self._routes.items():
            responders.expect(Call, {"view": name}, "payload", route.respond)
        return responders

    def call(self, peer: Peer, arguments: dict[str, Any]) -> Any:
        """Run a view: its value, a Deferred or a coroutine."""
        route = self._routes.get(arguments["view"])
        if route is None:
            raise unknown_view(arguments["view"], self.views)
        return route.respond(peer, arguments["payload"])

    def _answered(self) -> int:
        return sum(requests.count - requests.failures for requests in self.requests.values())

    async def call_as(self, user: Any, name: str, payload: Any) -> Any:
        """Run a view for an operator, as the user whose row is given, or as a stranger (None): what it answers.

        There is no client behind it: the view cannot log in, nor call back. It is not counted.
        """
        route = self._routes.get(name)
        if route is None:
            raise unknown_view(name, self.views)
        return await settled(route.stand_in(StandIn(user, self.seconds()), payload))

    @property
    def waiting(self) -> int:
        """Plain views that wait for a thread."""
        return self.threads.waiting

    def stop(self) -> None:
        """Run no more views in threads."""
        self.threads.stop()
        self.log.stop()
