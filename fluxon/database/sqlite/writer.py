"""The writer of an SQLite database: everything that is waiting, in one transaction.

Rules kept here:

- One thread at a time writes, on one connection, with BEGIN IMMEDIATE. (Sixteen threads with pysqlite's own BEGIN
  lost 95 % of their updates; with BEGIN IMMEDIATE of their own they were right, and a hundred times slower at the
  tail.) That is the writer's own thread; but who would block until it is done, and finds it idle, writes by himself:
  two changes of threads cost more than the write.
- What waits shares one transaction, as ``fluxon.database.sqlite.groups`` says, and is answered after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from twisted.logger import Logger

from fluxon.database.sqlite.connection import SQLiteConnection
from fluxon.database.sqlite.groups import Work, WritingConnection
from fluxon.errors import ResourceExhausted, Unavailable
from fluxon.outcomes import Outcome, result_of

#: Pieces of work in one transaction: a sync is shared by many, and none of them waits long for the rest.
MAX_GROUP = 256

#: Pieces that may wait; at some 20,000 a second this is half a second of them.
MAX_WAITING = 10_000

#: A stop waits so long for what is being written; beyond it a piece hangs in code of the program.
STOP_SECONDS = 10.0

_CLOSED = "the database is closed; start it again first"

#: Called in the writer thread with (result, None) or (None, error), after COMMIT.
Answer = Callable[[Any, BaseException | None], None]


class Piece(NamedTuple):
    """One piece of work; ``wanted()`` is False once its caller gave up."""

    work: Work
    answer: Answer
    wanted: Callable[[], bool]
    #: Whether it is answered when it is on the disk, or when it is committed.
    synced: bool = True


def always() -> bool:
    """``wanted`` of one who cannot give up."""
    return True


class Writer:
    """Takes work from any thread; the thread and its connection begin with the first piece."""

    log = Logger()

    def __init__(
        self,
        open_connection: Callable[[], SQLiteConnection],
        name: str,
        group_answered: Callable[[], None] = lambda: None,
        owe_sync: Callable[[], None] = lambda: None,
    ) -> None:
        """``group_answered`` is called in the writer thread when all that shared a transaction have their answers.

        ``owe_sync`` is called by whoever committed something that is not on the disk yet.
        """
        self._connection = WritingConnection(open_connection, owe_sync)
        self._group_answered = group_answered
        self._name = name
        self._waiting: SimpleQueue[Piece | None] = SimpleQueue()
        self._lock = threading.Lock()
        #: Held by who uses the connection.
        self._turn = threading.Lock()
        #: Whether a group waits for its turn: a thread that writes without pause leaves it to the group then.
        self._group_due = False
        #: Pieces in the transaction under way.
        self._shared = 0
        self._thread: threading.Thread | None = None
        self._stopped = False

    @property
    def waiting(self) -> int:
        """Pieces in the queue, and those that share the transaction under way."""
        return self._waiting.qsize() + self._shared

    def totals(self) -> dict[str, float]:
        """Pieces written, the transactions that they shared, and the seconds that those took."""
        connection = self._connection
        return {"writes": connection.writes, "commits": connection.commits, "write_seconds": connection.seconds}

    def submit(self, *pieces: Piece) -> None:
        """Put ``pieces`` in the queue. Raises ``ResourceExhausted`` when it is full, ``Unavailable`` after ``stop``."""
        with self._lock:
            if self._stopped:
                raise Unavailable(_CLOSED)
            if self._waiting.qsize() >= MAX_WAITING:
                raise ResourceExhausted("too many writes wait for the database; try again in a moment")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            for piece in pieces:
                self._waiting.put(piece)

    def write(self, work: Work, *, synced: bool = True) -> Any:
        """Do ``work`` and return its result after COMMIT: in the calling thread if nobody writes just now. Blocks.

        Without ``synced`` it may be on the disk a moment later only, as ``fluxon.database.sqlite.late_sync`` says.
        """
        return result_of(self.write_all([work], synced=synced)[0])

    def write_all(self, works: Sequence[Work], *, synced: bool = True) -> list[Outcome]:
        """What became of each of ``works``, which share a transaction; as ``write``, but errors are told, not raised.

        Raises ``ResourceExhausted`` and ``Unavailable`` as ``submit`` does; then nothing is done.
        """
        if self._waiting.empty() and not self._group_due and not self._turn.locked():
            # Between the question and this another may have begun: then one transaction is waited for.
            with self._turn:
                return self._write_here(works, synced)
        return self._write_there(works, synced)

    def _write_here(self, works: Sequence[Work], synced: bool) -> list[Outcome]:
        if self._stopped:
            raise Unavailable(_CLOSED)
        try:
            return self._connection.carry_out(works, synced=synced)
        except BaseException:  # Ctrl+C between two steps: nobody may find what it left half done
            self._connection.close()
            raise

    def _write_there(self, works: Sequence[Work], synced: bool) -> list[Outcome]:
        done = threading.Lock()
        done.acquire()
        outcomes: list[Outcome] = []

        def answer(result: Any, error: BaseException | None) -> None:
            # Pieces are answered in the order they came, by one thread.
            outcomes.append((result, error))
            if len(outcomes) == len(works):
                done.release()

        self.submit(*(Piece(work, answer, always, synced) for work in works))
        done.acquire()
        return outcomes

    def stop(self) -> threading.Thread | None:
        """Take no more work. What waits is still done; the returned thread (if any) has then ended."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._waiting.put(None)
            thread = self._thread
        if thread is None and self._turn.acquire(timeout=STOP_SECONDS):
            self._connection.close()
            self._turn.release()
        return thread

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
        with self._turn:
            self._connection.close()

    def _carry_out(self, group: list[Piece]) -> None:
        self._group_due = True
        self._shared = len(group)
        with self._turn:
            self._group_due = False
            synced = any(each.synced for each in group)
            outcomes = self._connection.carry_out([each.work for each in group], synced=synced)
        for piece, (result, failure) in zip(group, outcomes, strict=True):
            try:
                piece.answer(result, failure)
            except BaseException:  # the thread outlives whatever an answer does
                self.log.failure("answering a database write failed")
        self._shared = 0
        try:
            self._group_answered()
        except BaseException:
            self.log.failure("answering database writes failed")
