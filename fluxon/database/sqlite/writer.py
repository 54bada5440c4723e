"""The writer thread of an SQLite database: everything that is waiting, in one transaction.

Rules kept here:

- One thread writes, with BEGIN IMMEDIATE. (Sixteen threads with pysqlite's own BEGIN lost 95 % of their updates;
  with BEGIN IMMEDIATE of their own they were right, and a hundred times slower at the tail.)
- What waits shares one transaction and one sync, each piece in a savepoint of its own: a failing piece undoes itself.
- Nothing is answered before COMMIT, not even a failure or a False.
- SQLite undoes a whole transaction on some errors (disk full, interrupt). Such a lost group runs again, each piece in
  a transaction of its own, so that one piece harms only itself. A piece may therefore run twice.
- A COMMIT that fails leaves it open whether the work is on the disk: ``OutcomeUnknown``, and a fresh connection.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from twisted.logger import Logger

from fluxon.database.sqlite.connection import SQLiteConnection
from fluxon.database.sqlite.errors import is_full, translate
from fluxon.errors import DeadlineExceeded, Locked, OutcomeUnknown, ResourceExhausted, Unavailable

#: Pieces of work in one transaction: a sync is shared by many, and none of them waits long for the rest.
MAX_GROUP = 256

#: Pieces that may wait; at some 20,000 a second this is half a second of them.
MAX_WAITING = 10_000

#: Seconds that one piece may hold the only writer.
MAX_SECONDS = 5.0

#: SQLite asks whether to go on after so many of its instructions: about every 10 ms.
_INSTRUCTIONS_BETWEEN_CHECKS = 100_000

Work = Callable[[SQLiteConnection], Any]
#: Called in the writer thread with (result, None) or (None, error), after COMMIT.
Answer = Callable[[Any, BaseException | None], None]
_Outcome = tuple[Any, BaseException | None]


class Piece(NamedTuple):
    """One piece of work; ``wanted()`` is False once its caller gave up."""

    work: Work
    answer: Answer
    wanted: Callable[[], bool]


class _Lost(Exception):
    """SQLite undid the whole transaction while ``piece`` ran; the cause says why."""

    def __init__(self, piece: Piece, cause: BaseException) -> None:
        super().__init__()
        self.piece = piece
        self.cause = cause


class Writer:
    """Takes work from any thread; the thread and its connection begin with the first piece."""

    log = Logger()

    def __init__(
        self,
        open_connection: Callable[[], SQLiteConnection],
        name: str,
        group_answered: Callable[[], None] = lambda: None,
    ) -> None:
        """``group_answered`` is called in the writer thread when all that shared a transaction have their answers."""
        self._open = open_connection
        self._group_answered = group_answered
        self._name = name
        self._waiting: SimpleQueue[Piece | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._connection: SQLiteConnection | None = None
        self._deadline = float("inf")

    def submit(self, piece: Piece) -> None:
        """Put ``piece`` in the queue. Raises ``ResourceExhausted`` when it is full, ``Unavailable`` after ``stop``."""
        with self._lock:
            if self._stopped:
                raise Unavailable("the database is closed; start it again first")
            if self._waiting.qsize() >= MAX_WAITING:
                raise ResourceExhausted("too many writes wait for the database; try again in a moment")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._waiting.put(piece)

    def stop(self) -> threading.Thread | None:
        """Take no more work. What waits is still done; the returned thread (if any) has then ended."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._waiting.put(None)
            return self._thread

    @property
    def is_current_thread(self) -> bool:
        """Whether the caller runs inside a piece."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        going = True
        while going:
            group = []
            piece = self._waiting.get()
            while piece is not None:
                group.append(piece)
                if len(group) >= MAX_GROUP:
                    break
                try:
                    piece = self._waiting.get_nowait()
                except Empty:
                    break
            going = piece is not None
            group = [each for each in group if each.wanted()]
            if group:
                self._carry_out(group)
        self._close()

    def _carry_out(self, group: list[Piece]) -> None:
        try:
            outcomes = self._transaction(group)
        except _Lost as lost:
            outcomes = [self._again(piece, lost) for piece in group]
        except BaseException as error:
            outcomes = [(None, error)] * len(group)
        for piece, (result, failure) in zip(group, outcomes, strict=True):
            try:
                piece.answer(result, failure)
            except BaseException:  # the thread outlives whatever an answer does
                self.log.failure("answering a database write failed")
        try:
            self._group_answered()
        except BaseException:
            self.log.failure("answering database writes failed")

    def _again(self, piece: Piece, lost: _Lost) -> _Outcome:
        if piece is lost.piece and isinstance(lost.cause, DeadlineExceeded):
            return None, lost.cause  # it had its time
        try:
            return self._transaction([piece])[0]
        except BaseException as error:
            return None, error

    def _transaction(self, group: list[Piece]) -> list[_Outcome]:
        """The outcomes of ``group``, committed. Raises ``_Lost`` when there is no transaction left to commit."""
        connection = self._begin()
        if len(group) == 1:
            outcome = self._run_alone(connection, group[0])
            if outcome[1] is not None:
                if connection.raw.in_transaction:
                    connection.script("ROLLBACK")
                return [outcome]
            outcomes = [outcome]
        else:
            outcomes = [self._run_in_savepoint(connection, piece) for piece in group]
        self._commit(connection)
        return outcomes

    def _run_alone(self, connection: SQLiteConnection, piece: Piece) -> _Outcome:
        try:
            return self._timed(connection, piece.work), None
        except BaseException as error:
            return None, error

    def _run_in_savepoint(self, connection: SQLiteConnection, piece: Piece) -> _Outcome:
        try:
            with connection.savepoint():
                return self._timed(connection, piece.work), None
        except BaseException as error:
            if not connection.raw.in_transaction:
                raise _Lost(piece, error) from error
            return None, error

    def _timed(self, connection: SQLiteConnection, work: Work) -> Any:
        self._deadline = time.monotonic() + MAX_SECONDS
        try:
            result = work(connection)
            if self._overdue():
                raise DeadlineExceeded(f"work in a transaction took longer than {MAX_SECONDS:g} s and was undone")
        finally:
            self._deadline = float("inf")
        return result

    def _begin(self) -> SQLiteConnection:
        connection = self._connected()
        try:
            connection.script("BEGIN IMMEDIATE")
        except Locked:
            raise
        except BaseException:
            self._close()  # the file may have been replaced or its disk come back: look at it afresh next time
            raise
        return connection

    def _commit(self, connection: SQLiteConnection) -> None:
        try:
            connection.raw.execute("COMMIT")
        except sqlite3.Error as error:
            # Whatever state this connection is in, a fresh one reads what is true.
            self._close()
            if is_full(error):  # the record that makes a commit valid could not be written: nothing was done
                raise translate(error) from error
            raise OutcomeUnknown("the database failed while it committed; the change may or may not be kept") from error

    def _connected(self) -> SQLiteConnection:
        if self._connection is None:
            self._connection = self._open()
            self._connection.raw.set_progress_handler(self._overdue, _INSTRUCTIONS_BETWEEN_CHECKS)
        return self._connection

    def _overdue(self) -> int:
        return 1 if time.monotonic() > self._deadline else 0

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                self.log.failure("closing the database's writer failed")
