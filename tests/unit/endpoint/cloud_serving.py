"""A server with a cloud storage, and raw clients of its port, over real sockets in the test's own process."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from descriptors import open_files
from serving import PATIENCE, Person, ServingTestCase, Wire
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.task import deferLater

from fluxon.cloud.authorization_models import (
    AnonymousPermissions,
    DefaultRole,
    Permissions,
    RoleBasedAccessControl,
    RootPermissions,
)
from fluxon.commands import Command, SessionChanged, cloud
from fluxon.endpoint import AsyncServer, CloudStorageServer
from fluxon.errors import FluxonError
from fluxon.routing import Request, Setup
from fluxon.rpc import ClientFactory, Incoming, Outgoing, Peer, Responders

MIB = 2**20


class Model(RoleBasedAccessControl):
    """Nobody may see anything of another's until a role says so."""

    class owner(RoleBasedAccessControl.Role):
        permissions = list(Permissions)

    class viewer(RoleBasedAccessControl.Role):
        permissions = [Permissions.READ_FILE, Permissions.READ_TREE_DIRECTORY]

    DefaultRole(None)
    AnonymousPermissions(permissions=[])
    RootPermissions(permissions=[Permissions.CREATE_SUB_DIRECTORY])


async def login(request: Request) -> Any:
    await request.login(request.payload)


async def claim(request: Request) -> Any:
    """Be the owner of a path."""
    return await Model.assign_role(role=Model.owner, path=request.payload, user=request.user)


def content_of(size: int, seed: int = 1) -> bytes:
    """Bytes that no two places have alike."""
    return hashlib.shake_128(seed.to_bytes(4, "big")).digest(size)


def open_objects() -> int:
    """Descriptors of this process that lead into a cloud's folder of objects or uploads."""
    return sum(
        "/cloud/uploads/" in place or ("/cloud/objects/" in place and len(os.path.basename(place)) > 2)
        for place in open_files().values()
    )


class Held:
    """A source of bytes that waits at some places until it is told to go on."""

    def __init__(self, data: bytes, stop_at: int | None = None) -> None:
        self._data = memoryview(data)
        self._at = 0
        self._stop_at = len(data) if stop_at is None else stop_at
        self._waiting: Deferred[bytes] | None = None
        #: Fires when all before the stop was taken to be sent.
        self.stopped: Deferred[None] = Deferred()
        self.closed = False

    def read(self, size: int) -> Any:
        if self._at == self._stop_at < len(self._data):
            self._waiting = Deferred()
            self.stopped.callback(None)
            return self._waiting
        return self._next(size)

    def _next(self, size: int) -> bytes:
        end = min(self._at + size, len(self._data) if self._at >= self._stop_at else self._stop_at)
        piece, self._at = bytes(self._data[self._at : end]), end
        return piece

    def go_on(self) -> None:
        waiting, self._waiting, self._stop_at = self._waiting, None, len(self._data)
        if waiting is not None:
            waiting.callback(self._next(64 * 1024))

    def close(self) -> None:
        self.closed = True


class Kept:
    """A sink that keeps everything, and may be slow."""

    def __init__(self) -> None:
        self.received = bytearray()
        #: While it is set, what comes is not taken.
        self.slow: Deferred[None] | None = None
        self.over: Deferred[FluxonError | None] = Deferred()
        self._reached: list[tuple[int, Deferred[None]]] = []

    def data(self, piece: memoryview) -> Any:
        self.received += piece
        for size, deferred in list(self._reached):
            if len(self.received) >= size:
                self._reached.remove((size, deferred))
                deferred.callback(None)
        return self.slow

    def ended(self, error: FluxonError | None) -> None:
        self.over.callback(error)

    def reached(self, size: int) -> Deferred[None]:
        deferred: Deferred[None] = Deferred()
        self._reached.append((size, deferred))
        return deferred


class CloudWire(Wire):
    """A client of a cloud's port. ``changes`` is what watches told it."""

    #: Whether it is one that knows nothing of changes.
    deaf = False

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[dict[str, Any]] = []
        #: What it answers to a change, instead of at once.
        self.acknowledge: Callable[[], Any] = dict
        self._expected: list[tuple[int, Deferred[None]]] = []

    async def connect(self, where: str) -> CloudWire:
        ears = {} if self.deaf else {cloud.Changed: self._heard}
        responders = Responders({**ears, SessionChanged: self._session_changed})
        factory = ClientFactory(responders, reactor, on_disconnect=lambda *_: self.lost.callback(None))
        protocol = factory.buildProtocol(None)
        protocol.conversation.send_limit = 16 * MIB
        await connectProtocol(clientFromString(reactor, where), protocol)
        self.peer = protocol.peer
        return self

    def _heard(self, _: Peer, arguments: dict[str, Any]) -> Any:
        self.changes.append(arguments)
        for count, deferred in list(self._expected):
            if len(self.changes) >= count:
                self._expected.remove((count, deferred))
                deferred.callback(None)
        return self.acknowledge()

    async def heard(self, count: int) -> list[tuple[str, str]]:
        """The first ``count`` changes, as actions and paths, when they have come."""
        if len(self.changes) < count:
            deferred: Deferred[None] = Deferred()
            self._expected.append((count, deferred))
            await deferred
        return [(each["action"], each["path"]) for each in self.changes]

    def do(self, command: type[Command], timeout: float = PATIENCE, **arguments: Any) -> Deferred[Any]:
        if "limit" in command.arguments:
            arguments.setdefault("limit", 1_000)
        return self.peer.ask(command, arguments, timeout)

    async def make(self, path: str) -> dict[str, Any]:
        item: dict[str, Any] = (await self.do(cloud.MakeDirectory, path=path, parents=False))["item"]
        return item

    async def write(self, path: str, data: bytes, **more: Any) -> dict[str, Any]:
        written = await self.do(cloud.Write, path=path, data=data, **{"create": True, **more})
        item: dict[str, Any] = written["item"]
        return item

    async def begin(self, path: str, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.do(cloud.Upload, path=path, **{"create": True, **more})
        return answer

    def send(self, answer: dict[str, Any], source: Held) -> Outgoing:
        outgoing = Outgoing(source)
        self.peer.attach(answer["stream"], outgoing)
        return outgoing

    async def upload(self, path: str, data: bytes, **more: Any) -> dict[str, Any]:
        answer = await self.begin(path, **more)
        await self.send(answer, Held(data)).when_done()
        return await self.commit(answer, data)

    async def commit(self, answer: dict[str, Any], data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        committed = await self.do(cloud.Commit, upload=answer["upload"], size=len(data), sha256=digest)
        item: dict[str, Any] = committed["item"]
        return item

    def receive(self, answer: dict[str, Any], sink: Kept) -> Incoming:
        incoming = Incoming(sink)
        self.peer.attach(answer["stream"], incoming)
        return incoming

    async def read(self, path: str, offset: int = 0, **more: Any) -> bytes:
        answer = await self.do(cloud.Read, path=path, offset=offset, **more)
        if answer["data"] is not None:
            data: bytes = answer["data"]
            return data
        sink = Kept()
        self.receive(answer, sink)
        error = await sink.over
        if error is not None:
            raise error
        return bytes(sink.received)


class CloudTestCase(ServingTestCase):
    """A test with servers that have a cloud, and users: ann (1) and bob (2)."""

    def cloud_setup(self, *views: Callable[..., Any], folder: str = "project", **keywords: Any) -> Setup:
        limits = {"session_freshness": 0.1, **keywords.pop("limits", {})}
        parts = {"cloud_auth_model": Model, "cloud_folder": Path(folder).absolute() / "cloud", **keywords}
        return self.setup_of(login, claim, *views, folder=folder, users=True, limits=limits, **parts)

    async def serve_cloud(self, *views: Callable[..., Any], **keywords: Any) -> AsyncServer:
        server = await self.start(self.cloud_setup(*views, **keywords), cloud_storage=CloudStorageServer(port=0))
        for name in ("ann", "bob"):
            await Person.Insert(username=name, password=f"{name}'s")
        return server

    async def logged_in(self, server: AsyncServer, user_id: int) -> Wire:
        wire = await self.wire(server)
        await wire.call("login", user_id)
        return wire

    #: Makes a client of the cloud.
    make_wire: Callable[[], CloudWire] = CloudWire

    async def cloud_wire(
        self, server: AsyncServer | CloudStorageServer, token: str | None = None, *, greet: bool = True
    ) -> CloudWire:
        """A client of the cloud's port with the session of ``token``."""
        cloud_server = server if isinstance(server, CloudStorageServer) else server.cloud_storage
        assert cloud_server is not None
        wire = await self.make_wire().connect(f"tcp:127.0.0.1:{cloud_server.listening_port.getHost().port}")
        self.addCleanup(wire.abort)
        if greet:
            await wire.hello(token)
        return wire

    async def user(self, server: AsyncServer, user_id: int, home: str | None = None) -> CloudWire:
        """A client of the cloud with a user logged in, who owns the directory ``home``."""
        main = await self.logged_in(server, user_id)
        wire = await self.cloud_wire(server, main.token)
        if home is not None:
            await wire.make(home)
            await main.call("claim", home)
        return wire

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for what another thread or the other end does."""
        while not condition():
            await deferLater(reactor, 0.01)
