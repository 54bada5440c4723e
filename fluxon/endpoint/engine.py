"""The parts of a running server, opened in order and closed in the reverse one.

Rules of this module:

- Nothing is opened before ``start``; what ``start`` opened ``stop`` closes, also when ``start`` failed half way.
- What blocks (keys, schema files, the first look at the database) runs in a thread of its own.
- Stopping: no new connections, then no new requests, then those under way get ``Limits.drain`` seconds, then the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from fluxon.database import schema
from fluxon.database.database import Database
from fluxon.endpoint.accounts import NoAccounts
from fluxon.endpoint.listening import address_of, listen
from fluxon.endpoint.logs import LogFiles
from fluxon.routing import Router, Setup
from fluxon.routing.greeting import Greeting
from fluxon.routing.reverse import Reverse
from fluxon.rpc import Peer, ServerFactory
from fluxon.security.tls import ServerTLS
from fluxon.sessions import DatabaseAccounts, Sessions, SQLStore
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.server")

#: Seconds between looks for sessions that have expired.
_PURGE_EVERY = 3600.0


class Engine:
    """One run of one server."""

    sessions: Sessions
    factory: ServerFactory
    router: Router
    reverse: Reverse
    port: IListeningPort

    def __init__(self, setup: Setup, server: Any, reactor: Any) -> None:
        self._setup = setup
        self._server = server
        self._reactor = reactor
        self._blocking = WorkerPool("start", 1, reactor)
        self._logs: LogFiles | None = None
        self._purging: LoopingCall | None = None
        self._emptied: Deferred[None] | None = None
        self._hurried = False
        self.database: Database | None = None

    async def start(self, endpoint: IStreamServerEndpoint, secure: bool) -> None:
        """Open everything, and listen last: who can connect is served."""
        setup = self._setup
        if setup.logs_dir is not None:
            self._logs = LogFiles(setup.logs_dir)
            await self._blocking.submit(self._logs.open)
        await self._blocking.submit(setup.secrets.open)
        tls = await self._blocking.submit(self._make_tls) if secure else None
        await self._start_database()
        self._start_sessions()
        self.port = await listen(endpoint, self.factory, tls)
        _log.info(
            "listening on {address} {how}",
            address=address_of(self.port),
            how="with TLS" if secure else "without TLS",
        )

    def _make_tls(self) -> ServerTLS:
        secrets = self._setup.secrets
        return ServerTLS(secrets.certificate_path, secrets.key_path, run=self._look_in_thread)

    def _look_in_thread(self, look: Any) -> None:
        self._blocking.submit(look).addErrback(lambda failure: _log.failure("looking for a certificate", failure))

    async def _start_database(self) -> None:
        setup = self._setup
        if setup.database_api is None:
            return
        database = self.database = setup.database_api(setup.database_path)
        database.bind(setup.models if setup.models is not None else [])
        self._store = SQLStore(database)
        await database.start(self._reactor)
        if setup.database_schema_dir is not None:
            for line in await self._blocking.submit(schema.prepare, database, setup.database_schema_dir):
                _log.info("{line}", line=line)

    def _start_sessions(self) -> None:
        setup, database = self._setup, self.database
        limits = setup.limits
        self.sessions = Sessions(
            setup.secrets.signer(),
            NoAccounts() if database is None else DatabaseAccounts(database),
            self._reactor,
            limits,
            digest=setup.secrets.digest,
            persistent=None if database is None else self._store,
            on_end=self._session_ended,
        )
        self._greeting = Greeting(self.sessions, limits)
        self.router = Router(setup.views, self.sessions, self._greeting, self._server, self._reactor, limits)
        self.router.database = database
        self.reverse = Reverse(self.sessions, self._reactor, limits, self.router.wait)
        self.factory = ServerFactory(self.router.responders(), self._reactor, limits, on_disconnect=self._disconnected)
        self._purging = LoopingCall(self._purge)
        self._purging.clock = self._reactor
        self._purging.start(_PURGE_EVERY, now=False)

    def _session_ended(self, session: Any) -> None:
        self._greeting.ended(session)

    def _disconnected(self, peer: Peer, _: Any) -> None:
        self._greeting.leave(peer)
        if self._emptied is not None and not self.factory.peers:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    def _purge(self) -> Deferred[Any]:
        return self.sessions.purge().addErrback(lambda failure: _log.failure("purging sessions", failure))

    async def stop(self) -> None:
        """Close everything that is open. What fails to close is logged, and the rest is closed all the same."""
        if hasattr(self, "port"):
            await _carried_out("closing the port", self.port.stopListening)
        if hasattr(self, "factory"):
            await self._drain()
            self.router.stop()
        if self._purging is not None and self._purging.running:
            self._purging.stop()
        if self.database is not None:
            await _carried_out("closing the database", self.database.stop)
            self.database.unbind()
        self._blocking.stop()
        if self._logs is not None:
            self._logs.close()

    def hurry(self) -> None:
        """While it stops, or is about to: do not wait for requests."""
        self._hurried = True
        if self._emptied is not None:
            self._end_all()

    async def _drain(self) -> None:
        if not self.factory.peers:
            return
        emptied = self._emptied = Deferred()
        patience = 0.0 if self._hurried else self._setup.limits.drain
        overdue = self._reactor.callLater(patience, self._end_all)
        for peer in tuple(self.factory.peers):
            peer.protocol.drain()
        await emptied
        if overdue.active():
            overdue.cancel()

    def _end_all(self) -> None:
        _log.warn("{count} connections had requests that did not end in time", count=len(self.factory.peers))
        for peer in tuple(self.factory.peers):
            # Every deadline is over: what runs is told to stop, its clients are told, and the connection closes.
            peer.expire(math.inf)


async def _carried_out(what: str, work: Callable[[], Any]) -> None:
    try:
        await maybeDeferred(work)
    except Exception:
        _log.failure("{what} failed", what=what)
