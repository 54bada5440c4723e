"""A server and raw clients of it in the test's own process: every token and message is seen.

What ``serve`` gives is reached in memory (``fluxon.testing``), by the real clock; ``start`` listens where it is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.trial.unittest import TestCase

from fluxon.commands import PROTOCOL_VERSION, Call, Hello, SessionChanged
from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.endpoint import AsyncServer
from fluxon.errors import NotFound
from fluxon.limits import Limits
from fluxon.routing import Setup
from fluxon.rpc import ClientFactory, Peer, Responders
from fluxon.security import Secrets
from fluxon.testing.calling import Calls
from fluxon.testing.network import MemoryClientEndpoint, MemoryPort, MemoryServerEndpoint, Network

#: Longer than any answer takes on a machine that has much else to do: a commit waits for everybody's disk.
PATIENCE = 50.0


class Person(models.AuthenticatedUser):
    """The user of these tests."""

    username = models.CharField(max_length=100, unique=True)
    password = models.CharField(max_length=200)


_PORTS = itertools.count(1)


class Wire:
    """A client that shows what happens. ``events`` are the messages in the order of their arrival."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.events: list[tuple[str, Any]] = []
        self.functions: dict[str, Callable[[Any], Any]] = {}
        self.lost: Deferred[None] = Deferred()
        self.peer: Peer

    async def connect(self, where: str | IStreamClientEndpoint) -> Wire:
        responders = Responders({Call: self._called, SessionChanged: self._session_changed})
        factory = ClientFactory(responders, reactor, on_disconnect=lambda *_: self.lost.callback(None))
        # Tests may send what well-behaved clients would not.
        protocol = factory.buildProtocol(None)
        protocol.conversation.send_limit = 16 * 2**20
        endpoint = clientFromString(reactor, where) if isinstance(where, str) else where
        await connectProtocol(endpoint, protocol)
        self.peer = protocol.peer
        return self

    async def hello(self, token: str | None = None, features: tuple[str, ...] = ()) -> dict[str, Any]:
        arguments = {"version": PROTOCOL_VERSION, "token": token, "seen": 0, "features": list(features)}
        answer: dict[str, Any] = await self.peer.ask(Hello, arguments, PATIENCE)
        self.token = answer["token"]
        return answer

    def ask(self, view: str, payload: Any = None, timeout: float = PATIENCE) -> Deferred[Any]:
        return self.peer.ask(Call, {"view": view, "payload": payload}, timeout)

    async def call(self, view: str, payload: Any = None, timeout: float = PATIENCE) -> Any:
        value = await self.ask(view, payload, timeout)
        self.events.append(("answer", value))
        return value

    def _called(self, _: Peer, arguments: dict[str, Any]) -> Any:
        self.events.append(("called", arguments["view"]))
        function = self.functions.get(arguments["view"])
        if function is None:
            raise NotFound("no such function")
        return function(arguments["payload"])

    def _session_changed(self, _: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        self.token = arguments["token"]
        self.events.append(("session", arguments["authenticated"]))
        return {}

    async def abort(self) -> None:
        """Gone, without a word."""
        if not self.peer.lost:
            self.peer.protocol.transport.abortConnection()
        await self.lost


class ServingTestCase(TestCase):
    """A test whose server and clients are gone when it ends."""

    timeout = 60

    def setup_of(self, *views: Callable[..., Any], folder: str = "project", **keywords: Any) -> Setup:
        """A setup with ``views`` by their names. With ``users`` there is a database with ``Person``."""
        place = Path(folder).absolute()
        limits = keywords.pop("limits", {})
        parts: dict[str, Any] = {"mapping": {view.__name__: view for view in views}, "secrets": Secrets(place / "keys")}
        if keywords.pop("users", False):
            parts |= {
                "models": [Person],
                "database_api": SQLiteDatabase,
                "database_path": place / "people.sqlite3",
                "database_schema_dir": place / "schema",
            }
        place.mkdir(exist_ok=True)
        return Setup(**{**parts, "limits": Limits(**limits), **keywords})

    async def start(self, setup: Setup, **keywords: Any) -> AsyncServer:
        server = AsyncServer(port=0, setup=setup, **keywords)
        server.startService()
        self.addCleanup(lambda: server.stopService() if server.running else None)
        await server.when_ready()
        return server

    async def serve(self, *views: Callable[..., Any], sockets: bool = False, **keywords: Any) -> AsyncServer:
        """A running server with ``views``, in memory; with ``sockets`` on a port, for clients that block."""
        endpoint = None if sockets else self.new_place()
        return await self.start(self.setup_of(*views, **keywords), endpoint=endpoint)

    @cached_property
    def network(self) -> Network:
        """Where the servers and clients of this test meet."""
        return Network(Calls(reactor, blocks=False), reactor)

    def new_place(self) -> MemoryServerEndpoint:
        """Somewhere to listen."""
        return MemoryServerEndpoint(self.network, next(_PORTS))

    def place_of(self, server: Any) -> str | MemoryClientEndpoint:
        """Where clients find a server."""
        port = server.listening_port
        number = port.getHost().port
        return MemoryClientEndpoint(self.network, number) if isinstance(port, MemoryPort) else f"tcp:127.0.0.1:{number}"

    async def wire(self, server: AsyncServer, token: str | None = None, *, greet: bool = True) -> Wire:
        """A client of ``server``, greeted."""
        wire = await Wire().connect(self.place_of(server))
        self.addCleanup(wire.abort)
        if greet:
            await wire.hello(token)
        return wire

    async def fails(self, kind: type[BaseException], awaitable: Any) -> Any:
        """What ``awaitable`` fails with, which is a ``kind``."""
        try:
            value = await awaitable
        except kind as error:
            return error
        return self.fail(f"{kind.__name__} was to be raised, but it answered {value!r}")
