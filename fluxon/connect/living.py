"""The connections of this process that are open, for those who follow the only one.

A process forgets those of its parent: after a fork they are not its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from fluxon.connect.session import SessionHolder

_lock = threading.Lock()
_open: dict[object, SessionHolder] = {}


def opened(connection: object, session: SessionHolder) -> None:
    """``connection`` is open, and stays so until ``closed``."""
    with _lock:
        _open[connection] = session


def closed(connection: object) -> None:
    """``connection`` is open no more."""
    with _lock:
        _open.pop(connection, None)


def open_sessions() -> list[SessionHolder]:
    """The sessions of the open connections, each once."""
    with _lock:
        return list({id(session): session for session in _open.values()}.values())


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _open.clear()


_register: Callable[..., None] | None = getattr(os, "register_at_fork", None)
if _register is not None:  # pragma: no branch - Windows has no fork
    _register(after_in_child=_after_fork)
