"""An operator of SSH, by Conch's client, at a server's console in memory."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from serving import ServingTestCase
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.session import packRequest_pty_req, packRequest_window_change
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.conch.ssh.userauth import SSHUserAuthClient
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from fluxon.endpoint import AsyncServer
from fluxon.testing.link import Link
from fluxon.testing.network import MemoryClientEndpoint


class _Login(SSHUserAuthClient):
    def __init__(self, key: Key, connection: SSHConnection) -> None:
        super().__init__(b"anybody", connection)
        self._key = key

    def getPublicKey(self) -> Any:
        return self._key.public() if self.lastPublicKey is None else None

    def getPrivateKey(self) -> Any:
        return succeed(self._key)


class _Connection(SSHConnection):
    def __init__(self) -> None:
        super().__init__()
        self.started: Deferred[None] = Deferred()

    def serviceStarted(self) -> None:
        super().serviceStarted()
        self.started.callback(None)


class _Transport(SSHClientTransport):
    def __init__(self, key: Key) -> None:
        self.connection = _Connection()
        self._login = _Login(key, self.connection)

    def verifyHostKey(self, hostKey: bytes, fingerprint: str) -> Any:
        return succeed(True)

    def connectionSecure(self) -> None:
        self.requestService(self._login)


class Session(SSHChannel):
    """A session of the client's: what it was told, and with which statuses it ended."""

    name = b"session"

    def __init__(self, connection: SSHConnection) -> None:
        super().__init__(conn=connection, localWindow=2**20)
        self.opened: Deferred[Any] = Deferred()
        self.over: Deferred[None] = Deferred()
        self.told = self.complaints = ""
        self.statuses: list[int] = []
        self._awaited: list[tuple[str, Deferred[None]]] = []

    def channelOpen(self, specificData: bytes) -> None:
        self.opened.callback(self)

    def openFailed(self, reason: Any) -> None:
        self.opened.errback(reason)

    def dataReceived(self, data: bytes) -> None:
        self.told += data.decode()
        for text, deferred in list(self._awaited):
            if text in self.told:
                self._awaited.remove((text, deferred))
                deferred.callback(None)

    def extReceived(self, dataType: int, data: bytes) -> None:
        self.complaints += data.decode()

    def request_exit_status(self, data: bytes) -> int:
        self.statuses.append(struct.unpack(">L", data)[0])
        return 0

    def closed(self) -> None:
        self.over.callback(None)

    async def tells(self, text: str) -> None:
        """Wait until it has told ``text``."""
        if text not in self.told:
            deferred: Deferred[None] = Deferred()
            self._awaited.append((text, deferred))
            await deferred

    def ask(self, kind: bytes, data: bytes = b"") -> Deferred[Any]:
        """A request of this session; fails if it is refused."""
        return self.conn.sendRequest(self, kind, data, wantReply=True)  # type: ignore[no-any-return]

    def ask_terminal(self, columns: int) -> Deferred[Any]:
        return self.ask(b"pty-req", packRequest_pty_req(b"xterm", (24, columns, 0, 0), b""))

    def ask_window(self, columns: int) -> Deferred[Any]:
        return self.ask(b"window-change", packRequest_window_change((24, columns, 0, 0)))

    def ask_command(self, line: str) -> Deferred[Any]:
        return self.ask(b"exec", NS(line.encode()))


class Operator:
    """Who has a connection of SSH."""

    def __init__(self, transport: Any, link: Link) -> None:
        self.connection: SSHConnection = transport.connection
        self.link = link

    async def session(self) -> Session:
        made = Session(self.connection)
        self.connection.openChannel(made)
        opened: Session = await made.opened
        return opened


class ConsoleTestCase(ServingTestCase):
    """Servers with a console in memory, and a key that may log in."""

    def setUp(self) -> None:
        self.key = Key(Ed25519PrivateKey.generate())

    def setup_with_key(self, *views: Any, **keywords: Any) -> Any:
        setup = self.setup_of(*views, **keywords)
        setup.secrets.open()
        path = Path("project/keys/authorized_keys")
        path.write_bytes(self.key.public().toString("openssh", comment=b"emma") + b"\n")
        path.chmod(0o600)
        return setup

    async def serve_console(self, *views: Any, **keywords: Any) -> AsyncServer:
        setup = self.setup_with_key(*views, **keywords)
        return await self.start(setup, endpoint=self.new_place(), manhole=self.new_place())

    async def stranger(self, server: AsyncServer, protocol: Any = None) -> Any:
        """A connection to the console; nobody has logged in."""
        assert server._manhole is not None
        number = server._manhole.port.getHost().port
        endpoint = MemoryClientEndpoint(self.network, number)
        made = await endpoint.connect(Factory.forProtocol(protocol or (lambda: _Transport(self.key))))
        assert endpoint.link is not None
        self.addCleanup(endpoint.link.cut)
        return made, endpoint.link

    async def operator(self, server: AsyncServer) -> Operator:
        """Somebody who has logged in."""
        transport, link = await self.stranger(server)
        await transport.connection.started
        return Operator(transport, link)

    async def until(self, met: Any) -> None:
        """Let the reactor turn until ``met()``."""
        from twisted.internet import reactor

        while not met():
            await deferLater(reactor, 0)
