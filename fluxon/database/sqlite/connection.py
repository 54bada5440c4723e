"""One connection to an SQLite file, and how it is opened.

Rules kept here:

- A connection is used by one thread at a time, and never by the reactor's.
- No cursor stays open: every answer is fetched whole, so no read transaction outlives its call.
- Transactions are begun and ended by the writer alone (``isolation_level=None``); pysqlite's own BEGIN loses updates.
- Writers of several programs take turns to begin, as ``fluxon.database.sqlite.turn`` says.
- Every error of the driver leaves as what ``errors.translate`` says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql.elements import ClauseElement

from fluxon.database.prepared import Prepared
from fluxon.database.rows import Row
from fluxon.database.sqlite import forks
from fluxon.database.sqlite.errors import is_busy, is_constraint, locked, translate
from fluxon.database.sqlite.lock_file import patiently
from fluxon.database.sqlite.new_file import create_private, not_made
from fluxon.database.sqlite.turn import Turn
from fluxon.database.statements import Statements

#: Seconds to wait for the turn to begin, and then for another program's lock, before ``Locked``.
BUSY_SECONDS = 5.0

#: What ``timeout=`` of ``sqlite3.connect`` does.
_BUSY_TIMEOUT = f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}"

#: Texts that the driver keeps parsed; beyond the shapes of one program there is nothing to gain.
_PARSED_STATEMENTS = 500


class SQLiteConnection:
    """What a function given to ``database.read`` or ``database.write`` works with."""

    def __init__(self, raw: sqlite3.Connection, statements: Statements, turn: Turn | None = None) -> None:
        """``turn`` is where the writers of a file queue; None for who does not write, or has the database alone."""
        self.raw = raw
        self._statements = statements
        self._turn = turn
        self._depth = 0
        #: How often work on this connection was undone, and whether a transaction is open that still may be.
        self._undone = 0
        self._open = False
        #: Whether a commit is on the disk when it returns; None: it never is.
        self._synced: bool | None = True

    def state(self) -> Hashable | None:
        """Equal to an earlier one if nothing that this connection sees has changed since: by it, by others, by undoing.

        None on an adapter that cannot tell. Within a transaction others change nothing.
        """
        others = self.raw.execute("PRAGMA data_version").fetchone()
        return (*others, self.raw.total_changes, self._undone)

    def sync_commits(self, synced: bool) -> None:
        """Whether the transactions to come are on the disk when they are committed. Without ``synced`` they are safe
        from the end of the process, and from that of the machine once somebody has synced the log.
        """
        if self._synced not in (synced, None):
            self._execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._synced = synced

    def never_sync(self) -> None:
        """Leave it to the system when bytes reach the disk, for as long as the connection is open."""
        self._execute("PRAGMA synchronous = OFF")
        self._synced = None

    @property
    def owes_sync(self) -> bool:
        """Whether somebody has to sync the log after a commit."""
        return self._synced is False

    def begin(self) -> None:
        """Begin a transaction that writes, when it is this connection's turn. Raises ``Locked``.

        One before it that was not committed has been undone, whoever did it.
        """
        if self._turn is None:
            self._execute("BEGIN IMMEDIATE")
        else:
            taken = self._turn.take(BUSY_SECONDS)
            # SQLite's own wait naps for a millisecond and more, which is many of the transactions it waits for.
            self._execute("PRAGMA busy_timeout = 0")
            try:
                if not patiently(self._began, BUSY_SECONDS):
                    raise locked()
            finally:
                self._execute(_BUSY_TIMEOUT)
                if taken:
                    self._turn.let_go()
        self._undone += self._open
        self._open = True

    def _began(self) -> bool:
        try:
            self.raw.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if is_busy(error):
                return False
            raise translate(error) from error
        return True

    def commit(self) -> None:
        """End the transaction. Errors are the driver's: what they leave behind is the caller's to judge."""
        self.raw.execute("COMMIT")
        self._open = False

    def rows(self, statement: ClauseElement, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows that a Core statement answers, as tuples with names."""
        parameters = parameters or {}
        prepared = self._statements.core(statement, parameters)
        try:
            found = self.raw.execute(prepared.text, prepared.by_name(parameters)).fetchall()
        except sqlite3.Error as error:
            raise translate(error) from error
        if prepared.rows is None:
            raise TypeError("this statement answers no rows; use run()")
        return prepared.rows(found)

    def run(self, statement: ClauseElement, parameters: Mapping[str, Any] | None = None) -> int:
        """Carry out a Core statement that answers no rows; how many rows it touched."""
        parameters = parameters or {}
        prepared = self._statements.core(statement, parameters)
        return self._execute(prepared.text, prepared.by_name(parameters)).rowcount

    def run_all(self, statement: ClauseElement, each: Sequence[Mapping[str, Any]]) -> None:
        """The same for each of several sets of parameters, with the same names."""
        if not each:
            return
        prepared = self._statements.core(statement, each[0])
        try:
            self.raw.executemany(prepared.text, map(prepared.by_name, each))
        except sqlite3.Error as error:
            raise translate(error) from error

    def select(self, prepared: Prepared, values: tuple[Any, ...]) -> list[Row]:
        """The rows of a prepared shape."""
        try:
            found = self.raw.execute(prepared.text, prepared.by_position(values)).fetchall()
        except sqlite3.Error as error:
            raise translate(error) from error
        return prepared.rows(found)  # type: ignore[misc]

    def change(self, prepared: Prepared, values: tuple[Any, ...]) -> int:
        """Carry out an UPDATE or DELETE; how many rows it touched."""
        return self._execute(prepared.text, prepared.by_position(values)).rowcount

    def insert(self, prepared: Prepared, values: tuple[Any, ...]) -> int | None:
        """Insert one row; its row id, or None when a constraint forbade it."""
        try:
            return self.raw.execute(prepared.text, prepared.by_position(values)).lastrowid
        except sqlite3.Error as error:
            if is_constraint(error):
                return None
            raise translate(error) from error

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """All of the block or nothing of it. An error that SQLite answered by undoing everything passes through."""
        self._depth += 1
        name = f"fluxon_{self._depth}"
        try:
            self._execute(f"SAVEPOINT {name}")
            try:
                yield
            except BaseException:
                self._undone += 1
                if self.raw.in_transaction:
                    self._execute(f"ROLLBACK TO {name}")
                    self._execute(f"RELEASE {name}")
                raise
            self._execute(f"RELEASE {name}")
        finally:
            self._depth -= 1

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What the block reads is of one moment, and costs one look at the file's locks."""
        begins = not self.raw.in_transaction
        if begins:
            self._execute("BEGIN")
        try:
            yield
        finally:
            if begins and self.raw.in_transaction:
                self._execute("COMMIT")

    def define(self, definition: ExecutableDDLElement) -> None:
        """Carry out a CREATE or DROP of Core's."""
        self._execute(str(definition.compile(dialect=self._statements.dialect)))

    def script(self, text: str) -> None:
        """Run one statement of the engine's own, written in this package."""
        self._execute(text)

    def close(self) -> None:
        forks.closed(self)
        try:
            self.raw.close()
        finally:
            if self._turn is not None:
                self._turn.close()

    def _execute(self, text: str, arguments: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self.raw.execute(text, arguments)
        except sqlite3.Error as error:
            raise translate(error) from error


def open_connection(path: str, statements: Statements, *, read_only: bool = False) -> SQLiteConnection:
    """Open ``path`` (made with mode 0600 when missing), with the settings every connection here has."""
    forks.check_not_inherited(path)
    writes_file = path != ":memory:" and not read_only
    if writes_file:
        create_private(path)
    try:
        raw = sqlite3.connect(
            path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_PARSED_STATEMENTS,
        )
        try:
            _configure(raw, read_only)
            turn = _turn_of(path) if writes_file else None
        except BaseException:
            raw.close()
            raise
    except sqlite3.Error as error:
        raise translate(error) from error
    connection = SQLiteConnection(raw, statements, turn)
    if path != ":memory:":
        forks.opened(connection, path)
    return connection


def _turn_of(path: str) -> Turn:
    try:
        return Turn(path)
    except OSError as error:
        raise not_made(f"{path}.write-lock", error) from error


def _configure(raw: sqlite3.Connection, read_only: bool) -> None:
    if not read_only:
        _use_wal(raw)
        # In WAL mode FULL syncs at every commit: what was answered survives a power cut.
        raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA foreign_keys = ON")
    # LIKE means the same on every database; and with it an index serves a search for a beginning.
    raw.execute("PRAGMA case_sensitive_like = ON")
    if read_only:
        raw.execute("PRAGMA query_only = ON")


def _use_wal(raw: sqlite3.Connection) -> None:
    """Switch a new file to WAL. SQLite does not wait for another program that does the same just now; this does."""

    def switched() -> bool:
        try:
            raw.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as error:
            if is_busy(error):
                return False
            raise
        return True

    if not patiently(switched, BUSY_SECONDS):
        raise locked()
