"""One schema change at a time, over all processes of a machine.

The lock is a file beside the database, held through ``flock``: the system lets go of it when its holder dies.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fluxon.errors import Locked

#: Between two looks at a lock that is held. Only threads of their own wait so.
_PAUSE = 0.05


@contextmanager
def schema_lock(database_path: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of the database at this path. Raises ``Locked`` after ``patience`` seconds. Blocks."""
    descriptor = os.open(f"{database_path}.schema-lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise Locked("another program changes the schema now; try again when it is done") from None
                time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)
