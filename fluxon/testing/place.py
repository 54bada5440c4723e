"""Where a server in memory keeps its things, and what it does without because nobody needs them after the test.

Rules of this module: a test waits for no disk. Its database survives the end of the server, not that of the machine;
its keys are made once a process, since making them is what takes longest at a server's start.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from fluxon.database.apis import SQLiteDatabase
from fluxon.database.sqlite.connection import SQLiteConnection
from fluxon.security import Secrets


class PassingDatabase(SQLiteDatabase):
    """SQLite that leaves it to the system when bytes reach the disk."""

    def open_writing(self) -> SQLiteConnection:
        """As that of ``SQLiteDatabase``, without waiting for the disk."""
        connection = super().open_writing()
        connection.never_sync()
        return connection


def new_folder() -> Path:
    """An empty folder, for whoever removes it."""
    return Path(tempfile.mkdtemp(prefix="fluxon-testing-"))


@cache
def secrets_of_process() -> Secrets:
    """Keys and a certificate for all servers of this process, which are removed in its end."""
    folder = new_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Secrets(folder / "secrets")
