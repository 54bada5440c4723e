"""What every server of a process stands on: log files, keys, the database, sessions.

Rules of this module:

- Opened in order and closed in the reverse one. What ``open`` opened ``close`` closes, also when ``open`` failed half
  way; what fails to close is logged, and the rest is closed all the same.
- What blocks (keys, schema files, the first look at the database) runs in a thread of its own.
- Servers that share a process share one of these: one database, one set of sessions, one certificate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, LogLevel, LogLevelFilterPredicate

from fluxon.arguments import shown
from fluxon.database import schema
from fluxon.database.database import Database
from fluxon.endpoint.accounts import NoAccounts
from fluxon.endpoint.cloud import OpenedCloud
from fluxon.endpoint.logs import LogFiles
from fluxon.errors import ConfigurationError
from fluxon.routing import Setup
from fluxon.routing.greeting import Greeting
from fluxon.routing.keeping import Keeping
from fluxon.security.tls import ServerTLS
from fluxon.sessions import DatabaseAccounts, Session, Sessions, SQLStore
from fluxon.sessions.key_looks import KeyLooks
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.server")

#: Seconds between looks for sessions that have expired.
_PURGE_EVERY = 3600.0


class Foundation:
    """One setup, opened."""

    sessions: Sessions
    #: Gives connections their sessions; hears of the end of each.
    greeting: Greeting
    #: What is kept for clients that come back.
    keeping: Keeping

    def __init__(self, setup: Setup, reactor: Any, log_name: str = "fluxon") -> None:
        self.setup = setup
        self._log_name = log_name
        self.reactor = reactor
        #: One thread for what blocks while a server starts or stops.
        self.blocking = WorkerPool("start", 1, reactor)
        #: None for a setup without one.
        self.database: Database | None = None
        #: None for a setup without one.
        self.cloud: OpenedCloud | None = None
        self._logs: LogFiles | None = None
        # Of a setup without log files: for those who look at the log from inside.
        self._levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
        self._tls: ServerTLS | None = None
        self._purging: LoopingCall | None = None

    async def open(self) -> None:
        """Open everything."""
        setup = self.setup
        if setup.logs_dir is not None:
            self._logs = LogFiles(setup.logs_dir, self._log_name)
            await self.blocking.submit(self._logs.open)
        await self.blocking.submit(setup.secrets.open)
        await self._open_database()
        if setup.has_cloud and self.database is not None:
            self.cloud = OpenedCloud(setup, self.database, self.reactor)
            await self.cloud.open(self.blocking)
        self._begin_sessions()

    async def tls(self) -> ServerTLS:
        """TLS with the certificate of the secrets folder: one for all ports."""
        if self._tls is None:
            self._tls = await self.blocking.submit(self._make_tls)
        return self._tls

    def _make_tls(self) -> ServerTLS:
        secrets = self.setup.secrets
        return ServerTLS(secrets.certificate_path, secrets.key_path, run=self._look_in_thread)

    @property
    def levels(self) -> LogLevelFilterPredicate:
        """Which events the log has; ``setLogLevelForNamespace`` changes it."""
        return self._levels if self._logs is None else self._logs.levels

    async def reload_certificate(self) -> str:
        """Look at the certificate's files now: what came of it, in words."""
        if self._tls is None:
            return "no port has TLS, so no certificate is in use"
        return await self.blocking.submit(self._tls.reload)

    async def reload(self) -> str:
        """``reload_certificate``, new log files where somebody moved the present ones away, and new session keys."""
        if self._logs is not None:
            await self.blocking.submit(self._logs.reopen)
        await carried_out("looking for session keys", self._read_session_keys)
        outcome = await self.reload_certificate()
        _log.info("reloaded: {outcome}", outcome=outcome)
        return outcome

    async def _read_session_keys(self) -> None:
        secrets = self.setup.secrets
        if await self.blocking.submit(secrets.read_session_keys):
            _log.info("reloaded: signing sessions with key {key}", key=secrets.signer().key_id)

    def _look_in_thread(self, look: Any) -> None:
        self.blocking.submit(look).addErrback(lambda failure: _log.failure("looking for a certificate", failure))

    async def _open_database(self) -> None:
        setup = self.setup
        if setup.database_api is None:
            return
        database = setup.database_api(setup.database_path)
        if not isinstance(database, Database):
            raise ConfigurationError(f"database_api made no database, but {shown(database)}; give an adapter's class")
        self.database = database
        database.login_throttle.limits = setup.limits
        database.bind(setup.models if setup.models is not None else [])
        self._store = SQLStore(database)
        await database.start(self.reactor)
        if setup.database_schema_dir is not None:
            for line in await self.blocking.submit(schema.prepare, database, setup.database_schema_dir):
                # What a person has to do stands out.
                _log.emit(LogLevel.warn if "; type: " in line else LogLevel.info, "{line}", line=line)
        elif missing := await self.blocking.submit(schema.missing_tables, database):
            _log.warn(
                "the database has no tables for {models}, and none are made without a folder for the schema files: "
                "Setup(database_schema_dir=BASE_DIR / 'database_schema')",
                models=", ".join(missing),
            )

    def _begin_sessions(self) -> None:
        setup, database = self.setup, self.database
        self._key_looks = KeyLooks(lambda: self.blocking.submit(setup.secrets.read_session_keys), self.reactor)
        self.sessions = Sessions(
            setup.secrets.signer(),
            NoAccounts() if database is None else DatabaseAccounts(database),
            self.reactor,
            setup.limits,
            digest=setup.secrets.digest,
            persistent=None if database is None else self._store,
            on_end=self._session_ended,
            look_for_keys=self._key_looks.after_a_look,
        )
        self.keeping = Keeping(self.reactor, setup.limits)
        self.greeting = Greeting(self.sessions, setup.limits, self.keeping)
        self._purging = LoopingCall(self._purge)
        self._purging.clock = self.reactor
        self._purging.start(_PURGE_EVERY, now=False)

    def _close_cloud(self) -> Deferred[None]:
        assert self.cloud is not None
        return Deferred.fromCoroutine(self.cloud.close(self.blocking))

    def _session_ended(self, session: Session) -> None:
        self.greeting.ended(session)

    def _purge(self) -> Deferred[Any]:
        return self.sessions.purge().addErrback(lambda failure: _log.failure("purging sessions", failure))

    async def close(self) -> None:
        """Close everything that is open."""
        if self._purging is not None and self._purging.running:
            self._purging.stop()
            self._key_looks.stop()
            self.keeping.stop()
        if self.cloud is not None:
            await carried_out("closing the cloud storage", self._close_cloud)
        if self.database is not None:
            await carried_out("closing the database", partial(self.database.stop, for_good=True))
            self.database.unbind()
        self.blocking.stop()
        if self._logs is not None:
            self._logs.close()


async def carried_out(what: str, work: Callable[[], Any]) -> None:
    """Do ``work`` and wait for it; log it as ``what`` if it fails."""
    try:
        await maybeDeferred(work)
    except Exception:
        _log.failure("{what} failed", what=what)
