"""``SQLiteDatabase``: an SQLite file, written by one thread at a time and read by many.

Rules kept here:

- Opening happens once, by the writer, before anything else: WAL is set and engine tables are made.
- A stopped database can be started again: each opening has a writer, readers and a pool of its own.
- ``:memory:`` has one connection: everything goes through the writer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.blocking import Pending
from fluxon.database.engine_tables import create_engine_tables
from fluxon.database.opened import OpenedDatabase
from fluxon.database.place import check_database_path
from fluxon.database.schema.record import TABLE as SCHEMA_RECORD
from fluxon.database.sqlite.connection import SQLiteConnection, open_connection
from fluxon.database.sqlite.opening import Opening, nothing
from fluxon.database.sqlite.writer import Piece, always
from fluxon.database.statements import Statements
from fluxon.errors import ConfigurationError
from fluxon.outcomes import Outcome

T = TypeVar("T")


class SQLiteDatabase(OpenedDatabase[Opening]):
    """An SQLite database at ``path`` (a path, or an SQLAlchemy URL such as ``sqlite:///file.sqlite3``).

    ``models`` is the module that declares the models. Works alone in a script, in threads, and under a reactor, by
    the one rule of ``fluxon.blocking``. Without ``start`` it opens itself at the first call; ``reactor`` is then the
    one that answers Deferreds (Twisted's own by default).
    """

    dialect_name = "sqlite"
    log = Logger()

    def __init__(self, path: str | os.PathLike[str], models: Any = None, *, reactor: Any = None) -> None:
        super().__init__(reactor)
        self.path = _file_path(path)
        self.statements = Statements(SQLiteDialect_pysqlite(paramstyle="qmark"))
        if models is not None:
            self.bind(models)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {os.path.basename(self.path)!r}>"

    def start(self, reactor: Any) -> Deferred[None]:
        self._reactor = reactor
        return self.write(nothing)

    def read(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        opened = self._opened or self._open()
        if opened.readers is None:
            return self.write(work, *args)
        return (opened.reading or opened.begin_reading(self._own_reactor())).submit(work, *args)

    def write(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        opened = self._opened or self._open()
        inbox = opened.inbox(self._own_reactor())
        deferred: Pending[T] = Pending()

        def answer(result: Any, error: BaseException | None) -> None:
            inbox.add(deferred, result if error is None else Failure(error))

        try:
            opened.writer.submit(Piece(self._within(work, *args), answer, lambda: not deferred.called))
        except Exception:
            return fail()
        return deferred

    def hash(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        return self._open().hashing_pool(self._own_reactor()).submit(work, *args)

    def read_blocking(self, work: Callable[..., T], *args: Any) -> T:
        active = self._current()
        if active is not None:
            return work(active, *args)
        self._refuse_reactor_thread()
        opened = self._opened or self._open()
        if opened.readers is None:
            return self.write_blocking(work, *args)
        return opened.read(work, *args)

    def _write_now(self, piece: Callable[[Any], T], synced: bool) -> T:
        opened = self._opened or self._open()
        return opened.writer.write(piece, synced=synced)  # type: ignore[no-any-return]

    def write_all_blocking(self, works: Sequence[Callable[[Any], Any]]) -> list[Outcome]:
        if self._current() is not None:
            return super().write_all_blocking(works)
        self._refuse_reactor_thread()
        opened = self._opened or self._open()
        return opened.writer.write_all([self._within(work) for work in works])

    def make_tables(self, tables: Sequence[sqlalchemy.Table]) -> None:
        self.write_blocking(create_engine_tables, tables)

    def _make_opening(self) -> Opening:
        return Opening(self)

    def _engine_tables_changed(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.writer.submit(Piece(self._make_tables, self._tables_made, always))

    def _tables_made(self, result: Any, error: BaseException | None) -> None:
        if error is not None:
            self.log.failure("an engine table could not be made", Failure(error))

    def _make_tables(self, connection: SQLiteConnection) -> None:
        create_engine_tables(connection, [SCHEMA_RECORD, *self.engine_tables])

    def open_writing(self) -> SQLiteConnection:
        """A new writing connection, for schema updates. Blocks."""
        return open_connection(self.path, self.statements)

    def open_writer(self) -> SQLiteConnection:
        """The writer's connection, with the engine's tables there."""
        connection = self.open_writing()
        try:
            connection.begin()
            self._make_tables(connection)
            connection.script("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def administration(self) -> Iterator[SQLiteConnection]:
        """A writing connection for a schema change, beside the writer's. Blocks."""
        self._refuse_reactor_thread()
        connection = self.open_writer()
        try:
            yield connection
        finally:
            connection.close()

    def open_reading(self) -> SQLiteConnection:
        """A new connection that cannot write. Blocks."""
        return open_connection(self.path, self.statements, read_only=True)


def _file_path(path: Any) -> str:
    check_database_path("the database's path", path)
    text = path.render_as_string() if isinstance(path, sqlalchemy.URL) else str(os.fspath(path))
    if "://" in text:
        url = sqlalchemy.make_url(text)
        if url.get_backend_name() != "sqlite":
            raise ConfigurationError(f"SQLiteDatabase cannot open a {url.get_backend_name()} URL; choose its adapter")
        text = url.database or ":memory:"
    return text if text == ":memory:" else os.path.abspath(text)
