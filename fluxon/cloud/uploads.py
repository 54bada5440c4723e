"""An upload: bytes that come bit by bit, and become an object or nothing.

Rules of this module:

- ``append`` takes the bytes and returns; it neither hashes nor waits for the disk, so that the reactor thread may call
  it. A thread follows: it writes what came and hashes it, a MiB at a time, and has it written out.
- What waits for that thread is bounded: ``append`` asks for a pause when its upload has ``AHEAD`` waiting, and all of
  them together hold ``HELD`` in memory. What comes beyond that is written by ``append`` itself, and read back to be
  hashed.
- What is as large as a step goes past the system's cache in whole blocks, where the file system takes it so.
- The thread is at most ``WINDOW`` ahead of the disk. The system never has so much to write out that it would hold a
  write up for long, and the ``fsync`` at the end is short.
- An error of any of these ends the upload. Its descriptor is closed only when no thread is at work on it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from typing import Protocol

import attrs

from fluxon.cloud.disk import close, disk_error, start_writing_out, wait_written_out, write_at
from fluxon.cloud.followers import Followers
from fluxon.cloud.uncached import BLOCK, Lane, Uncached
from fluxon.cloud.waiting import Batch, Budget, Waiting
from fluxon.errors import FluxonError, Unavailable

_MIB = 1024 * 1024

#: What the following thread takes at a time. Below it ``finish`` does all, and a small upload costs no change of
#: threads; far above it the bytes would have left the processor's cache when they are hashed.
STEP = 1 * _MIB
#: Written in one call through the cache, which keeps a file in pages as large as one write fills. Small ones cost twice
#: as much, and those of a MiB seven times where a virtual machine has to fetch memory that it gave back.
CACHED = 256 * 1024
#: Bytes that may wait for the following thread: some 10 ms of its work.
AHEAD = 8 * _MIB
#: Bytes of all uploads that may wait in memory.
HELD = 32 * _MIB
#: Bytes hashed that the disk may not have yet: enough for a disk of a GB/s to be busy all the time.
WINDOW = 16 * _MIB

#: Threads that follow uploads. Two keep up with 3 GB/s, and a slow disk holds only uploads up.
THREADS = 2


@attrs.frozen
class Stored:
    """An object: bytes that are on the disk for good, and never change."""

    name: str
    size: int
    sha256: str


class Home(Protocol):
    """What an upload needs of the ``Objects`` that it belongs to."""

    def past_cache(self, upload: str, descriptor: int) -> Uncached | None:
        """The open file of an upload, to be written past the cache; None if that cannot be."""

    def place(self, upload: str, descriptor: int) -> str:
        """Make the open file of an upload an object, durably; its name. Raises ``OSError``, and then leaves nothing."""

    def ended(self, upload: Upload, placed: bool) -> None:
        """The upload is over, its descriptor closed; its file is to go if it was not placed."""


class Upload:
    """One upload, from ``Objects.begin`` to ``finish`` or ``discard``; ``size`` bytes were appended.

    ``append`` is for one thread at a time. ``finish`` and ``discard`` block, and may come from any thread.
    """

    def __init__(
        self, home: Home, pace: Pace, name: str, descriptor: int, ready: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self.size = 0
        self._home = home
        self._pace = pace
        self._descriptor = descriptor
        self._ready = ready
        self._waiting = Waiting(pace.budget)
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._written_out = 0
        # None for what is smaller than a step: it is not worth opening it once more, nor another change of threads.
        self._uncached: Uncached | None = None
        self._error: FluxonError | None = None
        self._changed = threading.Condition()
        self._followed = False  # a thread follows, or is about to
        self._paused = False
        self._ended = False
        self._discarded = False

    @property
    def error(self) -> FluxonError | None:
        """What the disk has ended it with, if it has."""
        return self._error

    def append(self, data: bytes | bytearray | memoryview) -> bool:
        """Add ``data`` at the end. False asks for a pause, until ``ready`` is called, in another thread.

        Raises what ended the upload: ``ResourceExhausted`` when the disk is full, ``Unavailable`` when it failed. What
        the disk says of these bytes may be known later only: then the next call raises it, or ``finish``.
        """
        self._check()
        with self._changed:
            if self._waiting.hold(data):
                return self._appended(len(data))
        try:
            write_at(self._descriptor, [memoryview(data)], self.size)
        except OSError as error:
            raise self._fail(error) from error
        with self._changed:
            self._waiting.note_written(len(data))
            return self._appended(len(data))

    def _appended(self, size: int) -> bool:
        self.size += size
        behind = self.size - self._hashed
        if behind >= STEP and not self._followed:
            self._followed = True
            try:
                self._pace.threads.put(self)
            except RuntimeError:
                self._followed = False
                raise self._fail(OSError(errno.ENOMEM, "no thread")) from None
        # A pause lasts until the thread ends it, whatever is appended meanwhile: somebody waits for its ``ready``.
        self._paused = self._paused or behind >= AHEAD
        return not self._paused

    def finish(self) -> Stored:
        """Make it an object, which is durable when this returns. Blocks. Whatever it raises, the upload is over."""
        with self._changed:
            if self._ended:
                raise self._error or _over()
            self._ended = True
            while self._followed:
                self._changed.wait()
        placed = False
        try:
            if self._error is not None:
                raise self._error
            try:
                self._go_on_to(self.size)
                if self._uncached is not None:
                    self._uncached.settle()
                name = self._home.place(self.name, self._descriptor)
            except OSError as error:
                raise self._fail(error) from error
            placed = True
            return Stored(name, self.size, self._hash.hexdigest())
        finally:
            self._close(placed)

    def discard(self) -> None:
        """Give it up and leave nothing. One that is finished, or being finished, stays what it is. May block."""
        with self._changed:
            if self._ended:
                return
            self._ended = self._discarded = True
            if self._followed:
                return  # the thread that follows closes it
        self._close(placed=False)

    def follow(self) -> None:
        """In a thread of ``Pace``: write and hash what was appended, a step of it, and have it written out."""
        try:
            if self._error is None and not self._ended:
                begin = self._hashed
                self._go_on_to(min(begin + STEP, self.size))
                start_writing_out(self._descriptor, begin, self._hashed - begin)
                self._wait_for_disk()
        except OSError as error:
            self._fail(error)
        except MemoryError:
            self._fail(OSError(errno.ENOMEM, "no memory"))
        with self._changed:
            over = self._ended or self._error is not None
            behind = self.size - self._hashed
            self._followed = again = behind >= STEP and not over
            resumes = self._paused and (over or behind <= AHEAD // 2)
            if resumes:
                self._paused = False
            self._changed.notify_all()
        if again:
            self._pace.threads.put(self)
        if resumes and self._ready is not None:
            self._ready()
        if self._discarded and not again:
            self._close(placed=False)

    def _go_on_to(self, end: int) -> None:
        """Write and hash what is before ``end``."""
        if self._hashed == 0 and end >= STEP:
            self._uncached = self._home.past_cache(self.name, self._descriptor)
        while self._hashed < end:
            block = BLOCK if self._goes_past_cache else CACHED
            self._write_block(min(block - self._hashed % block, end - self._hashed))

    @property
    def _goes_past_cache(self) -> bool:
        return self._uncached is not None and not self._uncached.refused

    def _write_block(self, size: int) -> None:
        with self._changed:
            batch = self._waiting.take(size)
        try:
            if batch.pieces:
                self._write(batch)
                for piece in batch.pieces:
                    self._hash.update(piece)
            else:
                self._read_back(batch.size)
            self._hashed += batch.size
        finally:
            batch.pieces.clear()
            with self._changed:
                self._waiting.done(batch)

    def _write(self, batch: Batch) -> None:
        if self._uncached is not None and batch.size == BLOCK:
            self._uncached.write(batch.pieces, self._hashed)
        else:
            write_at(self._descriptor, batch.pieces, self._hashed)

    def _read_back(self, size: int) -> None:
        """Hash what ``append`` has written."""
        buffer = memoryview(bytearray(size))
        at = self._hashed
        while buffer:
            count = os.preadv(self._descriptor, [buffer], at)
            if count == 0:
                raise OSError(None, "the file is shorter than what was written")
            self._hash.update(buffer[:count])
            buffer = buffer[count:]
            at += count

    def _wait_for_disk(self) -> None:
        ahead = self._hashed - self._written_out
        if ahead >= WINDOW:
            oldest = ahead - WINDOW // 2
            wait_written_out(self._descriptor, self._written_out, oldest)
            self._written_out += oldest

    def _check(self) -> None:
        if self._ended or self._error is not None:
            raise self._error or _over()

    def _fail(self, error: OSError) -> FluxonError:
        if self._error is None:
            self._error = disk_error(error)
        return self._error

    def _close(self, placed: bool) -> None:
        with self._changed:
            self._waiting.clear()
        if self._uncached is not None:
            self._uncached.close()
        close(self._descriptor)
        self._home.ended(self, placed)


def _over() -> FluxonError:
    return Unavailable("this upload is over; begin another one")


class Pace:
    """What the uploads of a folder share: the threads that follow them, their memory, and their way to the disk."""

    def __init__(self) -> None:
        self.threads = Followers("fluxon-upload", THREADS)
        #: Of what uploads hold in memory.
        self.budget = Budget(HELD)
        self.lane = Lane()

    def stop(self) -> None:
        """Let the threads end when they have done what there is."""
        self.threads.stop()
        self.lane.threads.stop()
