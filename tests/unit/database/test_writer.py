"""The writer thread: what shares a transaction, and what each caller is told when something goes wrong."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.sqlite import connection as connections
from fluxon.database.sqlite import groups
from fluxon.database.sqlite import writer as writers
from fluxon.database.sqlite.connection import SQLiteConnection, open_connection
from fluxon.database.sqlite.writer import Piece, Writer
from fluxon.database.statements import Statements
from fluxon.errors import (
    AlreadyExists,
    DeadlineExceeded,
    Locked,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
)


class Answers:
    """Collects what pieces are answered, in the writer's thread."""

    def __init__(self) -> None:
        self.all: dict[str, Any] = {}
        self._done = threading.Semaphore(0)

    def piece(self, name: str, work: Callable[[SQLiteConnection], Any], wanted: bool = True) -> Piece:
        """A piece whose result or error is kept under ``name``."""

        def answer(result: Any, error: BaseException | None) -> None:
            self.all[name] = error if error is not None else result
            self._done.release()

        return Piece(work, answer, lambda: wanted)

    def wait(self, count: int) -> dict[str, Any]:
        """Everything answered, once ``count`` more were."""
        for _ in range(count):
            if not self._done.acquire(timeout=30):
                raise AssertionError(f"not answered; so far {self.all}")
        return self.all


class WriterTests(SynchronousTestCase):
    """Real files, real threads; statements are watched through SQLite's own trace."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = str(self.folder / "w.sqlite3")
        self.statements = Statements(SQLiteDialect_pysqlite(paramstyle="qmark"))
        self.trace: list[str] = []
        self.opened = 0
        self.answers = Answers()
        with sqlite3.connect(self.path) as raw:
            raw.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v)")
            raw.execute("CREATE TABLE child (k REFERENCES t (k))")
        raw.close()
        self.writer = Writer(self.open, "writer")
        self.addCleanup(self.stop)

    def open(self) -> SQLiteConnection:
        """What the writer opens: traced."""
        self.opened += 1
        connection = open_connection(self.path, self.statements)
        connection.raw.set_trace_callback(self.trace.append)
        return connection

    def stop(self) -> None:
        """Stop and wait."""
        thread = self.writer.stop()
        if thread is not None:
            thread.join()

    def insert(self, key: int, value: Any = None) -> Callable[[SQLiteConnection], int]:
        """Work that inserts one row."""

        def work(connection: SQLiteConnection) -> int:
            connection.raw.execute("INSERT INTO t VALUES (?, ?)", (key, value))
            return key

        return work

    def together(self, *pieces: Piece) -> None:
        """Have the writer find all of ``pieces`` waiting at once."""
        held, release = threading.Event(), threading.Event()

        def hold(connection: SQLiteConnection) -> None:
            held.set()
            release.wait(30)

        self.writer.submit(self.answers.piece("hold", hold))
        held.wait(30)
        for piece in pieces:
            self.writer.submit(piece)
        release.set()
        self.answers.wait(1 + len([each for each in pieces if each.wanted()]))

    def keys(self) -> list[int]:
        """What another connection sees."""
        raw = sqlite3.connect(self.path)
        try:
            return [row[0] for row in raw.execute("SELECT k FROM t ORDER BY k")]
        finally:
            raw.close()

    def test_what_waits_shares_one_commit(self) -> None:
        """Fifty inserts that wait together cost one COMMIT, and are answered after it."""
        self.together(*(self.answers.piece(str(key), self.insert(key)) for key in range(50)))
        self.assertEqual(self.trace.count("COMMIT"), 2)  # the one that held the writer, and the fifty
        self.assertEqual(self.keys(), list(range(50)))

    def test_nothing_is_answered_before_commit(self) -> None:
        """When an answer comes, another connection sees the row already."""
        seen = []

        def answer(result: Any, error: BaseException | None) -> None:
            seen.append(self.keys())
            done.set()

        done = threading.Event()
        self.writer.submit(Piece(self.insert(1), answer, lambda: True))
        done.wait(30)
        self.assertEqual(seen, [[1]])

    def test_a_failing_piece_harms_itself_alone(self) -> None:
        """Its own work is undone, the others' is kept, and it is told what happened."""

        def half(connection: SQLiteConnection) -> None:
            self.insert(2)(connection)
            raise KeyError("no")

        def duplicate(connection: SQLiteConnection) -> None:
            connection.script("INSERT INTO t VALUES (1, 1)")

        piece = self.answers.piece
        self.together(
            piece("a", self.insert(1)), piece("half", half), piece("twice", duplicate), piece("c", self.insert(3))
        )
        self.assertEqual(self.keys(), [1, 3])
        self.assertIsInstance(self.answers.all["half"], KeyError)
        self.assertIsInstance(self.answers.all["twice"], AlreadyExists)
        self.assertEqual(self.answers.all["c"], 3)

    def test_a_failure_leaves_no_transaction_open(self) -> None:
        """After a failing write another program can write at once."""
        self.writer.submit(self.answers.piece("x", lambda connection: 1 / 0))
        self.answers.wait(1)
        raw = sqlite3.connect(self.path, timeout=0)
        self.addCleanup(raw.close)
        raw.execute("INSERT INTO t VALUES (9, 9)")
        raw.commit()
        self.writer.submit(self.answers.piece("y", self.insert(10)))
        self.assertEqual(self.answers.wait(1)["y"], 10)

    def test_a_lost_group_runs_again_one_by_one(self) -> None:
        """When SQLite undoes the whole transaction, only the piece that caused it fails."""

        def loses(connection: SQLiteConnection) -> None:
            connection.script("INSERT OR ROLLBACK INTO t VALUES (1, 1)")

        piece = self.answers.piece
        self.together(piece("a", self.insert(1)), piece("lost", loses), piece("b", self.insert(2)))
        self.assertEqual(self.keys(), [1, 2])
        self.assertIsInstance(self.answers.all["lost"], AlreadyExists)
        self.assertEqual((self.answers.all["a"], self.answers.all["b"]), (1, 2))

    def test_a_statement_that_runs_too_long_is_stopped(self) -> None:
        """It is told DeadlineExceeded once, without a second run, and the rest of its group is done."""
        self.patch(groups, "MAX_SECONDS", 0.1)
        runs = []

        def endless(connection: SQLiteConnection) -> None:
            runs.append(1)
            connection.script(
                "INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n) SELECT i, i FROM n"
            )

        piece = self.answers.piece
        self.together(piece("a", self.insert(1)), piece("endless", endless), piece("b", self.insert(2)))
        self.assertIsInstance(self.answers.all["endless"], DeadlineExceeded)
        self.assertEqual((self.keys(), len(runs)), ([1, 2], 1))

    def test_a_failing_commit_is_an_unknown_outcome(self) -> None:
        """Nobody in the group is told yes or no, and the next write has a fresh connection."""

        def breaks_the_commit(connection: SQLiteConnection) -> str:
            connection.script("PRAGMA defer_foreign_keys = ON")
            connection.script("INSERT INTO child VALUES (77)")
            return "done"

        piece = self.answers.piece
        self.together(piece("a", self.insert(1)), piece("b", breaks_the_commit))
        self.assertIsInstance(self.answers.all["a"], OutcomeUnknown)
        self.assertIsInstance(self.answers.all["b"], OutcomeUnknown)
        self.writer.submit(piece("after", self.insert(5)))
        self.assertEqual(self.answers.wait(1)["after"], 5)
        self.assertEqual(self.opened, 2)

    def test_another_programs_lock_is_locked(self) -> None:
        """It is no constraint violation; and when the lock is gone, writing goes on."""
        self.patch(connections, "BUSY_SECONDS", 0.05)
        raw = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(raw.close)
        raw.execute("PRAGMA journal_mode = WAL").fetchall()
        raw.execute("BEGIN IMMEDIATE")
        self.writer.submit(self.answers.piece("a", self.insert(1)))
        self.assertIsInstance(self.answers.wait(1)["a"], Locked)
        raw.execute("ROLLBACK")
        self.writer.submit(self.answers.piece("b", self.insert(1)))
        self.assertEqual(self.answers.wait(1)["b"], 1)

    def test_a_full_disk_is_resource_exhausted(self) -> None:
        """The one that does not fit is told so; smaller ones beside it are stored."""

        def shrink(connection: SQLiteConnection) -> None:
            connection.raw.execute("PRAGMA max_page_count = 20").fetchall()

        self.writer.submit(self.answers.piece("shrink", shrink))
        self.answers.wait(1)
        piece = self.answers.piece
        self.together(
            piece("a", self.insert(1)),
            piece("big", self.translated(self.insert(2, b"x" * 10**6))),
            piece("b", self.insert(3)),
        )
        self.assertIsInstance(self.answers.all["big"], ResourceExhausted)
        self.assertEqual(self.keys(), [1, 3])

    def translated(self, work: Callable[[SQLiteConnection], Any]) -> Callable[[SQLiteConnection], Any]:
        """``work`` on the raw connection, with its errors as the connection's own calls have them."""

        def run(connection: SQLiteConnection) -> Any:
            try:
                return work(connection)
            except sqlite3.Error as error:
                raise connections.translate(error) from error

        return run

    def test_who_blocks_writes_by_himself(self) -> None:
        """With nobody else writing the work runs in the calling thread, and is committed when the call returns."""
        self.assertIs(self.writer.write(lambda connection: threading.current_thread()), threading.current_thread())
        self.assertEqual(self.writer.write(self.insert(1)), 1)
        self.assertEqual(self.keys(), [1])
        with self.assertRaises(ZeroDivisionError):
            self.writer.write(lambda connection: self.insert(2)(connection) / 0)
        self.assertEqual(self.keys(), [1])
        self.assertEqual(self.trace.count("ROLLBACK"), 1)

    def test_who_blocks_joins_the_group_of_others(self) -> None:
        """While another writes it waits in the queue, and shares a commit with all that came meanwhile."""
        held, release = threading.Event(), threading.Event()
        self.writer.submit(self.answers.piece("hold", lambda _: (held.set(), release.wait(30))))
        held.wait(30)
        found: list[int] = []
        callers = [
            threading.Thread(target=lambda key=key: found.append(self.writer.write(self.insert(key))))
            for key in range(8)
        ]
        for each in callers:
            each.start()
        while self.writer._waiting.qsize() < 8:
            self.assertFalse(release.wait(0.001))
        release.set()
        for each in callers:
            each.join(30)
        self.assertEqual((sorted(found), self.keys()), (list(range(8)), list(range(8))))
        self.assertEqual(self.trace.count("COMMIT"), 2)

    def several(self, first: int) -> list[Any]:
        """What becomes of three inserts of one caller, of which the second fails."""
        outcomes = self.writer.write_all([self.insert(first), self.insert(first), self.insert(first + 1)])
        return [error or result for result, error in outcomes]

    def test_several_of_one_caller_share_a_commit(self) -> None:
        """Each is told its own outcome, and none undoes another; while somebody else writes as well."""
        first, failed, last = self.several(1)
        self.assertEqual((first, type(failed), last), (1, sqlite3.IntegrityError, 2))
        self.assertEqual(self.trace.count("COMMIT"), 1)
        held, release = threading.Event(), threading.Event()
        self.writer.submit(self.answers.piece("hold", lambda _: (held.set(), release.wait(30))))
        held.wait(30)
        found: list[Any] = []
        caller = threading.Thread(target=lambda: found.extend(self.several(11)))
        caller.start()
        while self.writer._waiting.qsize() < 3:
            self.assertFalse(release.wait(0.001))
        release.set()
        caller.join(30)
        self.assertEqual((found[0], type(found[1]), found[2]), (11, sqlite3.IntegrityError, 12))
        self.assertEqual(self.trace.count("COMMIT"), 3)
        self.assertEqual(self.keys(), [1, 2, 11, 12])

    def test_a_thread_that_writes_without_pause_lets_others_in(self) -> None:
        """What was submitted is written while another thread writes one row after another by itself."""
        done = threading.Event()
        rows = 0

        def write() -> None:
            nonlocal rows
            while not done.is_set() and rows < 100_000:
                self.writer.write(self.insert(1_000 + rows))
                rows += 1

        busy = threading.Thread(target=write)
        busy.start()
        for key in range(20):
            self.writer.submit(self.answers.piece(str(key), self.insert(key)))
            self.answers.wait(1)
        done.set()
        busy.join(30)
        self.assertEqual(self.keys(), [*range(20), *range(1_000, 1_000 + rows)])

    def test_an_interrupt_leaves_nothing_behind(self) -> None:
        """Ctrl+C inside the work undoes it; the next write goes on as if it had not been."""

        def interrupted(connection: SQLiteConnection) -> None:
            self.insert(1)(connection)
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.writer.write(interrupted)
        self.writer.submit(self.answers.piece("after", self.insert(2)))
        self.assertEqual(self.answers.wait(1)["after"], 2)
        self.assertEqual(self.keys(), [2])

    def test_stopped_without_ever_a_thread(self) -> None:
        """Its connection is closed all the same, and a later write is Unavailable."""
        self.writer.write(self.insert(1))
        self.assertIsNone(self.writer.stop())
        self.assertRaises(Unavailable, self.writer.write, self.insert(2))
        self.assertFalse(Path(self.path + "-wal").exists())

    def test_stopped_after_its_thread_ended(self) -> None:
        """Who blocks and finds nobody writing does not write by himself after the stop."""
        self.writer.submit(self.answers.piece("a", self.insert(1)))
        self.answers.wait(1)
        self.stop()
        self.assertRaises(Unavailable, self.writer.write, self.insert(2))
        self.assertEqual(self.keys(), [1])

    def test_a_group_has_an_end(self) -> None:
        """More than one transaction should hold are several: nobody waits for all that is there."""
        self.patch(writers, "MAX_GROUP", 10)
        self.together(*(self.answers.piece(str(key), self.insert(key)) for key in range(25)))
        self.assertEqual(self.trace.count("COMMIT"), 1 + 3)
        self.assertEqual(self.keys(), list(range(25)))

    def test_work_that_takes_too_long_by_itself(self) -> None:
        """Also what does not ask SQLite for anything is undone, and its neighbours are not."""
        self.patch(groups, "MAX_SECONDS", 0.1)

        def slow(connection: SQLiteConnection) -> None:
            self.insert(2)(connection)
            threading.Event().wait(0.2)

        piece = self.answers.piece
        self.together(piece("a", self.insert(1)), piece("slow", slow), piece("b", self.insert(3)))
        self.assertIsInstance(self.answers.all["slow"], DeadlineExceeded)
        self.assertEqual(self.keys(), [1, 3])

    def test_given_up_pieces_are_skipped(self) -> None:
        """A caller that cancelled before its turn changes nothing."""
        self.together(self.answers.piece("a", self.insert(1), wanted=False), self.answers.piece("b", self.insert(2)))
        self.assertEqual(self.keys(), [2])

    def test_the_queue_is_bounded_and_ends(self) -> None:
        """Too many waiting is ResourceExhausted; what waits at the stop is still done; after it Unavailable."""
        self.patch(writers, "MAX_WAITING", 2)
        held, release = threading.Event(), threading.Event()
        self.writer.submit(self.answers.piece("hold", lambda _: (held.set(), release.wait(30))))
        held.wait(30)
        for key in (1, 2):
            self.writer.submit(self.answers.piece(str(key), self.insert(key)))
        self.assertRaises(ResourceExhausted, self.writer.submit, self.answers.piece("x", self.insert(3)))
        thread = self.writer.stop()
        self.assertRaises(Unavailable, self.writer.submit, self.answers.piece("x", self.insert(3)))
        release.set()
        assert thread is not None
        thread.join(30)
        self.assertEqual(self.keys(), [1, 2])
