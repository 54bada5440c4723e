"""A disk that fails: the functions of ``os`` that the cloud's rooms use, of which one call goes wrong."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from fluxon.cloud import disk, folder, objects, shelves, storing, sweep, syncing, uncached, uploads

#: The modules that touch the disk.
ROOMS: tuple[ModuleType, ...] = (disk, folder, objects, shelves, storing, sweep, syncing, uncached, uploads)

#: What may fail. ``sync_file_range`` is no function of ``os``, and reached through ``disk``.
CALLS = (
    *(
        "open",
        "close",
        "write",
        "pwrite",
        "pwritev",
        "ftruncate",
        "pread",
        "preadv",
        "fsync",
        "fdatasync",
        "lseek",
        "copy_file_range",
    ),
    *("rename", "unlink", "mkdir", "chmod", "stat", "fstat", "listdir"),
)

#: Ways to fail: before anything happened; after it happened (the error came back all the same); or, of a write, half.
BEFORE, AFTER, HALF = "before", "after", "half"

#: Calls of which nothing can come back but a result, once they happened.
_GIVING = {"open", "pread", "preadv", "stat", "fstat", "listdir"}


class Through:
    """Stands for the module ``os`` in a room; every call passes ``around``."""

    def __init__(self, around: Callable[..., Any]) -> None:
        self._around = around

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in CALLS:
            return real
        return lambda *args, **kwargs: self._around(name, real, args, kwargs)


@contextmanager
def through(around: Callable[..., Any], rooms: tuple[ModuleType, ...] = ROOMS) -> Iterator[None]:
    """While this lasts these modules reach the disk through ``around(name, function, args, kwargs)``."""
    real_range = disk._sync_file_range
    stand_in: Any = Through(around)
    for room in rooms:
        if hasattr(room, "os"):
            room.os = stand_in  # type: ignore[attr-defined]
    if real_range is not None:
        disk._sync_file_range = lambda *args: _as_range(around, real_range, args)
    try:
        yield
    finally:
        disk._sync_file_range = real_range
        for room in rooms:
            if hasattr(room, "os"):
                room.os = os  # type: ignore[attr-defined]


def _as_range(around: Callable[..., Any], real: Callable[..., int], args: tuple[Any, ...]) -> int:
    try:
        result: int = around("sync_file_range", real, args, {})
    except OSError as error:
        ctypes.set_errno(error.errno or 0)
        return -1
    return result


class Failing:
    """The call number ``at`` fails with ``code``, in a ``way``; with ``lasting`` every call like it after that, too.

    ``failed`` is the name of what failed, None if it did not come to that. Folders and files are not really synced.
    """

    def __init__(self, at: int, code: int, way: str = BEFORE, lasting: bool = False) -> None:
        self.failed: str | None = None
        self._left = at
        self._code = code
        self._way = way
        self._lasting = lasting
        self._mutex = threading.Lock()
        self._short = False

    def __call__(self, name: str, real: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        error = OSError(self._code, os.strerror(self._code))
        with self._mutex:
            again = self._lasting and name == self.failed
            fails = again or self._short or (self.failed is None and self._can(name) and self._count())
            if fails and not self._short:
                self.failed = name
        if not fails:
            return self._really(name, real, args, kwargs)
        if name == "close":  # the system closes it, whatever it says
            real(*args, **kwargs)
        elif self._way == HALF and not self._short:
            self._short = True
            if name == "pwritev":
                # Of one piece, a part of the same memory: past the cache any other would be refused.
                data = memoryview(args[1][0] if len(args[1]) == 1 else b"".join(args[1]))
                return real(args[0], [data[: len(data) // 2]], args[2])
            return real(args[0], bytes(args[1])[: len(args[1]) // 2])
        elif self._way == AFTER:
            self._really(name, real, args, kwargs)
        self._short = False
        raise error

    def _can(self, name: str) -> bool:
        if self._way == HALF:
            return name in ("write", "pwritev")
        if self._way == AFTER:
            return name not in _GIVING
        return not (self._code == errno.ENOSPC and name in ("close", "stat", "fstat", "listdir", "lseek", "unlink"))

    def _count(self) -> bool:
        self._left -= 1
        return self._left < 0

    def _really(self, name: str, real: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if name in ("fsync", "fdatasync", "sync_file_range"):
            return 0 if name == "sync_file_range" else None
        return real(*args, **kwargs)


def failures(lasting: bool = False) -> Iterator[Failing]:
    """Every way in which what is done with each of them can fail, until one has gone through without."""
    for code, way in ((errno.EIO, BEFORE), (errno.ENOSPC, BEFORE), (errno.EIO, AFTER), (errno.ENOSPC, HALF)):
        for at in itertools.count():
            failing = Failing(at, code, way, lasting)
            yield failing
            if failing.failed is None:
                break
