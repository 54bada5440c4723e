"""One schema change at a time, over all processes of a machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from fluxon.database.sqlite.lock_file import LockFile
from fluxon.errors import Locked


@contextmanager
def schema_lock(database_path: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of the database at this path. Raises ``Locked`` after ``patience`` seconds. Blocks."""
    with closing(LockFile(database_path, ".schema-lock")) as lock:
        if not lock.take(patience):
            raise Locked("another program changes the schema now; try again when it is done")
        yield
