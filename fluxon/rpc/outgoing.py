"""One stream at the end that sends its bytes, and where they come from.

Rules of this module:

- Nothing is sent without credit, nor to a transport that is full; nothing is read before there is credit. What is read
  and not sent is two blocks at most: the one that is being sent, and the one after it.
- A file's bytes are read in threads. Where the transport can, the kernel sends them; what it does not have in memory is
  fetched in a thread before that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from fluxon.errors import FluxonError, Unavailable
from fluxon.rpc.faults import to_internal
from fluxon.rpc.read_ahead import ReadAhead
from fluxon.rpc.streams import Stream
from fluxon.wire import End, Flow
from fluxon.wire.frames import MAX_CHUNK

if TYPE_CHECKING:
    from fluxon.rpc.transfers import Transfers

#: Read at once: enough for the hop to a thread to cost little.
BLOCK = 256 * 1024

#: Bytes of a chunk that is written: all of a block.
CHUNK = BLOCK

#: Bytes of a chunk that the kernel sends, at first: all answers wait as long as that takes. It grows up to
#: ``MAX_CHUNK`` while the other side takes chunks within ``_PACE`` seconds each, and shrinks back when it does not.
SEGMENT = 256 * 1024
_PACE = 0.01


class Source(Protocol):
    """Where an outgoing stream's bytes come from. Called on the reactor's thread."""

    def read(self, size: int) -> bytes | Deferred[bytes]:
        """The next bytes, ``size`` at most; ``b""`` when there are no more. Not called again before it has them."""

    def close(self) -> None:
        """Nothing is read any more. Called exactly once, even if nothing ever was."""


class FileSource(Source):
    """``length`` bytes of the file ``descriptor`` from ``offset`` on. It owns the descriptor.

    ``submit(function, *arguments)`` runs a function in a thread and gives a Deferred: ``WorkerPool.submit``.
    """

    def __init__(
        self,
        descriptor: int,
        offset: int,
        length: int,
        submit: Callable[..., Deferred[Any]],
        close: Callable[[int], Any] = os.close,
    ) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.left = length
        self._submit = submit
        self._close = close
        self._users = 1

    def read(self, size: int) -> bytes | Deferred[bytes]:
        size = min(size, self.left)
        if not size:
            return b""
        return self.in_thread(os.pread, self.descriptor, size, self.offset).addCallback(self._have_read)

    def _have_read(self, data: bytes) -> bytes:
        if not data:
            raise Unavailable("the file became shorter while it was sent")
        self.offset += len(data)
        self.left -= len(data)
        return data

    def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Run a function that uses the descriptor, which stays open for it."""
        self.hold()
        return self._submit(function, *arguments).addBoth(self._used)

    def _used(self, result: Any) -> Any:
        self.release()
        return result

    def hold(self) -> None:
        """Its descriptor is in use, until ``release``."""
        self._users += 1

    def release(self) -> None:
        """Its user is done with it; the last one closes the descriptor."""
        self._users -= 1
        if not self._users:
            self._close(self.descriptor)

    close = release


class Outgoing(Stream):
    """A stream of what ``source`` gives."""

    sending = True

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._block = memoryview(b"")
        self._following: bytes | None = None
        self._reading = False
        self._exhausted = False
        # The file, if the kernel sends it, and what of it is in memory.
        self._file: FileSource | None = None
        self._ahead: ReadAhead | None = None
        self._waits_for_disk = False
        #: Bytes of the next part that the kernel sends, at most.
        self.segment = SEGMENT
        self._sent_at = 0.0
        # The other side was told that this is all.
        self._completed = False
        #: Bytes handed to the transport.
        self.sent = 0

    def _begun(self, transfers: Transfers, flow: Flow) -> None:
        if isinstance(self._source, FileSource):
            if not self._source.left:
                self._complete()
                return
            if transfers.sends_files:
                file = self._file = self._source
                self._ahead = ReadAhead(file.descriptor, file.offset, file.offset + file.left, file.in_thread)
        if flow.credit:
            self.credited()

    def credited(self) -> None:
        """The other side takes more; for ``Transfers``."""
        if self._transfers is None or self.over:
            return
        if self._file is not None or self._block:
            self._transfers.ready(self)
        else:
            self._read_on()

    @property
    def sendable(self) -> bool:
        """Whether there is something to send, and leave to do so."""
        if self.over or self._waits_for_disk or self._flow is None or self._flow.ended or not self._flow.credit:
            return False
        return self._file is not None or bool(self._block)

    def send(self) -> int:
        """Send one chunk, as ``sendable`` allows; its bytes, 0 if the transport has something else to say first."""
        assert self._transfers is not None and self._flow is not None
        self.moved = True
        if self._file is not None:
            assert self._ahead is not None
            size = self._ahead.count(self._file.offset, min(self._file.left, self._flow.credit, self.segment))
            if not size:
                self._waits_for_disk = True
                self._ahead.when_more(self._fetched)
                return 0
            if not self._transfers.send_file(self._flow, self._file, size):
                return 0
            self.keep_pace(self._transfers.now())
            if not self._file.left:
                self._complete()
        else:
            size = min(len(self._block), self._flow.credit, CHUNK)
            self._transfers.write(self._flow, self._block[:size])
            self._block = self._block[size:]
            if not self._block:
                self._read_on()
        self.sent += size
        return size

    def _fetched(self) -> None:
        self._waits_for_disk = False
        self.credited()

    def keep_pace(self, now: float) -> None:
        """A part was sent ``now``."""
        if now - self._sent_at > _PACE:
            self.segment = max(self.segment // 2, SEGMENT)
        else:
            self.segment = min(self.segment * 2, MAX_CHUNK)
        self._sent_at = now

    def _read_on(self) -> None:
        """Have the next block, and the one after it on its way."""
        if not self._block and self._following is not None:
            self._block, self._following = memoryview(self._following), None
            assert self._transfers is not None
            self._transfers.ready(self)
        if self._exhausted and not self._block and self._following is None:
            self._complete()
        elif not self._reading and not self._exhausted and self._following is None and not self.over:
            self._reading = True
            try:
                data = self._source.read(BLOCK)
            except Exception:
                self._failed(Failure())
                return
            if isinstance(data, Deferred):
                data.addCallbacks(self._have_read, self._failed)
            else:
                self._have_read(data)

    def _have_read(self, data: bytes) -> None:
        self._reading = False
        if self.over:
            return
        if data:
            self._following = data
        else:
            self._exhausted = True
        self._read_on()

    def _failed(self, failure: Failure) -> None:
        self._reading = False
        error = failure.value
        self.give_up(error if isinstance(error, FluxonError) else to_internal(failure, "an outgoing stream"))

    def _complete(self) -> None:
        assert self._transfers is not None and self._flow is not None
        self._completed = True
        self._transfers.complete(self._flow)

    def ended(self, end: End) -> None:
        if end.code is None and not self._completed:
            self.finish(Unavailable("the other side took this stream for one of its own"))
        else:
            super().ended(end)

    def _finished(self, error: FluxonError | None) -> None:
        self._block = memoryview(b"")
        self._following = None
        self._source.close()
