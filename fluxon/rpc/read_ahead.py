"""Whether the system has a file's next bytes in memory, and having it fetch them.

Rules of this module:

- The reactor's thread does not wait for a disk: what is not in memory is fetched in a thread, and sent then.
- A thread copies nothing: it has the kernel send the file nowhere, which reads ahead as for any other reader. (What
  ``posix_fadvise`` fetches is kept in small pages, and cost twice the processor's time.)
- While one stretch is sent the next is fetched.
- Where the system cannot say what it has (no ``RWF_NOWAIT`` of preadv2(2)), everything is taken for being there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

#: Fetched at a time: some milliseconds of a disk.
STRETCH = 1024 * 1024

_NO_WAIT = getattr(os, "RWF_NOWAIT", None)


class ReadAhead:
    """Of the file ``descriptor``, from ``at`` to ``end``, read in order.

    ``in_thread(function, *arguments)`` runs a function in a thread, with the descriptor open, and gives a Deferred.
    """

    def __init__(self, descriptor: int, at: int, end: int, in_thread: Callable[..., Deferred[Any]]) -> None:
        self._descriptor = descriptor
        self._end = end
        self._in_thread = in_thread
        #: What is before this is in memory.
        self._there = at
        self._cold = False
        self._fetching = False
        self._then: Callable[[], None] | None = None

    def count(self, at: int, size: int) -> int:
        """How many of the ``size`` bytes from ``at`` on can be sent now."""
        if not self._cold:
            if self._in_memory(at, size):
                return size
            self._cold, self._there = True, at
        ready = min(size, self._there - at)
        if self._there - at <= STRETCH:
            self._fetch()
        return ready

    def _in_memory(self, at: int, size: int) -> bool:
        if _NO_WAIT is None:
            return True
        byte = bytearray(1)
        try:
            for place in (at, at + size - 1):
                os.preadv(self._descriptor, [byte], place, _NO_WAIT)
        except BlockingIOError:
            return False
        except OSError:  # a file system that cannot say
            return True
        return True

    def when_more(self, then: Callable[[], None]) -> None:
        """Call ``then``, once, when ``count`` has more to say. What cannot be fetched is for sending to find out."""
        if self._fetching:
            self._then = then
        else:  # it came at once
            then()

    def _fetch(self) -> None:
        if self._fetching or self._there >= self._end:
            return
        self._fetching = True
        size = min(STRETCH, self._end - self._there)
        self._in_thread(_fetch, self._descriptor, self._there, size).addBoth(self._fetched, size)

    def _fetched(self, _: object, size: int) -> None:
        self._fetching = False
        self._there += size
        then, self._then = self._then, None
        if then is not None:
            then()


def _fetch(descriptor: int, at: int, size: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        end = at + size
        while at < end and (count := os.sendfile(nowhere, descriptor, at, end - at)):
            at += count
    finally:
        os.close(nowhere)
