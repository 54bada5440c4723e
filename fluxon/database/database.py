"""What every database adapter is to the rest of the engine.

Rules kept here:

- Constructing opens nothing: no file, no thread, no reactor. (``twistd`` forks after importing ``router.py``.)
- ``read`` and ``write`` return Deferreds and never block; ``read_blocking`` and ``write_blocking`` block and are
  refused on the reactor's thread. ``fluxon.blocking.either`` chooses between them for the models.
- A write is answered after COMMIT.
- Inside a piece of work, every call of its thread uses the piece's connection.
"""

from __future__ import annotations

import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy
from twisted.internet.defer import Deferred

from fluxon.blocking import either, on_reactor_thread
from fluxon.database.binding import load_user, models_of
from fluxon.database.checks import add_checks
from fluxon.database.circles import mark_circles
from fluxon.database.declaration import ENGINE_PREFIXES, build_tables
from fluxon.database.model import AuthenticatedUser
from fluxon.database.raw import run
from fluxon.database.rows import Row
from fluxon.database.statements import Statements
from fluxon.database.throttle import LoginThrottle
from fluxon.errors import ConfigurationError
from fluxon.outcomes import Outcome, attempt

T = TypeVar("T")


class Database(ABC):
    """One database: its models, the engine's own tables, and a way to read and write."""

    statements: Statements

    def __init__(self) -> None:
        #: The tables of the bound models.
        self.metadata = sqlalchemy.MetaData()
        #: The bound models, in the order of their declaration.
        self.models: list[Any] = []
        #: How often logins may be tried.
        self.login_throttle = LoginThrottle()
        self._engine_tables: dict[str, sqlalchemy.Table] = {}
        self._active = threading.local()

    def bind(self, models: Any) -> None:
        """Make this the database of ``models``: a module, or a list of classes. Opens nothing.

        Raises ``ConfigurationError`` when one is bound to another database, when two share a table, when a relation
        leads nowhere, or when there are two ``AuthenticatedUser``.
        """
        found = models_of(models)
        for model in found:
            if model.declaration.database not in (None, self):
                raise ConfigurationError(
                    f"{model.__name__} is bound to another database already; unbind() that one first"
                )
        users = [model for model in found if issubclass(model, AuthenticatedUser)]
        if len(users) > 1:
            names = " and ".join(model.__name__ for model in users)
            raise ConfigurationError(
                f"a project has exactly one AuthenticatedUser, and here are {names}: make the others a models.Model, "
                "or a column of the one (is_admin = models.BooleanField(default=False))"
            )
        self.metadata = build_tables(found)
        add_checks(found)
        mark_circles(found)
        self.unbind()
        self.models = found
        for model in found:
            model.declaration.database = self
        self.statements.forget()

    def unbind(self) -> None:
        """Let go of the models, so that another database may have them."""
        for model in self.models:
            model.declaration.database = None
        self.models = []

    @property
    def user_model(self) -> Any:
        """The bound ``AuthenticatedUser``, or None."""
        return next((model for model in self.models if issubclass(model, AuthenticatedUser)), None)

    def load_user(self, user_id: Any) -> Deferred[Row | None]:
        """The row of the user with this key, or None: a tuple with names, its key also as ``id``."""
        return load_user(self, user_id)

    def install(self, table: sqlalchemy.Table) -> None:
        """Have ``table`` created when it is missing, before the first work. Its name begins with ``fluxon_``.

        Engine tables are no part of the schema files and keep their rows through schema updates. Raises
        ``ConfigurationError`` for another name, or for a second table of one name.
        """
        if not table.name.startswith(ENGINE_PREFIXES):
            raise ConfigurationError(f"an engine table's name begins with fluxon_ or filesystem_, not {table.name!r}")
        if self._engine_tables.setdefault(table.name, table) is not table:
            raise ConfigurationError(f"there are two declarations of the engine table {table.name!r}")
        self._engine_tables_changed()

    @abstractmethod
    def make_tables(self, tables: Sequence[sqlalchemy.Table]) -> None:
        """Make those of the engine's ``tables`` that are missing, now. Blocks.

        For tables that refer to tables of models, which must be there; all others are better ``install``-ed. Raises
        ``ConfigurationError`` when one was made by another version of the engine.
        """

    @property
    def engine_tables(self) -> list[sqlalchemy.Table]:
        """What was installed."""
        return list(self._engine_tables.values())

    @abstractmethod
    def start(self, reactor: Any) -> Deferred[None]:
        """Open the database, in its threads, with ``reactor`` for the answers."""

    @abstractmethod
    def stop(self, *, for_good: bool = False) -> Deferred[None]:
        """Finish what waits and close everything. ``start`` may follow, and the next call opens it again.

        ``for_good`` is a server's: what still runs, as the view of a client that is gone, gets ``Unavailable``.
        """

    @abstractmethod
    def close(self) -> None:
        """The same as ``stop`` for a script: blocks until everything is closed. The next call opens it again."""

    @abstractmethod
    def read(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        """``work(connection, *args)`` in a database thread, on a connection that cannot write."""

    @abstractmethod
    def write(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        """``work(connection, *args)`` in a transaction of its own; fires after COMMIT.

        An exception undoes what the work did, and is the answer. The work may run twice (see
        ``fluxon.database.sqlite.groups``) and has 5 seconds.
        """

    @abstractmethod
    def read_blocking(self, work: Callable[..., T], *args: Any) -> T:
        """As ``read``, in the calling thread."""

    @abstractmethod
    def write_blocking(self, work: Callable[..., T], *args: Any) -> T:
        """As ``write``; blocks until COMMIT."""

    def write_relaxed_blocking(self, work: Callable[..., T], *args: Any) -> T:
        """As ``write_blocking``, for what a killed process may not lose, and a machine without power may.

        It is committed, and synced to the disk a second later at most, where the database lets that be told.
        """
        return self.write_blocking(work, *args)

    def write_all_blocking(self, works: Sequence[Callable[[Any], Any]]) -> list[Outcome]:
        """What became of each of several works, as ``write_blocking`` would have told.

        They fail one by one, and share what a commit costs where the database lets them.
        """
        return [attempt(self.write_blocking, work) for work in works]

    @abstractmethod
    def hash(self, work: Callable[..., T], *args: Any) -> Deferred[T]:
        """Compute-heavy ``work(*args)`` in threads that neither reads nor writes wait for."""

    def figures(self) -> dict[str, Any]:
        """How much is open, and how much waits, at this moment: for people. On the reactor thread."""
        return {}

    def totals(self) -> dict[str, float]:
        """What was done since it was opened: numbers that only grow, by names for programs."""
        return {}

    @property
    def in_transaction(self) -> bool:
        """Whether the calling thread is inside a piece of work of this database."""
        return self._current() is not None

    @abstractmethod
    def _engine_tables_changed(self) -> None: ...

    def transaction(self, function: Callable[[], T]) -> Any:
        """Run ``function()`` in one transaction: everything it does is kept, or, if it raises, nothing.

        Calls on models inside it use that transaction. ``function`` is plain (not async), runs in a thread of
        the database or in the caller's (never the reactor's), may run a second time when the database undid the
        first, and has 5 seconds. On the reactor thread the result is to be awaited; elsewhere the call blocks and
        returns it.
        """
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise TypeError("transaction() takes a plain function without arguments, not a coroutine")
        return either(lambda: self.write(_call, function), lambda: self.write_blocking(_call, function))

    def run(self, statement: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        """Run a ``select``, ``insert``, ``update`` or ``delete`` of SQLAlchemy Core, on the tables of ``table()``.

        Answers rows, as ``Check`` does, or how many rows were changed. ``parameters`` are the values of its
        ``bindparam`` names. Keep a statement and run it again: it is written once. SQL as text is a ``TypeError``.
        On the reactor thread the result is to be awaited; elsewhere the call blocks and returns it.
        """
        return run(self, statement, parameters)

    def table(self, model: Any) -> sqlalchemy.Table:
        """The table of a bound model, for ``run``."""
        if model not in self.models:
            raise ConfigurationError(f"{model.__name__} is not bound to this database")
        return model.declaration.table  # type: ignore[no-any-return]

    def _refuse_reactor_thread(self) -> None:
        if on_reactor_thread():
            raise RuntimeError("this call would block the reactor; use read() or write() and await the Deferred")

    def _current(self) -> Any:
        """The connection of the piece of work that this thread is in, or None."""
        return getattr(self._active, "connection", None)

    def _within(self, work: Callable[..., T], *args: Any) -> Callable[[Any], T]:
        """``work`` with its connection known to the calls it makes."""

        def run(connection: Any) -> T:
            self._active.connection = connection
            try:
                return work(connection, *args)
            finally:
                self._active.connection = None

        return run


def _call(connection: Any, function: Callable[[], T]) -> T:
    result = function()
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("the function of a transaction must be plain: it returned something to await")
    return result
