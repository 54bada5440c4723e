"""One connection to a database server, whichever its driver.

Rules kept here:

- A connection is used by one thread at a time, and never by the reactor's.
- Every answer is fetched whole: nothing of a query outlives its call.
- The driver is in autocommit; transactions are begun and ended here, in plain SQL.
- Once the server has undone a transaction (deadlock, lost connection) nothing more runs in it, whatever the work makes
  of the error: half of it would be kept. Such a connection is ``doomed``.
- A broken constraint undoes its own statement and leaves the rest of the transaction as it was, on every server.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql.elements import ClauseElement

from fluxon.database.prepared import Prepared
from fluxon.database.rows import Row
from fluxon.database.servers.failure import Failure, Kind
from fluxon.database.statements import Statements
from fluxon.errors import DeadlineExceeded


class ServerConnection(ABC):
    """What a function given to ``database.read`` or ``database.write`` works with."""

    #: The SQL that begins a transaction in which work is done as if it were alone.
    begin_text: ClassVar[str]
    #: The same for one that is on the disk of the server some time after COMMIT only, where the server has such.
    relaxed_text: ClassVar[str]

    def __init__(self, raw: Any, statements: Statements) -> None:
        self.raw = raw
        self._statements = statements
        self._cursor = raw.cursor()
        self._savepoints = 0
        #: Whether anything ran since BEGIN or the innermost savepoint.
        self._touched = False
        self._begun = self.begin_text
        self._deadline = float("inf")
        #: Why nothing can run any more; ``lost`` when there is no connection either.
        self.doomed: Failure | None = None
        #: When it was last given back.
        self.idle_since = 0.0

    @property
    def lost(self) -> bool:
        """Whether the server is gone, or its answers cannot be trusted any more."""
        return self.doomed is not None and self.doomed.kind in (Kind.LOST, Kind.STALE)

    def rows(self, statement: ClauseElement, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows that a Core statement answers, as tuples with names."""
        parameters = parameters or {}
        prepared = self._statements.core(statement, parameters)
        if prepared.rows is None:
            raise TypeError("this statement answers no rows; use run()")
        return prepared.rows(self._fetched(prepared.text, prepared.by_name(parameters)))

    def run(self, statement: ClauseElement, parameters: Mapping[str, Any] | None = None) -> int:
        """Carry out a Core statement that answers no rows; how many rows it touched."""
        parameters = parameters or {}
        prepared = self._statements.core(statement, parameters)
        return int(self._execute(prepared.text, prepared.by_name(parameters)).rowcount)

    def run_all(self, statement: ClauseElement, each: Sequence[Mapping[str, Any]]) -> None:
        """The same for each of several sets of parameters, with the same names."""
        for parameters in each:
            self.run(statement, parameters)

    def state(self) -> Hashable | None:
        """As of an SQLite connection; these servers cannot tell."""
        return None

    def select(self, prepared: Prepared, values: tuple[Any, ...]) -> list[Row]:
        """The rows of a prepared shape."""
        return prepared.rows(self._fetched(prepared.text, prepared.by_position(values)))  # type: ignore[misc]

    def change(self, prepared: Prepared, values: tuple[Any, ...]) -> int:
        """Carry out an UPDATE or DELETE; how many rows it touched."""
        return int(self._execute(prepared.text, prepared.by_position(values)).rowcount)

    @abstractmethod
    def insert(self, prepared: Prepared, values: tuple[Any, ...]) -> int | None:
        """Insert one row; the number that the database gave it, or None when a constraint forbade it."""

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """All of the block or nothing of it."""
        self._savepoints += 1
        name = f"fluxon_{self._savepoints}"
        try:
            self._execute(f"SAVEPOINT {name}")
            self._touched = False
            try:
                yield
            except BaseException:
                if self.doomed is None:
                    self._run(f"ROLLBACK TO SAVEPOINT {name}")
                    self._run(f"RELEASE SAVEPOINT {name}")
                raise
            self._execute(f"RELEASE SAVEPOINT {name}")
        finally:
            self._savepoints -= 1
            self._touched = True

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What the block reads is of one moment on an adapter that gains by it; here each query has its own."""
        yield

    def define(self, definition: ExecutableDDLElement) -> None:
        """Carry out a CREATE or DROP of Core's."""
        self._execute(str(definition.compile(dialect=self._statements.ddl_dialect)))

    def script(self, text: str) -> None:
        """Run one statement of the engine's own, written in this package."""
        self._execute(text)

    def answer(self, text: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """The driver's tuples for a query of the engine's own, ``%s`` for each argument (if there are any)."""
        return list(self._fetched(text, arguments or None))

    def begin(self, seconds: float | None = None, *, synced: bool = True) -> None:
        """Begin a transaction, whose statements are refused after so many seconds."""
        self._deadline = float("inf") if seconds is None else time.monotonic() + seconds
        self._begun = self.begin_text if synced else self.relaxed_text
        self._execute(self._begun)
        self._touched = False

    @abstractmethod
    def commit(self) -> None:
        """End the transaction. Raises ``Failure`` as ``_fails`` does, and the error that was passed over, if any."""

    def rollback(self) -> None:
        """Undo the transaction; a connection that cannot even do that is lost."""
        self._deadline = float("inf")
        if not self.lost:
            self.doomed = None
            try:
                self._execute("ROLLBACK")
            except Exception as error:
                self.doomed = Failure(Kind.LOST, error)

    def close(self) -> None:
        """Let go of the server. Never raises."""
        try:
            self.raw.close()
        except Exception as error:
            self.doomed = Failure(Kind.LOST, error)

    @abstractmethod
    def failure(self, error: Exception) -> Failure:
        """What an error of the driver means."""

    def overdue(self) -> bool:
        """Whether the transaction has had its time."""
        return time.monotonic() > self._deadline

    def _fetched(self, text: str, arguments: Sequence[Any] | None) -> list[tuple[Any, ...]]:
        cursor = self._execute(text, arguments)
        try:
            return cursor.fetchall()  # type: ignore[no-any-return]
        except Exception as error:
            raise self._fails(error) from error

    def _execute(self, text: str, arguments: Sequence[Any] | None = None) -> Any:
        if self.doomed is not None:
            raise self.doomed.told
        if self.overdue():
            raise DeadlineExceeded("work in a transaction took too long and was undone")
        return self._run(text, arguments)

    def _run(self, text: str, arguments: Sequence[Any] | None = None) -> Any:
        """As ``_execute``, also when the time is over: what goes back is never refused."""
        self._touched = True
        try:
            self._cursor.execute(text, arguments)
        except Exception as error:
            raise self._fails(error) from error
        return self._cursor

    def _fails(self, error: Exception) -> Exception:
        failure = self.failure(error)
        if failure.kind is not Kind.STATEMENT:
            self.doomed = failure
        return failure.told
