"""The SSH transport of a connection, and the factory of all of them.

Rules of this module:

- From the connection to a login there are 30 seconds, whatever a stranger says or does not say meanwhile.
- What is no SSH ends the connection with a line at ``debug``, never with a traceback.
- The host key is Ed25519; users' keys may be of any safe kind. Conch would tell clients only of the former, and
  OpenSSH would not even offer its RSA and ECDSA keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.conch.ssh.connection import SSHConnection as ConchConnection
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import SSHServerTransport
from twisted.cred.portal import Portal
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from fluxon.console.ssh.authentication import UserAuthentication
from fluxon.console.ssh.quiet import QuietLogger

_log = Logger(namespace="fluxon.console")

#: Seconds from the connection to the login.
LOGIN_WITHIN = 30.0
#: Connections at once: operators are few, and a flood of strangers must not take the server's descriptors.
CONNECTIONS = 64

#: Signatures that users may prove their keys with.
SIGNATURES = (
    b"ssh-ed25519",
    b"sk-ssh-ed25519@openssh.com",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
    b"sk-ecdsa-sha2-nistp256@openssh.com",
    b"rsa-sha2-512",
    b"rsa-sha2-256",
)


class SSHConnection(ConchConnection):
    """What is multiplexed over one connection."""

    _log = QuietLogger()


@implementer(IPushProducer)
class ConsoleTransport(SSHServerTransport):
    """One connection."""

    _log = QuietLogger()
    ourVersionString = b"SSH-2.0-Fluxon"
    factory: ConsoleFactory
    transport: Any
    avatar: Any
    #: Where it comes from, for the log.
    address = "this machine"
    #: The other side does not take what is sent.
    congested = False
    _overdue: Any = None

    def connectionMade(self) -> None:
        """Begin, and give the other side some time."""
        self.factory.transports.add(self)
        peer = self.transport.getPeer()
        self.address = str(getattr(peer, "host", self.address))
        if hasattr(self.transport, "setTcpKeepAlive"):
            # An operator whose machine is gone is found out in hours rather than never.
            self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)
        self._overdue = self.factory.reactor.callLater(LOGIN_WITHIN, self.abort)
        super().connectionMade()  # type: ignore[no-untyped-call]

    def authenticated(self) -> None:
        """Somebody is logged in."""
        self._stop_waiting()
        _log.info("console: {operator} is here, from {address}", operator=self.avatar.operator, address=self.address)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """It is over."""
        self._stop_waiting()
        self.factory.transports.discard(self)
        super().connectionLost(reason)
        self.factory.lost()

    def pauseProducing(self) -> None:
        """See ``congested``."""
        self.congested = True

    def resumeProducing(self) -> None:
        """See ``congested``."""
        self.congested = False

    def stopProducing(self) -> None:
        """The connection is lost."""

    def let_go(self) -> None:
        """The server stops: end every session with its status, upon which a client goes; a stranger at once."""
        channels = list(getattr(self.service, "channels", {}).values())
        if not channels:
            self.abort()
        for channel in channels:
            channel.let_go()

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        """Say why, and end it."""
        self.transport.unregisterProducer()
        super().sendDisconnect(reason, desc)  # type: ignore[no-untyped-call]

    def abort(self) -> None:
        """End it at once."""
        self.transport.abortConnection()

    def sendExtInfo(self, extensions: Any) -> None:
        """Name what users' keys may be, instead of what the host's is."""
        known = [(b"server-sig-algs", b",".join(SIGNATURES))]
        super().sendExtInfo(known)  # type: ignore[no-untyped-call]

    def dataReceived(self, data: bytes) -> None:
        """Bytes of somebody who may be nobody."""
        try:
            super().dataReceived(data)  # type: ignore[no-untyped-call]
        except Exception as error:
            if hasattr(self, "avatar"):
                _log.failure("console: the connection of {operator} failed", operator=self.avatar.operator)
            else:
                self._log.debug("{address} does not speak SSH: {error!r}", address=self.address, error=error)
            self.abort()

    def _stop_waiting(self) -> None:
        if self._overdue is not None and self._overdue.active():
            self._overdue.cancel()


class ConsoleFactory(SSHFactory):
    """Makes transports; ``portal`` lets people in."""

    _log = QuietLogger()
    noisy = False
    protocol = ConsoleTransport
    services = {b"ssh-userauth": UserAuthentication, b"ssh-connection": SSHConnection}

    def __init__(self, reactor: Any, key: Key, portal: Portal) -> None:
        self.reactor = reactor
        self.portal = portal
        self.transports: set[ConsoleTransport] = set()
        self._key = key
        self._on_empty: Callable[[], object] | None = None

    def buildProtocol(self, addr: Any) -> Any:
        if len(self.transports) >= CONNECTIONS:
            _log.warn("console: a connection was refused, {count} are open", count=len(self.transports))
            return None
        return super().buildProtocol(addr)

    def getPublicKeys(self) -> dict[bytes, Key]:
        return {self._key.sshType(): self._key.public()}

    def getPrivateKeys(self) -> dict[bytes, Key]:
        return {self._key.sshType(): self._key}

    def when_empty(self, function: Callable[[], object]) -> None:
        """Have ``function()`` called once there is no connection, now or later."""
        self._on_empty = function
        self.lost()

    def lost(self) -> None:
        """A connection has ended."""
        if self._on_empty is not None and not self.transports:
            function, self._on_empty = self._on_empty, None
            function()
