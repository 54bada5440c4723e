"""The sync of what was committed without one.

Rules kept here:

- What is owed is on the disk ``SECONDS`` later, however much is committed meanwhile: one sync a second at most.
- The log in front of the database (its ``-wal`` file) is synced, as SQLite's own commit would have done it. A file
  that is gone was written to the database and synced by SQLite, before it removed it.
- A log that cannot be opened, as when descriptors are short, is synced later. A sync that fails is told of and not
  repeated: the system has dropped what it could not write. SQLite's own descriptor hears of the error as well, at its
  next sync.
"""

from __future__ import annotations

import os
import threading

from twisted.logger import Logger

#: Seconds that a machine which loses its power may lose of what is owed.
SECONDS = 1.0


class LateSync:
    """Syncs the log of the database at ``path``, in a thread that begins with the first debt."""

    log = Logger()

    def __init__(self, path: str, name: str, seconds: float = SECONDS) -> None:
        self._log_file = os.path.realpath(path) + "-wal"
        self._name = name
        self._seconds = seconds
        self._lock = threading.Lock()
        self._owed = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def owe(self) -> None:
        """Something was committed that is to be on the disk soon. Any thread may tell."""
        if not self._owed.is_set():
            self._owed.set()
            with self._lock:
                if self._thread is None and not self._over.is_set():
                    self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                    self._thread.start()

    def stop(self) -> None:
        """Sync what is owed, and have no thread any more. Blocks."""
        with self._lock:
            self._over.set()
            thread = self._thread
        self._owed.set()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            self._owed.wait()
            self._over.wait(self._seconds)
            # Before the sync: what is committed while it runs may not be in it.
            self._owed.clear()
            self._sync()

    def _sync(self) -> None:
        try:
            descriptor = os.open(self._log_file, os.O_RDONLY)
        except FileNotFoundError:
            return
        except OSError:
            self.log.failure("the database's log cannot be opened to be synced; it is tried again")
            self._owed.set()
            return
        try:
            os.fsync(descriptor)
        except OSError:
            self.log.failure("the database's log was not synced; a loss of power now may lose the last rows of it")
        finally:
            os.close(descriptor)
