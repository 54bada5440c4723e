"""What the operating system says about a disk, in the engine's words; and the calls that Python does not have.

Rules of this module:

- An error of the system becomes an error whose text is safe to show: no path, and what to do about it.
- A failed ``fsync`` is final. The system may have dropped the bytes and forgotten the error, so that a second call
  would succeed for nothing; whoever gets the error gives the file up.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Any

from fluxon.errors import FluxonError, ResourceExhausted, Unavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TOO_MANY = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}

#: From Linux's ``sync_file_range(2)``.
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4


def disk_error(error: OSError) -> FluxonError:
    """What to tell whoever wanted something stored, after ``error`` stopped it and nothing is kept of it."""
    if error.errno in _FULL:
        return ResourceExhausted(
            "the server's disk is full; nothing was changed. Try again when its administrator has made room"
        )
    if error.errno in _TOO_MANY:
        return ResourceExhausted("the server has too many files open; nothing was changed. Try again in a moment")
    reason = os.strerror(error.errno) if error.errno else "no reason given"
    return Unavailable(f"the server's disk failed ({reason}); nothing was changed. Its administrator has to look at it")


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write every byte at the end of the file, however few the system takes at once."""
    written = os.write(descriptor, data)
    if written == len(data):
        return
    with memoryview(data) as rest:
        while written < len(rest):
            written += os.write(descriptor, rest[written:])


def write_at(descriptor: int, pieces: list[memoryview], offset: int) -> None:
    """Write every byte of the pieces, one behind the other, from ``offset`` on, however few the system takes."""
    left = sum(map(len, pieces))
    while left:
        written = os.pwritev(descriptor, pieces, offset)
        offset += written
        left -= written
        if left:
            pieces = _behind(pieces, written)


def _behind(pieces: list[memoryview], count: int) -> list[memoryview]:
    """What is behind the first ``count`` bytes of the pieces, which have more."""
    first = 0
    while count >= len(pieces[first]):
        count -= len(pieces[first])
        first += 1
    return [pieces[first][count:], *pieces[first + 1 :]]


def close(descriptor: int) -> None:
    """Close what was read, or written and synced: whatever the system says then is not about our bytes any more."""
    try:
        os.close(descriptor)
    except OSError:
        pass


def _find_sync_file_range() -> Callable[..., int] | None:
    try:
        function: Any = ctypes.CDLL(None, use_errno=True).sync_file_range
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return]


_sync_file_range = _find_sync_file_range()


def start_writing_out(descriptor: int, offset: int, length: int) -> None:
    """Have the system begin to write this range to the disk, if it can be told so. Raises ``OSError``."""
    if _sync_file_range is not None:
        _call_range(descriptor, offset, length, _WRITE)


def wait_written_out(descriptor: int, offset: int, length: int) -> None:
    """Wait until the system has nothing of this range to write any more. Raises ``OSError``.

    This bounds how much a file can be ahead of the disk, and is no promise: only ``fsync`` gives one.
    """
    if _sync_file_range is None:
        os.fdatasync(descriptor)
    else:
        _call_range(descriptor, offset, length, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)


def _call_range(descriptor: int, offset: int, length: int, flags: int) -> None:
    assert _sync_file_range is not None
    if _sync_file_range(descriptor, offset, length, flags) == 0:
        return
    number = ctypes.get_errno()
    # Some file systems do not know it; they do as they think best until fsync.
    if number not in (errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP):
        raise OSError(number, os.strerror(number))
