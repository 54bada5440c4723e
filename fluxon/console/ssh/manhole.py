"""``Manhole``: the console on a port of its own."""

from __future__ import annotations

from typing import Any

from twisted.conch.interfaces import IConchUser
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from fluxon.console.actions import ACTIONS
from fluxon.console.console import Console
from fluxon.console.served import Served
from fluxon.console.ssh.authentication import KeyChecker
from fluxon.console.ssh.channel import ConsoleUser
from fluxon.console.ssh.keys import AUTHORIZED_KEYS, authorized, fingerprint, host_key
from fluxon.console.ssh.transport import ConsoleFactory
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.console")

#: Threads for what blocks: keys, schema files, the storage. Operators are few.
THREADS = 4
#: Seconds for the last words of a stopping console to leave.
_CLOSE_WITHIN = 1.0


@implementer(IRealm)
class _Realm:
    """Whoever has proved to be an operator gets a ``ConsoleUser``."""

    def __init__(self, served: Served, threads: WorkerPool) -> None:
        self._served = served
        self._threads = threads

    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: object) -> Any:
        """What ``KeyChecker`` has found, an ``Operator``, becomes a ``ConsoleUser``."""
        return IConchUser, ConsoleUser(avatarId, self._make_console), lambda: None

    def _make_console(self, operator: str) -> Console:
        return Console(self._served, operator, self._threads, ACTIONS)


class Manhole:
    """Serves the console of ``served`` over SSH at ``endpoint``."""

    port: IListeningPort

    def __init__(self, served: Served, endpoint: IStreamServerEndpoint) -> None:
        self._served = served
        self._endpoint = endpoint
        self._threads = WorkerPool("console", THREADS, served.reactor)
        self._factory: ConsoleFactory | None = None
        self._listening = False

    async def open(self) -> None:
        """Listen. Raises what the endpoint raises, and ``InsecureSecrets``."""
        secrets = self._served.setup.secrets.path
        key = await self._threads.submit(host_key, secrets)
        known = await self._threads.submit(authorized, secrets)
        checker = KeyChecker(secrets, self._threads)
        portal = Portal(_Realm(self._served, self._threads), [checker])
        self._factory = ConsoleFactory(self._served.reactor, key, portal)
        self.port = await self._endpoint.listen(self._factory)
        self._listening = True
        address: Any = self.port.getHost()
        where = f"{getattr(address, 'host', address)}:{getattr(address, 'port', '')}".rstrip(":")
        _log.info("console by SSH on {where}, host key {fingerprint}", where=where, fingerprint=fingerprint(key))
        if not known:
            _log.warn(
                "nobody can log in at the console yet: put public keys into {name} in the secrets folder",
                name=AUTHORIZED_KEYS,
            )

    async def close(self) -> None:
        """Take no more connections and end those that there are, when their last words have left."""
        if self._listening:
            self._listening = False
            await maybeDeferred(self.port.stopListening)
        factory = self._factory
        if factory is not None:
            for transport in tuple(factory.transports):
                transport.let_go()
            emptied: Deferred[None] = Deferred()
            overdue = self._served.reactor.callLater(_CLOSE_WITHIN, _abort_all, factory)
            factory.when_empty(lambda: emptied.callback(None))
            await emptied
            if overdue.active():
                overdue.cancel()
        self._threads.stop()


def _abort_all(factory: ConsoleFactory) -> None:
    for transport in tuple(factory.transports):
        transport.abort()
