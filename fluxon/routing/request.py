"""``Request``: what a view is given, and what it can do to its session and its connection."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.blocking import Pending, either, pending
from fluxon.commands import Call
from fluxon.errors import Unavailable
from fluxon.routing.payload import fields_of
from fluxon.rpc import Peer
from fluxon.sessions.user import AuthenticatedUser
from fluxon.wire import Ask

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    from fluxon.endpoint import AsyncServer
    from fluxon.routing.route import Route
    from fluxon.routing.router import Router
    from fluxon.sessions import Session

    #: What type checkers take ``request.user`` for.
    T = TypeVarWithDefault("T", covariant=True, default=AuthenticatedUser)
else:
    T = TypeVar("T", covariant=True)

_log = Logger(namespace="fluxon.routing")


class Connection:
    """The connection a request came by; two requests of one connection have equal ones."""

    __slots__ = ("_peer", "_router")

    def __init__(self, peer: Peer, router: Router) -> None:
        self._peer = peer
        self._router = router

    @property
    def peername(self) -> tuple[str, int] | None:
        """The client's address and port; None where there is none, as on a Unix socket."""
        return self._peer.peername

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self._peer.lost

    def send(self, name: str, payload: Any = None, timeout: float | None = None) -> Any:
        """Call the client's function ``name`` on this very connection; what it returned.

        Raises what ``AsyncServer.call_client`` raises.
        """
        timeout = self._router.limits.reverse_timeout if timeout is None else timeout

        def start() -> Deferred[Any]:
            return self._peer.ask(Call, {"view": name, "payload": payload}, timeout)

        return either(start, lambda: self._router.wait(start))

    def close(self) -> None:
        """End the connection, after the answers that are ready."""
        self._router.reactor.callFromThread(self._peer.protocol.close)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Connection) and other._peer is self._peer

    def __hash__(self) -> int:
        return hash(self._peer)


class Login(Pending[None]):
    """A login or logout under way. Remembers whether the view took care of its outcome.

    Cancelling stops the waiting, not the work.
    """

    taken = False

    def __await__(self) -> Any:
        self.taken = True
        return super().__await__()

    def addCallbacks(self, *args: Any, **kwargs: Any) -> Any:
        self.taken = True
        return super().addCallbacks(*args, **kwargs)

    def addCallback(self, *args: Any, **kwargs: Any) -> Any:
        self.taken = True
        return super().addCallback(*args, **kwargs)

    def addErrback(self, *args: Any, **kwargs: Any) -> Any:
        self.taken = True
        return super().addErrback(*args, **kwargs)

    def addBoth(self, *args: Any, **kwargs: Any) -> Any:
        self.taken = True
        return super().addBoth(*args, **kwargs)


class Request(Generic[T]):
    """One request of a client.

    ``payload`` is whatever the client sent with it; check all of it. ``fields`` checks the types of what is in a dict.

    To a type checker or an editor, ``Request[User]`` says whose model ``user`` is a row of, so that its columns have
    their types; ``Request`` alone leaves them open.
    """

    __slots__ = ("_ask", "_logins", "_peer", "_route", "arrived", "payload")

    def __init__(self, payload: Any, peer: Peer, route: Route, ask: Ask | None) -> None:
        self.payload = payload
        self._peer = peer
        self._route = route
        self._ask = ask
        self._logins: list[Login] | None = None
        #: ``timestamp`` in POSIX seconds.
        self.arrived = peer.protocol.arrived

    def __repr__(self) -> str:
        return f"<Request of {self.peername}, session {self.sessionid}>"

    def fields(self, **types: Any) -> list[Any]:
        """What the client sent under these names, in their order: ``name, age = request.fields(name=str, age=int)``.

        A type is one that crosses the wire, or several: ``note=str | None`` may be left out, and is None then. Other
        names in the payload are left alone, and no payload is an empty one. Raises ``InvalidPayload`` for a payload
        that is no dict, and for values that are missing or of another type; its ``details["fields"]`` say for each
        what is wrong.
        """
        return fields_of(self.payload, types)

    @property
    def user(self) -> T | None:
        """Who is logged in on the connection now, or None. The row is never older than a few seconds."""
        session = self._peer.session
        if session.ending is not None or session.user is None:
            return None
        found: Any = AuthenticatedUser(session.user)
        return found  # type: ignore[no-any-return]

    @property
    def session(self) -> Session:
        """The connection's session now; for the engine's own use."""
        return self._peer.session  # type: ignore[no-any-return]

    @property
    def sessionid(self) -> str:
        """The session's public name: the same for all connections of a session, and no secret."""
        return str(self._peer.session.public_id)

    @property
    def id(self) -> str:
        """Names the request in the server's logs: the number of its connection, and its own on that."""
        return f"{self._peer.number}.{0 if self._ask is None else self._ask.tag}"

    @property
    def view(self) -> str:
        """The name it was asked by."""
        return "" if self._ask is None else str(self._ask.arguments["view"])

    @property
    def key(self) -> str | None:
        """The key of a request that is to be carried out once, as the client gave or made it; None without one."""
        return None if self._ask is None else self._ask.arguments.get("key")

    @property
    def peername(self) -> tuple[str, int] | None:
        """The client's address and port."""
        return self._peer.peername

    @property
    def connection(self) -> Connection:
        """The connection, for what goes to this client alone."""
        return Connection(self._peer, self._route.router)

    @property
    def server(self) -> AsyncServer:
        """The server: ``request.server.reverse_request(user_id, name, payload)``."""
        return self._route.router.server  # type: ignore[no-any-return]

    @property
    def timestamp(self) -> datetime:
        """When the request arrived, in UTC."""
        return datetime.fromtimestamp(self.arrived, UTC)

    def login(self, user_id: int) -> Any:
        """Bind the session to a user, who has just proved who they are. The session's id changes.

        May be called without ``await``: the answer waits for it, and fails if it does. ``InvalidPayload`` for what
        is no id, ``NotFound`` when there is no such user; the session is then as it was. ``Conflict`` when it was
        revoked meanwhile, ``Unavailable`` when the connection is gone, so that nobody is logged in.
        """
        return self._change(lambda: self._route.router.greeting.login(self._peer, user_id))

    def logout(self) -> Any:
        """End the session; the connection goes on with a new, anonymous one. May be called without ``await``, too."""
        return self._change(lambda: self._route.router.greeting.logout(self._peer))

    def _change(self, start: Callable[[], Deferred[None]]) -> Any:
        if self._ask is None:
            raise Unavailable("an operator called this view from the console: there is no client to log in or out")
        return either(lambda: self._remember(start), lambda: self._route.router.wait(start))

    def _remember(self, start: Callable[[], Deferred[None]]) -> Login:
        outcome = Login()
        if self._logins is None:
            self._logins = []
        assert self._ask is not None
        self._ask.settle = self._settle
        self._logins.append(outcome)
        start().addBoth(outcome.callback)
        return outcome

    def _settle(self, result: Any) -> Deferred[Any]:
        """The answer, when the logins that the view began are over."""
        logins, self._logins = self._logins or [], None
        return pending(Deferred.fromCoroutine(_settled(logins, result)))


async def _settled(logins: list[Login], result: Any) -> Any:
    refused: Failure | None = None
    for login in logins:
        if login.taken:
            if not login.called:
                await _over(login)
            continue
        try:
            await login
        except CancelledError:
            raise
        except Exception as error:
            refused = refused or Failure()
            if isinstance(result, Failure):
                _log.warn("a login that its view did not await failed, as did the view: {error}", error=error)
    if isinstance(result, Failure):
        result.raiseException()
    if refused is not None:
        refused.raiseException()
    return result


def _over(login: Login) -> Deferred[None]:
    """Fires when ``login`` has, whatever came of it; its outcome is the view's, who awaits it."""
    done: Deferred[None] = Deferred()

    def note(outcome: Any) -> Any:
        done.callback(None)
        return outcome

    login.addBoth(note)
    return done
