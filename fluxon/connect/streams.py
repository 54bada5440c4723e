"""Streams of the blocking client: reading one and sending one, from any thread that may wait.

Rules of this module:

- The receiving thread only hands over what came; it never waits for whoever reads or sends. What waits to be read is
  bounded by the credit that was granted, what waits to be sent by the socket's own pace.
- Credit is granted for what was read. A program that does not read stops the sender, and nobody else.
- A stream has one outcome. Whatever ends it other than well, a deadline or Ctrl+C included, the server is told, and
  the connection lives. Use them in a ``with``: it gives up what is not complete.
- Deadlines are moments of ``time.monotonic``. One thread at a time uses one stream.
"""

from __future__ import annotations

import os
import threading
from queue import Empty, SimpleQueue
from time import monotonic
from types import TracebackType
from typing import Self

from fluxon.connect.link import Link
from fluxon.connect.waiter import SLICE
from fluxon.errors import Cancelled, Conflict, DeadlineExceeded, FluxonError, OutcomeUnknown, Unavailable
from fluxon.wire import Chunk, Credit, End, Flow, Streams
from fluxon.wire.streams import reason

#: Bytes that may wait to be read: what 40 MB/s need over a line of 100 ms.
WINDOW = 4 * 1024 * 1024

#: Credit is granted again when so much of the window was read: four small messages a window.
_GRANTS = 4

#: Bytes of a chunk: an answer to the server waits behind so many, and each costs the server a turn.
_CHUNK = 256 * 1024

#: Read from a file at once.
_BLOCK = 256 * 1024


class _Stream:
    """What both directions have in common."""

    _sending = False

    def __init__(self, link: Link, tag: int) -> None:
        self._link = link
        self._over = False
        self._flow: Flow = link.speak(lambda streams: streams.attach(tag, self._sending, self))
        if self._flow.end is not None:
            self.heard(self._flow.end)
        link.call_back()

    def heard(self, message: Chunk | Credit | End) -> None:
        """Called by the receiving thread, with what came."""
        raise NotImplementedError

    def lost(self, reason: str) -> None:
        """Called by the receiving thread: the connection is over."""
        raise NotImplementedError

    def give_up(self, error: FluxonError | None = None) -> None:
        """End it before its end; the server is told ``error``. No error if it is over already."""
        if self._over:
            return
        self._over = True
        told = error or Cancelled("the client gave the stream up")
        try:
            self._link.speak(lambda streams: streams.give_up(self._flow, told))
        except Unavailable:
            pass

    def _overdue(self, what: str) -> DeadlineExceeded:
        error = DeadlineExceeded(f"{what} in time; the stream was given up")
        self.give_up(error)
        return error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.give_up()


class Incoming(_Stream):
    """A stream that the server sends: ``tag`` as its answer on ``link`` named it."""

    def __init__(self, link: Link, tag: int, window: int = WINDOW) -> None:
        self._came: SimpleQueue[memoryview | End | str] = SimpleQueue()
        self._window = window
        self._owed = 0
        self._failure: FluxonError | None = None
        super().__init__(link, tag)
        link.speak(lambda streams: streams.grant(self._flow, window))

    def heard(self, message: Chunk | Credit | End) -> None:
        if isinstance(message, Chunk):
            if not self._over:
                self._came.put(message.data)
        else:
            assert isinstance(message, End)  # credit is for the one who sends
            self._came.put(message)

    def lost(self, reason: str) -> None:
        self._came.put(reason)

    def read(self, deadline: float) -> memoryview | bytes:
        """The next bytes, as many as came at once; ``b""`` when these were all.

        Raises why the server gave it up; ``DeadlineExceeded``; ``Unavailable`` when the connection was lost.
        """
        if self._over:
            if self._failure is not None:
                raise self._failure
            return b""
        came = self._next(deadline)
        if isinstance(came, memoryview):
            self._owed += len(came)
            if self._owed * _GRANTS >= self._window:
                owed, self._owed = self._owed, 0
                try:
                    self._link.speak(lambda streams: streams.grant(self._flow, owed))
                except Unavailable:
                    pass  # what came before the loss is still read
            return came
        self._over = True
        if isinstance(came, End):
            if came.code is None:
                return b""
            self._failure = reason(came)
        else:
            self._failure = Unavailable(f"the connection was lost before all of it had come: {came}")
        raise self._failure

    def _next(self, deadline: float) -> memoryview | End | str:
        while True:
            try:
                return self._came.get_nowait()
            except Empty:
                pass
            left = deadline - monotonic()
            if left <= 0:
                raise self._overdue("no more of it came")
            try:
                return self._came.get(timeout=min(left, SLICE))
            except Empty:
                pass

    def give_up(self, error: FluxonError | None = None) -> None:
        if not self._over:
            self._failure = error or Cancelled("this stream was given up")
        super().give_up(error)


class Outgoing(_Stream):
    """A stream that the server takes: ``tag`` as its answer on ``link`` named it."""

    _sending = True

    def __init__(self, link: Link, tag: int) -> None:
        self._news = threading.Event()
        self._end: End | None = None
        self._lost: str | None = None
        super().__init__(link, tag)
        #: Bytes handed to the connection.
        self.sent = 0

    def heard(self, message: Chunk | Credit | End) -> None:
        if isinstance(message, End) and not self._over:
            self._end = message
        self._news.set()

    def lost(self, reason: str) -> None:
        self._lost = reason
        self._news.set()

    def write(self, data: bytes | bytearray | memoryview, deadline: float) -> None:
        """Send ``data``; returns when all of it is on its way.

        Raises why the server gave it up; ``DeadlineExceeded``; ``Unavailable`` when the connection was lost.
        """
        view = memoryview(data).cast("B")
        while view:
            self._wait_for_credit(deadline)
            view = view[self._send(view) :]

    def _send(self, view: memoryview) -> int:
        """Send a chunk of ``view``; its bytes, 0 if the server has ended the stream just now."""
        flow = self._flow

        def put(streams: Streams) -> int:
            if flow.end is not None:
                return 0
            size = min(len(view), flow.credit, _CHUNK)
            streams.put(b"".join((streams.chunk(flow, size), view[:size])))
            return size

        size = self._link.speak(put)
        self.sent += size
        return size

    def send_file(self, descriptor: int, offset: int, length: int, deadline: float) -> None:
        """Send ``length`` bytes of a file from ``offset`` on; see ``write``. ``Conflict`` if it has fewer."""
        end = offset + length
        while offset < end:
            block = os.pread(descriptor, min(_BLOCK, end - offset), offset)
            if not block:
                raise Conflict("the file became shorter while it was sent")
            self.write(block, deadline)
            offset += len(block)

    def finish(self, deadline: float) -> None:
        """These were all bytes; returns when the server has read them.

        Raises as ``write``, but ``OutcomeUnknown`` when the connection was lost: they may have arrived.
        """
        self._check()
        self._link.speak(lambda streams: streams.end(self._flow))
        self._news.clear()  # before the look, or what comes between the two would be waited for
        while self._end is None:
            if self._lost is not None:
                self._over = True
                raise OutcomeUnknown(f"the connection was lost before the end was confirmed: {self._lost}")
            self._wait(deadline, "its end was not confirmed")
            self._news.clear()
        self._over = True
        if self._end.code is not None:
            raise reason(self._end)

    def _wait_for_credit(self, deadline: float) -> None:
        room = self._link.room
        while True:
            self._news.clear()
            self._check()
            if not self._flow.credit:
                self._wait(deadline, "the server took no more of it")
            elif not room.is_set():
                left = deadline - monotonic()
                if left <= 0:
                    raise self._overdue("the network took no more of it")
                room.wait(min(left, SLICE))
            else:
                return

    def _check(self) -> None:
        if self._end is not None:
            self._over = True
            if self._end.code is not None:
                raise reason(self._end)
        if self._lost is not None:
            self._over = True
            raise Unavailable(f"the connection was lost before all of it was sent: {self._lost}")
        if self._over:
            raise Cancelled("this stream is over")

    def _wait(self, deadline: float, what: str) -> None:
        left = deadline - monotonic()
        if left <= 0:
            raise self._overdue(what)
        self._news.wait(min(left, SLICE))
