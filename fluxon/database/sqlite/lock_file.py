"""Locks beside an SQLite file, for the programs of one machine.

Rules kept here:

- A lock is a file that is held through ``flock``: the system lets go of it when its holder dies. The file stays; who
  finds that somebody deleted his queues at the new one.
- A child of a fork does not hold it for its parent: it would go on when the parent is dead.
- Who may open the database may open it: it is made with the database's mode, group and, by root, owner, as SQLite makes
  its own files. A console that an administrator started must not shut the server out.
- Waiting is in short naps, since ``flock`` itself waits for ever. Only threads of their own wait so.
"""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

#: Seconds of the first nap, which doubles up to the longest. What is waited for is often a transaction of 100 us.
_FIRST_NAP = 0.00005
_LONGEST_NAP = 0.002


class LockFile:
    """One program's, or connection's, hold of a lock; two of them in one process exclude each other as well."""

    def __init__(self, database_path: str, suffix: str) -> None:
        """``database_path`` exists, or its folder does. Raises ``OSError``."""
        self._database = os.path.realpath(database_path)
        self._suffix = suffix
        self._descriptor = _opened(self._database, suffix)
        _all_locks.add(self)

    def take(self, patience: float) -> bool:
        """Hold the lock, once nobody else does; False if that takes more than ``patience`` seconds. Blocks.

        Raises ``OSError`` where the file system has no locks, and where the file is gone and cannot be made again.
        """
        return patiently(self._taken, patience)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if os.fstat(self._descriptor).st_nlink:
            return True
        self.let_go()  # to who waits at what was deleted as well
        again = _opened(self._database, self._suffix)
        self.close()
        self._descriptor = again
        return self._taken()

    def let_go(self) -> None:
        """Somebody else may hold it now."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of it for good; again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


#: For a child of a fork.
_all_locks: weakref.WeakSet[LockFile] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for lock in list(_all_locks):
        lock.close()


os.register_at_fork(after_in_child=_leave_to_parent)


def patiently(attempt: Callable[[], bool], patience: float) -> bool:
    """Repeat ``attempt`` until it succeeds; False if it has not after ``patience`` seconds. Blocks."""
    until, nap = time.monotonic() + patience, _FIRST_NAP
    while not attempt():
        if time.monotonic() >= until:
            return False
        time.sleep(nap)
        nap = min(2 * nap, _LONGEST_NAP)
    return True


def _opened(database: str, suffix: str) -> int:
    path = f"{database}{suffix}"
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    _share_like(database, descriptor)
    return descriptor


def _share_like(database: str, descriptor: int) -> None:
    try:
        like = os.stat(database)
    except FileNotFoundError:
        return
    os.fchmod(descriptor, like.st_mode & 0o666)
    with suppress(PermissionError):  # of a group that this program's user is not in
        os.fchown(descriptor, like.st_uid if os.geteuid() == 0 else -1, like.st_gid)
