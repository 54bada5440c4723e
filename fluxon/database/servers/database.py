"""What the adapters of database servers have in common.

Rules kept here:

- The threads that serve the reactor are this database's own; plain threads use its connections themselves.
- Work of one kind takes a connection of that kind from the pool: what reads cannot write.
- A stopped database can be started again.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import sqlalchemy
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from fluxon.database.engine_tables import create_engine_tables
from fluxon.database.opened import OpenedDatabase
from fluxon.database.schema.record import TABLE as SCHEMA_RECORD
from fluxon.database.servers.connection import ServerConnection
from fluxon.database.servers.opening import ServerOpening
from fluxon.errors import ConfigurationError

T = TypeVar("T")


class ServerDatabase(OpenedDatabase[ServerOpening]):
    """A database on a server, named by an SQLAlchemy URL.

    ``models`` is the module that declares the models. Works alone in a script, in threads, and under a reactor, by
    the one rule of ``fluxon.blocking``. Without ``start`` it connects at the first call; ``reactor`` is then the one
    that answers Deferreds (Twisted's own by default).
    """

    #: What a URL of this server begins with.
    schemes: ClassVar[Sequence[str]]
    #: Tables that the adapter itself needs.
    own_tables: ClassVar[Sequence[sqlalchemy.Table]] = (SCHEMA_RECORD,)
    log = Logger()

    def __init__(self, url: Any, models: Any = None, *, reactor: Any = None) -> None:
        super().__init__(reactor)
        self.url = self._checked_url(url)
        #: The tables that schema files make on this server, by their text: reading one takes a scratch schema.
        self.schema_targets: dict[str, Any] = {}
        if models is not None:
            self.bind(models)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url.database!r} at {self.url.host or 'this machine'}>"

    def start(self, reactor: Any) -> Deferred[None]:
        self._reactor = reactor
        opened = self._open()
        return opened.threads("writing", reactor).submit(opened.make_ready)

    def read(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        opened = self._open()
        return opened.threads("reading", self._own_reactor()).submit(opened.read, work, *args)

    def write(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        opened = self._open()
        piece = self._within(work, *args)
        return opened.threads("writing", self._own_reactor()).submit(opened.write, piece)

    def hash(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        return self._open().threads("hashing", self._own_reactor()).submit(work, *args)

    def read_blocking(self, work: Callable[..., T], *args: Any) -> T:
        active = self._current()
        if active is not None:
            return work(active, *args)
        self._refuse_reactor_thread()
        return self._open().read(work, *args)

    def _write_now(self, piece: Callable[[Any], T], synced: bool) -> T:
        return self._open().write(piece, synced=synced)

    @abstractmethod
    def connect(self, *, read_only: bool = False, patient: bool = False) -> Any:
        """A new connection. Blocks. ``patient`` ones, for schema changes, have no limit on a statement's time.

        Raises ``Unavailable`` when the server cannot be reached, ``ConfigurationError`` when it refuses the URL.
        """

    @contextmanager
    def administration(self) -> Iterator[Any]:
        """A connection for a schema change, with the engine's tables there. Blocks."""
        self._refuse_reactor_thread()
        connection = self.connect(patient=True)
        try:
            self._make_tables_on(connection)
            yield connection
        finally:
            connection.close()

    def make_tables(self, tables: Sequence[sqlalchemy.Table]) -> None:
        self._refuse_reactor_thread()
        connection = self.connect()
        try:
            self._make_tables_alone(connection, lambda: create_engine_tables(connection, tables))
        finally:
            connection.close()

    @abstractmethod
    def _make_tables_alone(self, connection: Any, make: Callable[[], None]) -> None:
        """``make()`` while no other process makes tables in this database."""

    def _make_tables(self) -> None:
        connection = self.connect()
        try:
            self._make_tables_on(connection)
        finally:
            connection.close()

    def _make_tables_on(self, connection: ServerConnection) -> None:
        tables = [*self.own_tables, *self.engine_tables]
        self._make_tables_alone(connection, lambda: create_engine_tables(connection, tables))

    def _engine_tables_changed(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.ready.clear()

    def _make_opening(self) -> ServerOpening:
        return ServerOpening(lambda read_only: self.connect(read_only=read_only), self._make_tables)

    def _checked_url(self, url: Any) -> sqlalchemy.URL:
        wanted = f"{type(self).__name__} takes a URL such as {self.schemes[0]}://user:password@host/database"
        try:
            made = sqlalchemy.make_url(url)
        except (sqlalchemy.exc.ArgumentError, ValueError, TypeError):
            raise ConfigurationError(wanted) from None
        if made.get_backend_name() not in self.schemes or not made.database:
            raise ConfigurationError(wanted)
        return made
