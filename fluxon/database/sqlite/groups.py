"""The writing connection of an SQLite database, and the transaction that a group of pieces shares.

Rules kept here:

- What waits shares one transaction and one sync, each piece in a savepoint of its own: a failing piece undoes itself.
- Nothing is answered before COMMIT, not even a failure or a False; before the sync only who asked for none.
- SQLite undoes a whole transaction on some errors (disk full, interrupt). Such a lost group runs again, each piece in
  a transaction of its own, so that one piece harms only itself. A piece may therefore run twice.
- A COMMIT that fails leaves it open whether the work is on the disk: ``OutcomeUnknown``, and a fresh connection.
- One thread at a time: ``fluxon.database.sqlite.writer`` sees to that.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import Logger

from fluxon.database.sqlite.connection import SQLiteConnection
from fluxon.database.sqlite.errors import is_full, translate
from fluxon.errors import DeadlineExceeded, Locked, OutcomeUnknown
from fluxon.outcomes import Outcome

#: Seconds that one piece may hold the only writer.
MAX_SECONDS = 5.0

#: SQLite asks whether to go on after so many of its instructions: about every 10 ms.
_INSTRUCTIONS_BETWEEN_CHECKS = 100_000

Work = Callable[[SQLiteConnection], Any]


class _Lost(Exception):
    """SQLite undid the whole transaction while the piece of this number ran; the cause says why."""

    def __init__(self, number: int, cause: BaseException) -> None:
        super().__init__()
        self.number = number
        self.cause = cause


class WritingConnection:
    """Opens itself at the first group, and again after what leaves its state in doubt."""

    log = Logger()

    def __init__(self, open_connection: Callable[[], SQLiteConnection], owe_sync: Callable[[], None]) -> None:
        """``owe_sync`` is called after what was committed without a sync."""
        self._open = open_connection
        self._owe_sync = owe_sync
        self._synced = True
        self._connection: SQLiteConnection | None = None
        self._deadline = float("inf")
        #: Pieces that were carried out, whatever came of them; their transactions; and the seconds of those.
        self.writes = self.commits = 0
        self.seconds = 0.0

    def carry_out(self, group: Sequence[Work], *, synced: bool = True) -> list[Outcome]:
        """What became of each piece, once that is certain; without ``synced``, unless the machine loses its power."""
        begun = time.monotonic()
        self._synced = synced
        try:
            return self._carry_out(group)
        finally:
            self.writes += len(group)
            self.seconds += time.monotonic() - begun

    def _carry_out(self, group: Sequence[Work]) -> list[Outcome]:
        try:
            return self._transaction(group)
        except _Lost as lost:
            return [self._again(number, work, lost) for number, work in enumerate(group)]
        except BaseException as error:
            return [(None, error)] * len(group)

    def _again(self, number: int, work: Work, lost: _Lost) -> Outcome:
        if number == lost.number and isinstance(lost.cause, DeadlineExceeded):
            return None, lost.cause  # it had its time
        try:
            return self._transaction([work])[0]
        except BaseException as error:
            return None, error

    def _transaction(self, group: Sequence[Work]) -> list[Outcome]:
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
            outcomes = [self._run_in_savepoint(connection, *each) for each in enumerate(group)]
        self._commit(connection)
        return outcomes

    def _run_alone(self, connection: SQLiteConnection, work: Work) -> Outcome:
        try:
            return self._timed(connection, work), None
        except BaseException as error:
            return None, error

    def _run_in_savepoint(self, connection: SQLiteConnection, number: int, work: Work) -> Outcome:
        try:
            with connection.savepoint():
                return self._timed(connection, work), None
        except BaseException as error:
            if not connection.raw.in_transaction:
                raise _Lost(number, error) from error
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
            connection.sync_commits(self._synced)
            connection.begin()
        except Locked:
            raise
        except BaseException:
            self.close()  # the file may have been replaced or its disk come back: look at it afresh next time
            raise
        return connection

    def _commit(self, connection: SQLiteConnection) -> None:
        self.commits += 1
        try:
            connection.commit()
        except sqlite3.Error as error:
            # Whatever state this connection is in, a fresh one reads what is true.
            self.close()
            if is_full(error):  # the record that makes a commit valid could not be written: nothing was done
                raise translate(error) from error
            raise OutcomeUnknown("the database failed while it committed; the change may or may not be kept") from error
        if connection.owes_sync:
            self._owe_sync()

    def _connected(self) -> SQLiteConnection:
        if self._connection is None:
            self._connection = self._open()
            # What a savepoint would restore: in a file, it is as many writes again as the transaction's own. A piece
            # changes no more than it can in its seconds.
            self._connection.raw.execute("PRAGMA temp_store = MEMORY")
            self._connection.raw.set_progress_handler(self._overdue, _INSTRUCTIONS_BETWEEN_CHECKS)
        return self._connection

    def _overdue(self) -> int:
        return 1 if time.monotonic() > self._deadline else 0

    def close(self) -> None:
        """Let go of the connection, and of a transaction that is open on it. Again does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                self.log.failure("closing the database's writer failed")
