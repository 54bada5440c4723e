"""Whose turn it is to write: several connections, or programs, on one SQLite file."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from descriptors import open_below
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.sqlite import connection as connections
from fluxon.database.sqlite.connection import SQLiteConnection, open_connection
from fluxon.database.sqlite.lock_file import LockFile, patiently
from fluxon.database.sqlite.turn import Turn
from fluxon.database.statements import Statements
from fluxon.errors import ConfigurationError, Locked, Unavailable

#: A program that is killed when it has a child.
FORK = """
import os, signal, sys
from fluxon.database.sqlite.lock_file import LockFile
lock = LockFile(sys.argv[1], ".lock")
assert lock.take(0)
if os.fork():
    os.kill(os.getpid(), signal.SIGKILL)
print("child", flush=True)
sys.stdin.read()
print("over", flush=True)
"""


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds, as the package's own code does."""
    if not patiently(holds, 30):
        raise AssertionError("this did not happen in 30 seconds")


class Turns(SynchronousTestCase):
    """Connections as two programs have them."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = str(self.folder / "d.sqlite3")

    def connected(self) -> SQLiteConnection:
        """One more writing connection."""
        connection = open_connection(self.path, Statements(SQLiteDialect_pysqlite()))
        self.addCleanup(connection.close)
        return connection

    def lock(self) -> LockFile:
        """One more hold of the place in which writers queue."""
        lock = LockFile(self.path, ".write-lock")
        self.addCleanup(lock.close)
        return lock

    def free(self, lock: LockFile) -> bool:
        """Whether nobody waits for his turn."""
        if not lock.take(0):
            return False
        lock.let_go()
        return True

    def test_who_waits_is_next(self) -> None:
        """One that writes without pause lets the other in between two of its transactions."""
        one, other, look = self.connected(), self.connected(), self.lock()
        begun: list[str] = []

        def write() -> None:
            other.begin()
            begun.append("other")
            other.commit()

        for _ in range(20):
            one.begin()
            thread = threading.Thread(target=write)
            thread.start()
            eventually(lambda: not self.free(look))
            one.commit()
            one.begin()
            begun.append("one")
            one.commit()
            thread.join()
        self.assertEqual(begun, ["other", "one"] * 20)

    def test_a_turn_that_does_not_come(self) -> None:
        """Somebody was stopped when it was his: others do without. It is heeded when it comes again."""
        self.patch(connections, "BUSY_SECONDS", 0.02)
        connection, ahead = self.connected(), self.lock()
        self.assertTrue(ahead.take(0))
        for _ in range(2):
            connection.begin()
            connection.commit()
        turn = Turn(self.path)
        self.addCleanup(turn.close)
        self.assertFalse(turn.take(0))
        begun = time.monotonic()
        self.assertFalse(turn.take(60))
        self.assertLess(time.monotonic() - begun, 30)  # not waited for again
        ahead.let_go()
        self.assertTrue(turn.take(60))
        self.assertFalse(self.free(ahead))
        turn.let_go()
        self.assertTrue(self.free(ahead))

    def test_writing_without_a_turn_waits_for_the_transaction(self) -> None:
        """What guards the rows is the database's own lock."""
        self.patch(connections, "BUSY_SECONDS", 0.02)
        one, other, ahead = self.connected(), self.connected(), self.lock()
        self.assertTrue(ahead.take(0))
        one.begin()
        self.assertIn("try again", str(self.assertRaises(Locked, other.begin)))
        one.commit()
        other.begin()
        other.commit()

    def test_a_lock_that_this_program_may_not_open(self) -> None:
        """It is another user's, who lets this one write to the database: no reason to refuse that."""
        really = os.open

        def guarded(path: Any, *rest: Any, **keywords: Any) -> int:
            if str(path).endswith("-lock"):
                raise PermissionError(errno.EACCES, "not for you")
            return really(path, *rest, **keywords)

        self.patch(os, "open", guarded)
        connection = self.connected()
        connection.begin()
        connection.commit()

    def test_a_file_system_without_locks(self) -> None:
        """As some that are mounted have none of this kind: the database's own decides alone."""

        def refused(*_: int) -> None:
            raise OSError(errno.ENOLCK, "no locks available")

        connection = self.connected()
        self.patch(fcntl, "flock", refused)
        connection.begin()
        connection.commit()

    def test_a_transaction_that_does_not_end(self) -> None:
        """Who has waited in vain for it has let go of his turn, and waits as before for everything else."""
        self.patch(connections, "BUSY_SECONDS", 0.02)
        one, other, look = self.connected(), self.connected(), self.lock()
        one.begin()
        self.assertRaises(Locked, other.begin)
        self.assertTrue(self.free(look))
        self.assertEqual(other.raw.execute("PRAGMA busy_timeout").fetchone(), (5000,))
        one.commit()
        other.begin()
        other.commit()

    def test_a_begin_that_fails(self) -> None:
        """The turn of who cannot begin at all is over."""
        connection, look = self.connected(), self.lock()
        connection.begin()
        self.assertRaises(sqlite3.Error, connection.begin)  # in a transaction already
        self.assertTrue(self.free(look))

    def test_a_file_of_another_program_that_is_not_wal_yet(self) -> None:
        """Another that holds the new file for good is told as locked when it is opened."""
        self.patch(connections, "BUSY_SECONDS", 0.02)
        raw = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(raw.close)
        raw.execute("CREATE TABLE t (x)")
        raw.execute("BEGIN EXCLUSIVE")
        self.assertRaises(Locked, self.connected)
        raw.execute("ROLLBACK")
        self.connected().begin()


class LockFiles(SynchronousTestCase):
    """The file itself."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.database = self.folder / "d.sqlite3"
        self.database.touch(0o600)

    def descriptors(self) -> list[int]:
        """What this process has open in the folder."""
        return list(open_below(self.folder))

    def test_private_and_closed_on_exec(self) -> None:
        """Nobody else can hold it, and no child inherits it; closing twice is closing."""
        lock = LockFile(str(self.database), ".lock")
        (descriptor,) = self.descriptors()
        self.assertFalse(os.get_inheritable(descriptor))
        self.assertEqual(stat.S_IMODE((self.folder / "d.sqlite3.lock").stat().st_mode), 0o600)
        lock.close()
        lock.close()
        self.assertEqual(self.descriptors(), [])

    def test_deleted_while_it_is_in_use(self) -> None:
        """Who had it open queues with those who make it anew."""
        file = self.folder / "d.sqlite3.lock"
        one = LockFile(str(self.database), ".lock")
        file.unlink()
        other = LockFile(str(self.database), ".lock")
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        self.assertTrue(other.take(0))
        self.assertFalse(one.take(0))
        other.let_go()
        self.assertTrue(one.take(0))
        one.let_go()
        file.unlink()
        self.assertTrue(one.take(0))
        self.assertTrue(file.exists())
        self.assertEqual(len(self.descriptors()), 2)

    def test_deleted_with_its_folder(self) -> None:
        """Nobody can queue there."""
        lock = LockFile(str(self.database), ".lock")
        self.addCleanup(lock.close)
        shutil.rmtree(self.folder)
        self.assertRaises(FileNotFoundError, lock.take, 0)
        self.folder.mkdir()

    def test_a_child_does_not_hold_it_for_a_dead_parent(self) -> None:
        """A program that was killed when it had forked lets go of its locks though its children live on."""
        command = [sys.executable, "-c", FORK, str(self.database)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": Path(__file__).parents[3]}
        with subprocess.Popen(command, **pipes) as parent:
            self.assertEqual(parent.stdout.readline(), b"child\n")
            self.assertEqual(parent.wait(30), -signal.SIGKILL)
            lock = LockFile(str(self.database), ".lock")
            self.addCleanup(lock.close)
            self.assertTrue(lock.take(0))
            parent.stdin.close()
            self.assertEqual(parent.stdout.read(), b"over\n")

    def test_one_database_has_one_lock(self) -> None:
        """Under whatever name it is opened."""
        (self.folder / "link").symlink_to(self.database)
        one, other = LockFile(str(self.database), ".lock"), LockFile(str(self.folder / "link"), ".lock")
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        self.assertTrue(one.take(0))
        self.assertFalse(other.take(0.01))
        one.close()
        self.assertTrue(other.take(0))

    def test_what_root_makes_belongs_to_the_owner_of_the_database(self) -> None:
        """A console that an administrator started does not shut the server out."""
        if os.geteuid() != 0:
            self.skipTest("only root can give files away")
        os.chown(self.database, 65534, 65534)
        LockFile(str(self.database), ".lock").close()
        made = (self.folder / "d.sqlite3.lock").stat()
        self.assertEqual((made.st_uid, made.st_gid), (65534, 65534))

    def test_a_shared_database_has_a_shared_lock(self) -> None:
        """Programs of several users, for whom somebody gave the database to a group; and nothing for executing it."""
        self.database.chmod(0o770)
        LockFile(str(self.database), ".lock").close()
        self.assertEqual(stat.S_IMODE((self.folder / "d.sqlite3.lock").stat().st_mode), 0o660)

    def test_a_group_of_others(self) -> None:
        """Who may not give the file to the database's group keeps it."""

        def refused(*_: int) -> None:
            raise PermissionError

        self.patch(os, "fchown", refused)
        lock = LockFile(str(self.database), ".lock")
        self.addCleanup(lock.close)
        self.assertTrue(lock.take(0))

    def test_a_lock_that_cannot_be_made(self) -> None:
        """Opening the database says what is in the way, and leaves nothing open."""
        (self.folder / "d.sqlite3.write-lock").mkdir()
        self.assertRaises(Unavailable, open_connection, str(self.database), Statements(SQLiteDialect_pysqlite()))
        self.assertEqual(self.descriptors(), [])
        (self.folder / "d.sqlite3.write-lock").rmdir()
        missing = str(self.folder / "nowhere" / "d.sqlite3")
        self.assertRaises(ConfigurationError, open_connection, missing, Statements(SQLiteDialect_pysqlite()))
