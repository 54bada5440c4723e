"""``MemoryServer``: an application's server, in a test.

Rules of this module:

- It is the application's own ``Setup`` on the product's own server: router, sessions, database, cloud and wire are
  real. Only sockets are not there, and time is the test's.
- Nothing of the application's is touched: secrets, database, schema files and the cloud's folder are replaced by the
  test's, and removed in the end; log files are not written. The database is SQLite unless the test says otherwise.
- Started by ``await`` or ``async with`` it runs on the reactor that runs (trial's), and everything of it is awaited.
  Started by ``start`` or ``with`` it runs in a thread, and everything of it blocks.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed

from fluxon.connect.functions import Function
from fluxon.database.apis import SQLiteDatabase, adapter_of
from fluxon.database.database import Database
from fluxon.database.throttle import LoginThrottle
from fluxon.endpoint import AsyncServer, CloudStorageServer
from fluxon.endpoint.background import hold_reactor
from fluxon.errors import ConfigurationError
from fluxon.routing import Setup
from fluxon.routing.greeting import Greeting
from fluxon.security import Secrets
from fluxon.testing.calling import Calls
from fluxon.testing.client import MemoryClient
from fluxon.testing.clock import Clock, ClockedReactor
from fluxon.testing.network import LOCALHOST, MemoryClientEndpoint, MemoryServerEndpoint, Network
from fluxon.testing.place import PassingDatabase, new_folder, secrets_of_process

_PORT, _CLOUD_PORT = 8080, 8888


class MemoryServer:
    """The server of ``setup``, in memory.

    ``folder`` is where it keeps its things, for another one to go on with; without it that is a temporary folder.
    ``now`` is the time at which its clock begins, POSIX seconds. What ``changes`` names is changed in the setup:
    ``limits=Limits(view_timeout=1)``, or ``database_path="postgresql://…"``.
    """

    def __init__(self, setup: Setup, *, folder: str | Path | None = None, now: float | None = None, **changes: Any):
        if not isinstance(setup, Setup):
            raise ConfigurationError("MemoryServer needs the setup of router.py: MemoryServer(router.setup)")
        self._original = setup
        self._changes = changes
        self._given_folder = folder
        self._now = now
        self._let_reactor_go: Callable[[], None] | None = None
        self._open: list[Any] = []
        #: Whether it runs.
        self.running = False
        #: Where it keeps its database, secrets and files.
        self.folder: Path
        #: The setup that it runs: that of the application, in the test's folder.
        self.setup: Setup
        #: Its time.
        self.clock: Clock
        #: The server itself, as views know it: ``reverse_request``, ``call_client``, ``cloud``, ``sessions``.
        self.server: AsyncServer
        self.calls: Calls
        self.reactor: ClockedReactor

    # --- from beginning to end ----------------------------------------------------------------------------------------

    def start(self) -> MemoryServer:
        """Start it, for a test that does not await. Blocks."""
        self._let_reactor_go = hold_reactor()
        try:
            self._prepare(blocks=True)
            self.calls.run("starting the server", lambda: Deferred.fromCoroutine(self._begin()))
        except BaseException:
            self._let_go()
            raise
        return self

    def stop(self) -> Any:
        """End its clients, the server, and its folder. One that is not running stays so."""
        if not self.running:
            return None if self._let_reactor_go is not None else succeed(None)
        stopped = self.calls.run("stopping the server", lambda: Deferred.fromCoroutine(self._end()))
        if self._let_reactor_go is not None and self.calls.may_block():
            self._let_go()
        return stopped

    def restart(self) -> Any:
        """Stop the server, as for a new version, and start it again on what it kept; clients: see ``reconnect``."""

        async def again() -> None:
            await self.server.stopService()
            self.server.startService()
            await self.server.when_ready()

        return self.calls.run("restart()", lambda: Deferred.fromCoroutine(again()))

    def __enter__(self) -> MemoryServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __await__(self) -> Generator[Any, Any, MemoryServer]:
        if self._let_reactor_go is not None:
            self.stop()
            raise RuntimeError("start() blocks, for tests that do not await; here write: await MemoryServer(setup)")
        return self._started().__await__()

    async def _started(self) -> MemoryServer:
        if not self.running:
            self._prepare(blocks=False)
            await self.calls.run("starting the server", lambda: Deferred.fromCoroutine(self._begin()))
        return self

    async def __aenter__(self) -> MemoryServer:
        return await self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def _let_go(self) -> None:
        let_go, self._let_reactor_go = self._let_reactor_go, None
        assert let_go is not None
        let_go()

    def _prepare(self, blocks: bool) -> None:
        from twisted.internet import reactor

        self.calls = Calls(reactor, blocks)
        self.clock = Clock(self.calls, self._now)
        self.reactor = ClockedReactor(reactor, self.clock)
        self._network = Network(self.calls, self.reactor)
        given = self._given_folder
        self.folder = new_folder() if given is None else Path(given).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.setup = self._in_folder()
        cloud = None
        if self.setup.has_cloud:
            cloud = CloudStorageServer(endpoint=MemoryServerEndpoint(self._network, _CLOUD_PORT))
        self.server = AsyncServer(
            setup=self.setup,
            endpoint=MemoryServerEndpoint(self._network, _PORT),
            cloud_storage=cloud,
            reactor=self.reactor,
        )

    def _in_folder(self) -> Setup:
        setup, folder = self._original, self.folder
        lasting = self._given_folder is not None
        secrets = Secrets(folder / "secrets") if lasting else secrets_of_process()
        changes: dict[str, Any] = {"secrets": secrets, "logs_dir": None}
        if setup.database_api is not None:
            changes["database_api"] = SQLiteDatabase if lasting else PassingDatabase
            changes["database_path"] = folder / "database.sqlite3"
            changes["database_schema_dir"] = folder / "database_schema"
        if setup.has_cloud:
            changes["cloud_folder"] = folder / "cloud"
        if "database_path" in self._changes:
            changes["database_api"] = adapter_of(self._changes["database_path"])
        changes |= self._changes
        make: Callable[..., Database] | None = changes.get("database_api")
        if make is not None:
            changes["database_api"] = self._throttled(make)
        return attrs.evolve(setup, **changes)

    def _throttled(self, make: Callable[..., Database]) -> Callable[..., Database]:
        """What makes the database, so that waiting for the next try to log in is a matter of the clock, too."""

        def made(path: Any) -> Database:
            database = make(path)
            database.login_throttle = LoginThrottle(self.clock.seconds)
            return database

        return made

    async def _begin(self) -> None:
        self.server.startService()
        try:
            await self.server.when_ready()
        except BaseException:
            await self.server.stopService()
            self._clear()
            raise
        self.running = True

    async def _end(self) -> None:
        self.running = False
        self._network.heal()
        opened, self._open = self._open, []
        for each in reversed(opened):
            await each.client.close()
        # What is still under way has nobody left who waits for it.
        self.server.hurry()
        await self.server.stopService()
        await self.clock.settled()
        self._clear()

    def _clear(self) -> None:
        self.clock.stop()
        if self._given_folder is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- for tests ----------------------------------------------------------------------------------------------------

    def connect(
        self,
        user: Any = None,
        *,
        functions: Mapping[str, Function] | None = None,
        session: MemoryClient | None = None,
        address: str = LOCALHOST,
        timeout: float = 30.0,
        on_session_lost: Callable[[], Any] | None = None,
        on_reconnect: Callable[[bool], Any] | None = None,
        on_disconnect: Callable[[], Any] | None = None,
    ) -> MemoryClient:
        """A client of the server, connected and greeted; logged in as ``user`` if one is given (see ``login_as``).

        ``functions`` are those that the server may call. ``session`` is another client whose session this one shares.
        ``address`` is what views see as its ``peername``; ``timeout`` is by the clock.
        """
        endpoint = MemoryClientEndpoint(self._network, _PORT, address)
        return MemoryClient(
            self,
            endpoint,
            user,
            functions,
            session=session,
            timeout=timeout,
            on_session_lost=on_session_lost,
            on_reconnect=on_reconnect,
            on_disconnect=on_disconnect,
        )

    def jobs_done(self) -> Any:
        """Wait until the jobs (``server.every``, ``server.daily``) that run have ended: ``advance`` only begins them.

        To be awaited in a test that awaits; in any other it blocks.
        """
        return self.calls.run("jobs_done()", self.server.jobs_done)

    def cloud_endpoint(self) -> MemoryClientEndpoint:
        """For a client of the cloud storage."""
        if not self.setup.has_cloud:
            raise ConfigurationError("this setup has no cloud storage: cloud_folder= and cloud_auth_model= are missing")
        return MemoryClientEndpoint(self._network, _CLOUD_PORT)

    def opened(self, client: Any) -> None:
        """``client`` is to be closed before the server stops."""
        self._open.append(client)

    @property
    def greeting(self) -> Greeting:
        """Logs clients in and out."""
        return self.server.served.router.greeting

    @property
    def database(self) -> Database:
        """The database, for ``transaction`` and ``run``."""
        if self.setup.database_api is None:
            raise ConfigurationError("this setup has no database: database_api= and database_path= are missing")
        return self.server.database
