"""Files that were open when this process was forked.

Rules kept here:

- A child does not open them. SQLite remembers in the process which locks it holds on a file; a child inherits that,
  and not the locks (https://www.sqlite.org/howtocorrupt.html, 2.6). It would find the file locked for ever if its
  parent was writing at that moment, and its rows, acknowledged, would be gone when the parent closes the file.
- A file that its parent had closed before the fork is like any other.
"""

from __future__ import annotations

import os
import weakref
from typing import Any

#: What is open here: SQLite knows a file by its device and inode.
_open: weakref.WeakKeyDictionary[Any, tuple[int, int]] = weakref.WeakKeyDictionary()

_inherited: set[tuple[int, int]] = set()


def opened(connection: Any, path: str) -> None:
    """``connection`` has the file at ``path`` open."""
    found = os.stat(path)
    _open[connection] = (found.st_dev, found.st_ino)


def closed(connection: Any) -> None:
    """It has no more; again does nothing."""
    _open.pop(connection, None)


def check_not_inherited(path: str) -> None:
    """Raise ``RuntimeError`` if the file at ``path`` was open in this process's parent at the fork."""
    if not _inherited:
        return
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    if (found.st_dev, found.st_ino) in _inherited:
        raise RuntimeError(
            "this process was forked while its parent had the database open, which SQLite does not bear: close() the "
            "database before the fork, or start a process that is no fork (subprocess, multiprocessing's 'spawn')"
        )


def _forked() -> None:
    _inherited.update(_open.values())
    _open.clear()


os.register_at_fork(after_in_child=_forked)
