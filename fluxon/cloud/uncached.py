"""Writing past the system's page cache: whole blocks of a file go from memory to the disk.

Through the cache a byte is copied into a page that something else has to leave, and written out by the ``fsync`` that
everybody waits for; that takes three to thirty times the processor's time (measured), and from readers what they had
in the cache. MinIO writes its objects so, for the same reason.

Rules of this module:

- Only whole blocks, at multiples of a block, from aligned memory: what ``O_DIRECT`` asks for on every file system that
  has it (open(2)). The rest of a file goes through the cache, and shares no page with them.
- Blocks of a file are written in order, one at a time: two that extend a file wait for each other in the system.
- A file system that refuses is not asked again for this file: its blocks go through the cache, and nothing is lost.
- An error ends the file. It is raised by the next call.
- The memory is bounded, for all files together; whoever finds none waits for the disk.
"""

from __future__ import annotations

import errno
import mmap
import os
import threading
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from twisted.logger import Logger

from fluxon.cloud.disk import close, write_at
from fluxon.cloud.followers import Followers

_log = Logger()

#: Bytes of a block: a multiple of every disk's and page's, and enough for a disk to be busy with one at a time. (Twice
#: as much and half as much were slower by a fifth.)
BLOCK = 512 * 1024
#: Blocks of all files that may be on their way, 4 MiB: while one is written the next are hashed.
BLOCKS = 8
#: Threads that write. One keeps up with a disk of 2 GB/s.
THREADS = 2

#: What is added to how a file is opened; 0 on systems that have no such thing.
FLAGS = os.O_WRONLY | getattr(os, "O_DIRECT", 0)
SUPPORTED = hasattr(os, "O_DIRECT")

#: What the system says when it takes no such writes, or none of this alignment, or has no second descriptor to give.
REFUSED = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMFILE, errno.ENFILE)


class Lane:
    """The blocks and threads of all files."""

    def __init__(self) -> None:
        self.threads = Followers("fluxon-write", THREADS)
        self._mutex = threading.Lock()
        self._made = 0
        self._free: SimpleQueue[memoryview] = SimpleQueue()

    def take(self) -> memoryview:
        """A block of aligned memory, to be given back. Blocks while all are in use."""
        try:
            return self._free.get_nowait()
        except Empty:
            with self._mutex:
                if self._made < BLOCKS:
                    block = memoryview(mmap.mmap(-1, BLOCK))
                    self._made += 1
                    return block
        return self._free.get()

    def give_back(self, block: memoryview) -> None:
        """Somebody else may have it."""
        self._free.put(block)


class Uncached:
    """A file of which whole blocks are written past the cache. ``write`` and ``settle`` are for one thread at a time.

    ``refused``: the file system takes no more of them.
    """

    def __init__(self, lane: Lane, descriptor: int, through_cache: int) -> None:
        """``descriptor`` was opened with ``FLAGS`` and is closed with this; ``through_cache`` is the same file's."""
        self._lane = lane
        self._descriptor = descriptor
        self._through_cache = through_cache
        self._changed = threading.Condition()
        self._waiting: deque[tuple[memoryview, int]] = deque()
        self._error: OSError | None = None
        self.refused = False

    def write(self, pieces: Sequence[memoryview], offset: int) -> None:
        """Have a block written, which is the pieces one behind the other; they may change when this returns.

        Raises what stopped an earlier one.
        """
        self._check()
        block = self._lane.take()
        at = 0
        for piece in pieces:
            block[at : at + len(piece)] = piece
            at += len(piece)
        with self._changed:
            self._waiting.append((block, offset))
            idle = len(self._waiting) == 1
        if idle:
            self._go_on()

    def _go_on(self) -> None:
        try:
            self._lane.threads.put(self)
        except RuntimeError:  # the system has no thread left: this one does it
            self.follow()

    def follow(self) -> None:
        """In a thread of the lane: write the next block."""
        block, offset = self._waiting[0]
        error = None
        try:
            if self._error is None:
                self._write(block, offset)
        except OSError as problem:
            error = problem
        except BaseException:  # whoever waits for this block must not wait for ever, nor take it for written
            _log.failure("a block of an upload could not be written")
            error = OSError(None, "a fault of the server")
        self._lane.give_back(block)
        with self._changed:
            self._error = self._error or error
            self._waiting.popleft()
            if not self._waiting:
                self._changed.notify_all()
                return
        self._go_on()

    def _write(self, block: memoryview, offset: int) -> None:
        written = 0
        if not self.refused:
            try:
                written = os.pwritev(self._descriptor, [block], offset)
            except OSError as error:
                if error.errno not in REFUSED:
                    raise
                self.refused = True
        if written < len(block):
            write_at(self._through_cache, [block[written:]], offset + written)

    def settle(self) -> None:
        """Wait until nothing is on its way. Raises what stopped a block."""
        self._wait()
        self._check()

    def close(self) -> None:
        """The same, whatever became of it; then nothing is written any more."""
        self._wait()
        close(self._descriptor)

    def _wait(self) -> None:
        with self._changed:
            while self._waiting:
                self._changed.wait()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
