"""SHA-256 of contents, in a thread beside those that read and write: hashing a byte takes longer than sending it.

Rules of this module: a thread is a daemon, ends with its content or with ``close``, and never falls behind so far that
what waits for it fills the memory.
"""

from __future__ import annotations

import hashlib
import os
import threading
from queue import SimpleQueue
from typing import Any

#: Bytes that are read and hashed at once.
_PIECE = 1024 * 1024

#: Bytes that may wait to be hashed; enough to never keep the network waiting.
_BEHIND = 8 * 1024 * 1024

#: Contents up to this size are hashed at once: a thread would take longer.
_SMALL = 512 * 1024


class FileHash:
    """The hash of the first ``size`` bytes of the open file ``descriptor``, begun when it is made. It owns that.

    The file that is sent, that is, and not another one that takes its name meanwhile.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._stopped = False
        self._done = threading.Event()
        self._outcome: str | BaseException | None = None
        if size > _SMALL:
            threading.Thread(target=self._run, name="fluxon-hash", daemon=True).start()
        else:
            self._run()

    def wait(self) -> str | None:
        """The hash, or None if the file has fewer bytes by now. Raises ``OSError`` when it could not be read."""
        self._done.wait()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def close(self) -> None:
        """Nobody wants it any more."""
        self._stopped = True

    def _run(self) -> None:
        try:
            self._outcome = self._hash()
        except BaseException as error:
            self._outcome = error
        finally:
            os.close(self._descriptor)
        self._done.set()

    def _hash(self) -> str | None:
        digest = hashlib.sha256()
        offset = 0
        while offset < self._size and not self._stopped:
            piece = os.pread(self._descriptor, min(_PIECE, self._size - offset), offset)
            if not piece:
                return None
            digest.update(piece)
            offset += len(piece)
        return digest.hexdigest()


class RunningHash:
    """The hash of what is given piece by piece."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pieces: SimpleQueue[Any] | None = None
        self._size = 0
        self._behind = 0
        self._caught_up = threading.Condition()

    def update(self, piece: bytes | memoryview) -> None:
        """The next piece, which must not change any more. Waits when too much is not hashed yet."""
        self._size += len(piece)
        if self._pieces is None:
            if self._size <= _SMALL:
                self._digest.update(piece)
                return
            self._pieces = SimpleQueue()
            threading.Thread(target=self._run, args=(self._pieces,), name="fluxon-hash", daemon=True).start()
        with self._caught_up:
            while self._behind > _BEHIND:
                self._caught_up.wait()
            self._behind += len(piece)
        self._pieces.put(piece)

    def hexdigest(self) -> str:
        """The hash of all that was given."""
        with self._caught_up:
            while self._behind:
                self._caught_up.wait()
        self.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        """End the thread. Closing twice is no error."""
        if self._pieces is not None:
            self._pieces.put(None)

    def _run(self, pieces: SimpleQueue[Any]) -> None:
        while (piece := pieces.get()) is not None:
            self._digest.update(piece)
            with self._caught_up:
                self._behind -= len(piece)
                self._caught_up.notify_all()
