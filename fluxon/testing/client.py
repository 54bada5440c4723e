"""``MemoryClient``: a client of a server in memory, as tests use it.

Rules of this module:

- It is the client of programs (``fluxon.connect.Client``) over a link in memory: hello, sessions, reconnecting and
  limits are the product's. A test sees besides what the server asked of it, and may be logged in without a view.
- Calls follow the rule of ``calling``. In a test that does not await, functions that the server calls may block, as
  those of a ``ConnectionInterface``: they run one at a time, in a thread of their own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from fluxon.connect import Client
from fluxon.connect.functions import Function, Functions
from fluxon.connect.session import SessionHolder
from fluxon.connect.turns import Turns, current
from fluxon.errors import Unavailable
from fluxon.rpc import Peer
from fluxon.testing.calling import PATIENCE
from fluxon.testing.cloud import MemoryCloud
from fluxon.testing.link import Link
from fluxon.testing.network import MemoryClientEndpoint

if TYPE_CHECKING:
    from fluxon.testing.server import MemoryServer

T = TypeVar("T")

#: Seconds of the clock between looks whether a client has a connection again: the shortest delay between its attempts.
_ATTEMPT = 0.05


@attrs.frozen
class ReceivedCall:
    """What the server asked of a client."""

    name: str
    payload: Any


class _Client(Client):
    """Tells what the server asks of it."""

    told: Callable[[ReceivedCall], None]

    def _call_function(self, peer: Peer, arguments: dict[str, Any]) -> Any:
        self.told(ReceivedCall(arguments["view"], arguments["payload"]))
        return super()._call_function(peer, arguments)


class MemoryClient:
    """Made by ``MemoryServer.connect``. In a test that awaits: ``client = await app.connect()``."""

    def __init__(
        self,
        server: MemoryServer,
        endpoint: MemoryClientEndpoint,
        user: Any,
        functions: Mapping[str, Function] | None,
        **keywords: Any,
    ) -> None:
        self._server = server
        self._calls = server.calls
        self._endpoint = endpoint
        self._blocks = self._calls.may_block()
        self._turns = Turns("fluxon-testing-functions")
        #: What the server asked of this client, in order; whether or not there was a function for it.
        self.received: list[ReceivedCall] = []
        self._taken = 0
        self._waiting: list[tuple[str | None, Deferred[ReceivedCall]]] = []
        for name in ("on_session_lost", "on_reconnect", "on_disconnect"):
            if keywords.get(name) is not None:
                keywords[name] = self.in_turn(keywords[name])
        # The first delay between attempts is then the same in every run.
        self.client = _Client(server.reactor, endpoint, random=lambda: 0.0, **keywords)
        self.client.told = self._received
        self.reverse_request_mapping(functions or {})
        server.opened(self)
        self._begun = self._run("connect()", lambda: Deferred.fromCoroutine(self._begin(user)))

    def __repr__(self) -> str:
        return f"<MemoryClient {self.client!r}>"

    def __await__(self) -> Generator[Any, Any, MemoryClient]:
        if not self._blocks:
            begun, self._begun = self._begun, None
            if begun is not None:
                yield from begun.__await__()
        return self

    async def _begin(self, user: Any) -> None:
        self.client.startService()
        try:
            await self.client.when_connected()
            if user is not None:
                await self._log_in(user)
        except BaseException:
            await self.client.close()
            raise

    def _run(self, what: str, start: Callable[[], Deferred[T]], patience: float = PATIENCE) -> Any:
        holder = current.turns
        if holder is None or not self._calls.may_block():
            return self._calls.run(what, start, patience)
        with holder.yielded():  # a function that the server called asks the server: the next one may run
            return self._calls.run(what, start, patience)

    # --- asking -------------------------------------------------------------------------------------------------------

    def send_request(
        self,
        view_name: str,
        payload: Any = None,
        timeout: float | None = None,
        *,
        idempotent: bool = False,
        key: str | None = None,
    ) -> Any:
        """Have the server's view ``view_name`` answer ``payload``, within ``timeout`` seconds of the clock.

        Takes and raises what ``ConnectionInterface.send_request`` does, and ``NoAnswer`` when nothing comes of it.
        """
        return self._run(
            f"send_request({view_name!r})",
            lambda: self.client.call(view_name, payload, timeout=timeout, idempotent=idempotent, key=key),
        )

    @property
    def recovered(self) -> bool:
        """See ``ConnectionInterface.recovered``."""
        return self.client.recovered

    def reverse_request_mapping(self, mapping: Mapping[str, Function]) -> None:
        """Let the server call these functions, by these names; earlier ones of other names stay."""
        if self._blocks:
            Functions(waiting_allowed=False).update(mapping)
            mapping = {name: self.in_turn(function) for name, function in mapping.items()}
        self.client.reverse_request_mapping(mapping)

    def in_turn(self, function: Function) -> Function:
        """``function`` as it is called for this client: in its thread, if tests of this server may block."""
        if not self._blocks:
            return function

        @functools.wraps(function)
        def call(*args: Any, **keywords: Any) -> Deferred[Any]:
            answer: Deferred[Any] = Deferred()

            def work() -> None:
                result: Any
                try:
                    result = function(*args, **keywords)
                except BaseException:
                    result = Failure()
                self._calls.reactor.callFromThread(_answer, answer, result)

            self._turns.submit(work)
            return answer

        call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        return call

    # --- what the server asked ----------------------------------------------------------------------------------------

    def next_received(self, name: str | None = None, patience: float = PATIENCE) -> Any:
        """The next call of the server's that was not taken yet (to the function ``name``, if given), when it comes.

        A ``ReceivedCall``; those before it count as taken. ``NoAnswer`` if none comes within ``patience`` real seconds.
        """
        what = "waiting for a call of the server" + (f" to {name!r}" if name else "")
        return self._run(what, lambda: self._next(name), patience)

    def _next(self, name: str | None) -> Deferred[ReceivedCall]:
        for place in range(self._taken, len(self.received)):
            if name in (None, self.received[place].name):
                self._taken = place + 1
                return succeed(self.received[place])
        self._taken = len(self.received)
        waiting: Deferred[ReceivedCall] = Deferred(self._forget)
        self._waiting.append((name, waiting))
        return waiting

    def _forget(self, waiting: Deferred[ReceivedCall]) -> None:
        self._waiting = [each for each in self._waiting if each[1] is not waiting]

    def _received(self, call: ReceivedCall) -> None:
        self.received.append(call)
        for name, waiting in self._waiting:
            if name in (None, call.name):
                self._taken = len(self.received)
                self._forget(waiting)
                waiting.callback(call)
                return

    # --- who it is ----------------------------------------------------------------------------------------------------

    def login_as(self, user: Any) -> Any:
        """Be logged in as ``user``: an id, a row, or a ``request.user``. A real login, without a view of it.

        Raises ``NotFound`` when there is no such user.
        """
        return self._run("login_as()", lambda: Deferred.fromCoroutine(self._log_in(user)))

    def logout(self) -> Any:
        """Be a stranger again."""

        async def log_out() -> None:
            await self._server.greeting.logout(self.peer)
            await self._server.clock.settled()

        return self._run("logout()", lambda: Deferred.fromCoroutine(log_out()))

    async def _log_in(self, user: Any) -> None:
        await self._server.greeting.login(self.peer, getattr(user, "id", user))
        # The client hears of it in a message of its own.
        await self._server.clock.settled()

    @property
    def user(self) -> Any:
        """Who the server takes this client for: the row of its user, or None. ``Unavailable`` without a connection."""
        return self.peer.session.user

    @property
    def session(self) -> SessionHolder:
        """What the client knows of its session; for ``session=`` of another one."""
        return self.client.session

    # --- its connection -----------------------------------------------------------------------------------------------

    @property
    def link(self) -> Link:
        """The connection that there is, or was last: faults, and its two directions."""
        if self._endpoint.link is None:
            raise Unavailable("this client was never connected")
        return self._endpoint.link

    @property
    def peer(self) -> Peer:
        """The server's end of the connection. ``Unavailable`` when that is lost."""
        protocol = self.link.server.protocol
        if protocol is None:
            raise Unavailable("this client has no connection now; reconnect() waits for the next one")
        peer: Peer = protocol.peer
        return peer

    @property
    def connected(self) -> bool:
        """Whether there is a connection that the server has greeted."""
        return self.link.open and self.peer.greeted

    def reconnect(self) -> Any:
        """Let the clock go on until the client, whose connection was lost, has one again."""

        async def again() -> None:
            while not self.connected:
                if self.link.open:  # it is saying hello, which takes no time of the clock
                    await deferLater(self._calls.reactor, 0)
                else:
                    await self._server.clock.go_on(_ATTEMPT)
            await self.client.when_connected()

        return self._run("reconnect()", lambda: Deferred.fromCoroutine(again()))

    def cloud(self) -> MemoryCloud:
        """The files of the server's cloud storage, as this client's user sees them."""
        return MemoryCloud(self._server, self)

    def close(self) -> Any:
        """End it for good."""
        self._turns.stop()
        return self._run("close()", self.client.close)


def _answer(answer: Deferred[Any], result: Any) -> None:
    if not answer.called:
        answer.callback(result)
