"""Whose turn it is to begin writing: the programs on one SQLite file queue for it.

Rules kept here:

- Who wants to begin takes the write lock's file, and lets go of it when he has begun. SQLite alone gives its lock to
  whoever asks at the right moment, and who writes without pause asks first: a second program got nothing at all done
  in its five seconds (measured).
- The turn is a courtesy: the rows are guarded by SQLite's own lock. Who cannot queue (he may not open the file, or the
  file system has no such locks), and who waits in vain, since somebody was stopped when it was his turn, begins
  without.
"""

from __future__ import annotations

from contextlib import suppress

from twisted.logger import Logger

from fluxon.database.sqlite.lock_file import LockFile

#: Seconds for a turn that did not come the time before.
_SHORT = 0.05

_log = Logger(namespace="fluxon.database")


class Turn:
    """One connection's place in the queue for ``database_path``, which exists."""

    def __init__(self, database_path: str) -> None:
        """Raises ``OSError`` if the lock's file cannot be; that this program may not open it is none."""
        self._lock: LockFile | None = None
        self._in_vain = False
        try:
            self._lock = LockFile(database_path, ".write-lock")
        except PermissionError:
            _log.warn(
                "the write lock beside the database cannot be opened: see that the server's user may write to it and "
                "to its folder (ls -l); until then a program that writes without pause may shut this one out"
            )

    def take(self, patience: float) -> bool:
        """Wait at most ``patience`` seconds. True if it is this connection's turn, until ``let_go``. Blocks."""
        taken = False
        if self._lock is not None:
            with suppress(OSError, ValueError):  # the file system has no such locks; the lock is a parent's
                taken = self._lock.take(min(patience, _SHORT) if self._in_vain else patience)
        self._in_vain = not taken
        return taken

    def let_go(self) -> None:
        """It is the next one's."""
        if self._lock is not None:
            self._lock.let_go()

    def close(self) -> None:
        """Leave the queue; again does nothing."""
        if self._lock is not None:
            self._lock.close()
