"""One end's own asks, and what is to be sent: the half of a conversation that speaks first.

Rules of this module:

- Asks beyond what the other side takes at once wait here, in order.
- An ask that was given up keeps its place at the other side until its answer came; that answer is no offence.
- Whatever opens a stream and is no longer wanted ends that stream, too.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from fluxon.errors import Cancelled, ProtocolError, ResourceExhausted
from fluxon.limits import MAX_TAG
from fluxon.wire import messages
from fluxon.wire.frames import COMPRESSED, HEADER, compress, frame
from fluxon.wire.messages import Answer, Failed, Message
from fluxon.wire.shared import Shared, SharedAsk, SharedTell
from fluxon.wire.streams import Flow, Streams


class Asked:
    """An ask of ours that has no answer yet."""

    __slots__ = ("deadline", "frame", "opens", "waiter")

    def __init__(self, waiter: Any, deadline: float | None, frame: bytes | None, opens: bool = False) -> None:
        self.waiter = waiter
        self.deadline = deadline
        #: Its bytes while it waits for a place at the other side; None once sent.
        self.frame = frame
        #: Whether its answer may open a stream.
        self.opens = opens


class Asking:
    """What this end asks, and its output. ``Conversation`` adds the other end's asks, and reads."""

    __slots__ = (
        "_abandoned",
        "_ask_limit",
        "_next_tag",
        "_stream_limit",
        "_streams",
        "_unsolicited",
        "_waiting",
        "_waiting_size",
        "asked",
        "compress_from",
        "output",
        "output_size",
        "send_limit",
        "unsolicited_limit",
        "waiting_bytes_limit",
        "waiting_limit",
    )

    def __init__(
        self,
        *,
        send_limit: int,
        ask_limit: int,
        waiting_limit: int,
        waiting_bytes_limit: int,
        unsolicited_limit: int,
        stream_limit: int,
    ) -> None:
        self.send_limit = send_limit
        self._ask_limit = ask_limit
        self.waiting_limit = waiting_limit
        self.waiting_bytes_limit = waiting_bytes_limit
        self.unsolicited_limit = unsolicited_limit
        #: Bodies of at least so many bytes are compressed; None for never.
        self.compress_from: int | None = None
        #: Frames to be sent, in order. The driver takes and clears them.
        self.output: list[bytes] = []
        #: Their bytes; cleared with them.
        self.output_size = 0
        #: Our asks without an answer, by tag.
        self.asked: dict[int, Asked] = {}
        # Those of them that wait for a place; made when the first has to.
        self._waiting: deque[int] | None = None
        self._waiting_size = 0
        # By tag, with whether its answer may open a stream.
        self._abandoned: dict[int, bool] | None = None
        self._next_tag = 0
        self._unsolicited = 0
        self._stream_limit = stream_limit
        self._streams: Streams | None = None

    # --- streams ----------------------------------------------------------------------------------------------------

    @property
    def streams(self) -> Streams:
        """The streams of the connection; made when the first is opened."""
        if self._streams is None:
            self._streams = Streams(self.put, self._fit, self._stream_limit)
            self._expect_chunks()
        return self._streams

    @property
    def has_streams(self) -> bool:
        """Whether a stream was opened that is not over for both ends."""
        return self._streams is not None and len(self._streams) > 0

    def _expect_chunks(self) -> None:
        """From now on frames may be chunks, which are larger than other frames may be."""

    @property
    def waiting(self) -> int:
        """Our asks that wait for a place at the other side."""
        return 0 if self._waiting is None else len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of these."""
        return self._waiting_size

    # --- asking -----------------------------------------------------------------------------------------------------

    def ask(
        self,
        command: str,
        arguments: dict[str, Any],
        *,
        waiter: Any,
        timeout: float | None = None,
        deadline: float | None = None,
        options: dict[str, Any] | None = None,
        urgent: bool = False,
        opens: bool = False,
    ) -> int:
        """Send an ask, or let it wait for a place at the other side; its tag.

        ``waiter`` comes back with the answer. ``timeout`` (seconds) is what the other side is told, ``deadline`` what
        ``expired`` compares. An ``urgent`` one (a hello) does not wait for a place. The answer to one that ``opens``
        may name a stream, which is known from then on. Raises ``Unserialisable``, or ``ResourceExhausted`` when too
        much waits or the frame is larger than the other side takes.
        """
        if timeout is not None and timeout > messages.MAX_TIMEOUT:
            timeout = messages.MAX_TIMEOUT
        tag = self._free_tag()
        written = self._fit(messages.write_ask(tag, command, arguments, timeout, options or {}))
        self._send_in_turn(tag, written, waiter, deadline, urgent, opens)
        return tag

    def ask_shared(self, shared: SharedAsk, waiter: Any) -> int:
        """Send an ask that others are sent, too, or let it wait for a place at the other side; its tag here.

        Nothing of it expires by itself. Raises ``ResourceExhausted`` as ``ask`` does.
        """
        tag = shared.tag
        if tag in self.asked or (self._abandoned and tag in self._abandoned):
            tag = self._free_tag()
            written = self._fit(shared.under(tag))
        else:
            written = self._fitting(shared)
        self._send_in_turn(tag, written, waiter, None, False, False)
        return tag

    def tell_shared(self, shared: SharedTell) -> None:
        """Send what others are sent, too, and nobody answers. Raises ``ResourceExhausted`` for what is too large."""
        self.put(self._fitting(shared))

    def _fitting(self, shared: Shared) -> bytes:
        if shared.size > self.send_limit:
            return self._fit(shared.frame)  # which says so
        if self.compress_from is not None and shared.size >= self.compress_from:
            return shared.packed
        return shared.frame

    def _send_in_turn(
        self, tag: int, written: bytes, waiter: Any, deadline: float | None, urgent: bool, opens: bool
    ) -> None:
        if urgent or (self._out() < self._ask_limit and not self._waiting):
            self.put(written)
            self.asked[tag] = Asked(waiter, deadline, None, opens)
            return
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= self.waiting_limit:
            raise ResourceExhausted(f"{self.waiting_limit} requests wait for this connection already")
        # One may be larger than that, if it waits alone.
        if self._waiting and self._waiting_size + len(written) > self.waiting_bytes_limit:
            raise ResourceExhausted(f"requests of {self._waiting_size:,} bytes wait for this connection already")
        self._waiting.append(tag)
        self._waiting_size += len(written)
        self.asked[tag] = Asked(waiter, deadline, written, opens)

    @property
    def ask_limit(self) -> int:
        """Asks of ours that the other side takes at once; raising it sends what waits."""
        return self._ask_limit

    @ask_limit.setter
    def ask_limit(self, limit: int) -> None:
        self._ask_limit = limit
        self._send_waiting()

    def _out(self) -> int:
        """Our asks that hold a place at the other side: an abandoned one does until its answer came."""
        waiting = len(self._waiting) if self._waiting else 0
        return len(self.asked) - waiting + (len(self._abandoned) if self._abandoned else 0)

    def _free_tag(self) -> int:
        while True:
            tag = self._next_tag
            self._next_tag = tag + 1 if tag < MAX_TAG else 0
            if tag not in self.asked and not (self._abandoned and tag in self._abandoned):
                return tag

    def _send_waiting(self) -> None:
        while self._waiting and self._out() < self._ask_limit:
            asked = self.asked[self._waiting.popleft()]
            assert asked.frame is not None
            self._waiting_size -= len(asked.frame)
            self.put(asked.frame)
            asked.frame = None

    def abandon(self, tag: int) -> bool:
        """Give up on an ask of ours; the other side is told. False if it was never sent, so that nothing was done."""
        asked = self.asked.pop(tag, None)
        if asked is None:
            return False
        if asked.frame is not None:
            assert self._waiting is not None
            self._waiting.remove(tag)
            self._waiting_size -= len(asked.frame)
            return False
        if self._abandoned is None:
            self._abandoned = {}
        self._abandoned[tag] = asked.opens
        self.put(messages.write_cancel(tag))
        return True

    # --- being answered ---------------------------------------------------------------------------------------------

    def _receive_answer(self, message: Answer | Failed) -> Message | None:
        asked = self.asked.get(message.tag)
        if asked is None or asked.frame is not None:
            self._receive_unasked(message)
            return None
        if asked.opens:
            # First, for it may be an offence: whoever waits for the answer then hears that the connection is lost.
            self._open_stream(message)
        del self.asked[message.tag]
        message.waiter = asked.waiter
        self._send_waiting()
        return message

    def _receive_unasked(self, message: Answer | Failed) -> None:
        if self._abandoned and message.tag in self._abandoned:
            # Late, and no offence; and nobody will use the stream that it opens.
            if self._abandoned.pop(message.tag):
                flow = self._open_stream(message)
                if flow is not None:
                    self.streams.end(flow, Cancelled.code)
            self._send_waiting()
            return
        self._unsolicited += 1
        if self._unsolicited >= self.unsolicited_limit:
            raise ProtocolError("answers to questions that were never asked")

    def _open_stream(self, message: Answer | Failed) -> Flow | None:
        value = message.value if isinstance(message, Answer) else None
        tag = value.get("stream") if type(value) is dict else None
        if type(tag) is not int or not 0 <= tag <= MAX_TAG:
            return None  # none is needed, or the asker will find the answer wrong
        return self.streams.announced(tag)

    # --- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> list[tuple[Any, bool]]:
        """The connection is gone: the waiters of our asks, each with whether its ask had been sent.

        What is still being answered stays in ``answering``, with its deadlines. Streams are told by ``streams.close``.
        """
        left = [(each.waiter, each.frame is None) for each in self.asked.values()]
        self.asked.clear()
        self._waiting = self._abandoned = None
        self._waiting_size = 0
        self.output.clear()
        self.output_size = 0
        return left

    def put(self, written: bytes) -> None:
        """Send a frame."""
        self.output.append(written)
        self.output_size += len(written)

    def _fit(self, written: bytes) -> bytes:
        """A frame as it may be sent: compressed where that pays, refused where the other side would refuse it."""
        size = len(written) - 4
        if size > self.send_limit:
            raise ResourceExhausted(
                f"a message of {size:,} bytes; the other side takes {self.send_limit:,} at once: "
                "send larger things as a file (cloud storage streams them)"
            )
        if self.compress_from is not None and size >= self.compress_from:
            packed = compress(written[HEADER.size :])
            if packed is not None:
                return frame(packed, COMPRESSED)
        return written
