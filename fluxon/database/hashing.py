"""Hashing passwords a few at a time, whichever thread asks.

Rules kept here:

- At most ``HASHES_AT_ONCE`` run in the process, those of the reactor's pools and of blocking calls together: each takes
  a processor for 35 ms and 19 MiB, and a burst of logins must leave the rest of the server some of both.
- A place is held for one hash: many rows with passwords let others in between.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

HASHES_AT_ONCE = 2

_places = threading.BoundedSemaphore(HASHES_AT_ONCE)


def in_turn(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``work(*args, **kwargs)`` when a place is free. Blocks."""
    with _places:
        return work(*args, **kwargs)


def _forked() -> None:
    # The threads that hold places have not followed into the child.
    global _places
    _places = threading.BoundedSemaphore(HASHES_AT_ONCE)


os.register_at_fork(after_in_child=_forked)
