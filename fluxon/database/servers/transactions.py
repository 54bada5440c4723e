"""Work on a server's connection: run, and run again when that is safe.

Rules kept here:

- Reads: a lost connection is replaced and the read done once more.
- Writes: a transaction that the server undid (deadlock, a change by another, a lost connection before COMMIT) is run
  again, one at a time within this process so that the same pieces do not undo each other for ever, until its time is
  over. COMMIT is never repeated: a connection lost during it means ``OutcomeUnknown``.
- An error of the work itself undoes the transaction, and is the answer.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from fluxon.database.servers.connection import ServerConnection
from fluxon.database.servers.failure import Failure, Kind
from fluxon.database.servers.pool import ConnectionPool
from fluxon.errors import DeadlineExceeded, OutcomeUnknown

T = TypeVar("T")

#: Seconds that one piece of work may take, as on SQLite, where it holds the only writer.
MAX_SECONDS = 5.0

#: Seconds within which an undone piece is begun again: its own time, and a wait for others.
RETRY_SECONDS = 10.0

#: Before another try, at most: time for the other transaction to finish.
_PAUSE = 0.02


class Transactions:
    """Reads and writes of one opened database."""

    def __init__(self, reading: ConnectionPool, writing: ConnectionPool) -> None:
        self._reading = reading
        self._writing = writing
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._totals = {"reads": 0, "read_seconds": 0.0, "writes": 0, "write_seconds": 0.0}

    def totals(self) -> dict[str, float]:
        """Reads and writes, and the seconds that they took."""
        with self._counting:
            return dict(self._totals)

    def _count(self, what: str, begun: float) -> None:
        with self._counting:
            self._totals[f"{what}s"] += 1
            self._totals[f"{what}_seconds"] += time.monotonic() - begun

    def read(self, work: Callable[..., T], *args: Any) -> T:
        """``work(connection, *args)`` on a connection that cannot write."""
        begun = time.monotonic()
        try:
            return self._read(work, *args)
        finally:
            self._count("read", begun)

    def _read(self, work: Callable[..., T], *args: Any) -> T:
        with self._reading.connection() as connection:
            try:
                return work(connection, *args)
            except Exception:
                if not connection.lost:
                    raise
        with self._reading.connection(fresh=True) as connection:
            return work(connection, *args)

    def write(self, work: Callable[[Any], T], *, synced: bool = True) -> T:
        """``work(connection)`` in a transaction, answered after COMMIT; on the disk then if it is ``synced``."""
        begun = time.monotonic()
        try:
            return self._write(work, synced)
        finally:
            self._count("write", begun)

    def _write(self, work: Callable[[Any], T], synced: bool) -> T:
        until = time.monotonic() + RETRY_SECONDS
        result, failure = self._attempt(work, synced, False)
        if failure is None:
            return result  # type: ignore[no-any-return]
        losses = 0
        # Whoever was undone takes turns with the others of its kind.
        with self._turn:
            while time.monotonic() < until:
                if failure.kind is Kind.LOST:
                    losses += 1
                    if losses > 1:
                        break
                elif failure.kind is Kind.UNDONE:
                    time.sleep(random.uniform(0, _PAUSE))
                result, failure = self._attempt(work, synced, failure.kind is not Kind.UNDONE)
                if failure is None:
                    return result  # type: ignore[no-any-return]
        raise failure.told

    def _attempt(self, work: Callable[[Any], T], synced: bool, fresh: bool) -> tuple[Any, Failure | None]:
        """The result of one try, or why the server undid it."""
        with self._writing.connection(fresh=fresh) as connection:
            try:
                connection.begin(MAX_SECONDS, synced=synced)
                result = work(connection)
                _check(connection)
            except BaseException:
                undone = connection.doomed
                connection.rollback()
                if undone is not None and undone.may_run_again:
                    return None, undone
                raise
            return result, self._commit(connection)

    def _commit(self, connection: ServerConnection) -> Failure | None:
        try:
            connection.commit()
        except BaseException as error:
            undone = connection.doomed
            connection.rollback()
            if undone is None:
                raise
            if undone.kind is Kind.UNDONE:
                return undone
            raise OutcomeUnknown(
                "the connection to the database was lost while it committed; the change may or may not be kept"
            ) from error
        return None


def _check(connection: ServerConnection) -> None:
    if connection.doomed is not None:
        raise connection.doomed.told
    if connection.overdue():
        raise DeadlineExceeded(f"work in a transaction took longer than {MAX_SECONDS:g} s and was undone")
