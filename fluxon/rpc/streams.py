"""One stream at the end that receives its bytes; and what both ends of a stream have in common.

Rules of this module:

- A stream has one outcome, told once, whatever happens: to its sink or source, and to whoever waits for ``when_done``.
- Nothing is collected: what comes is handed to the sink at once, and credit is granted again for what it has taken. So
  a stream costs its window at most, and nothing while its sink keeps up.
- Whatever goes wrong with a sink or a source ends its stream, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.errors import Cancelled, FluxonError
from fluxon.rpc.faults import to_internal
from fluxon.wire import End, Flow
from fluxon.wire.streams import reason

if TYPE_CHECKING:
    from fluxon.rpc.transfers import Transfers

_log = Logger(namespace="fluxon.rpc")

#: Bytes that may be under way to a sink: what 40 MB/s need over a line of 100 ms.
WINDOW = 4 * 1024 * 1024

#: Credit is granted again when so much of the window was taken: four small messages a window.
_GRANTS = 4


class Stream:
    """What ``Incoming`` and ``Outgoing`` have in common. Made by whoever wants it, and opened once."""

    sending = False

    def __init__(self) -> None:
        #: Its tag, once it is opened.
        self.tag: int | None = None
        #: Whether any byte has moved since the last look.
        self.moved = True
        self.over = False
        #: Why it is over, if that is not its end.
        self.outcome: FluxonError | None = None
        self._waiting: list[Deferred[None]] | None = None
        self._transfers: Transfers | None = None
        self._flow: Flow | None = None

    def when_done(self) -> Deferred[None]:
        """Fires when all bytes have come, or have been taken by the other side; fails with why that cannot be."""
        done: Deferred[None] = Deferred()
        if self.over:
            self._tell(done)
        else:
            self._waiting = [*(self._waiting or ()), done]
        return done

    def _tell(self, done: Deferred[None]) -> None:
        if self.outcome is None:
            done.callback(None)
        else:
            # Each its own: an exception that is raised collects where it has been.
            done.errback(type(self.outcome)(self.outcome.text, details=self.outcome.details))

    def give_up(self, error: FluxonError) -> None:
        """End it with ``error``, which the other side is told. No error if it is over already."""
        if self.over:
            return
        if self._flow is not None and self._transfers is not None:
            self._transfers.give_up_flow(self._flow, error)
        self.finish(error)

    def finish(self, error: FluxonError | None) -> None:
        """It is over; for ``Transfers`` and the subclasses."""
        if self.over:
            return
        self.over = True
        self.outcome = error
        transfers = self._transfers
        try:
            self._finished(error)
        except Exception:
            _log.failure("a stream's {kind} failed at its end", kind="source" if self.sending else "sink")
        waiting, self._waiting = self._waiting, None
        for done in waiting or ():
            self._tell(done)  # one that was cancelled takes no notice
        if transfers is not None:
            transfers.finished(self)

    def begin(self, transfers: Transfers, flow: Flow) -> None:
        """It is opened; for ``Transfers``."""
        self._transfers = transfers
        self._flow = flow
        self.tag = flow.tag
        if self.over:
            transfers.give_up_flow(flow, self.outcome or Cancelled())
            transfers.finished(self)
        elif flow.end is not None:
            self.ended(flow.end)
        else:
            self._begun(transfers, flow)

    def ended(self, end: End) -> None:
        """The other side has ended it; for ``Transfers``."""
        self.finish(None if end.code is None else reason(end))

    def _begun(self, transfers: Transfers, flow: Flow) -> None:
        raise NotImplementedError

    def _finished(self, error: FluxonError | None) -> None:
        raise NotImplementedError


class Sink(Protocol):
    """Where an incoming stream's bytes go. Called on the reactor's thread."""

    def data(self, piece: memoryview) -> Deferred[Any] | None:
        """The next bytes: a view of some that do not change, so it may be kept.

        They are taken when this returns None, or when the Deferred fires; only then may more come in their place. A
        ``FluxonError``, raised or as the Deferred's failure, gives the stream up.
        """

    def ended(self, error: FluxonError | None) -> None:
        """The last call, and made exactly once: None if all bytes came and were taken, else why not."""


class Incoming(Stream):
    """A stream that comes in, to ``sink``; ``window`` bytes of it may be under way."""

    def __init__(self, sink: Sink, window: int = WINDOW) -> None:
        super().__init__()
        self._sink = sink
        self._window = window
        self._owed = 0
        self._unfinished = 0
        self._complete = False
        #: Bytes that have come.
        self.received = 0

    def _begun(self, transfers: Transfers, flow: Flow) -> None:
        transfers.grant(flow, self._window)

    def arrived(self, piece: memoryview) -> None:
        """Bytes have come; for ``Transfers``."""
        if self.over:
            return
        self.moved = True
        size = len(piece)
        self.received += size
        try:
            taken = self._sink.data(piece)
        except Exception:
            self._failed(Failure())
            return
        if taken is None:
            self._taken(size)
        else:
            self._unfinished += 1
            taken.addCallbacks(lambda _: self._taken_later(size), self._failed)

    def _taken_later(self, size: int) -> None:
        self._unfinished -= 1
        if self.over:
            return
        self.moved = True
        self._taken(size)
        if self._complete and not self._unfinished:
            self.finish(None)

    def _taken(self, size: int) -> None:
        self._owed += size
        if self._owed * _GRANTS >= self._window and self._transfers is not None and self._flow is not None:
            owed, self._owed = self._owed, 0
            self._transfers.grant(self._flow, owed)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        self.give_up(error if isinstance(error, FluxonError) else to_internal(failure, "an incoming stream"))

    def ended(self, end: End) -> None:
        if end.code is None and self._unfinished:
            self._complete = True  # what came is not taken yet
        else:
            super().ended(end)

    def _finished(self, error: FluxonError | None) -> None:
        self._sink.ended(error)

    @property
    def waits_for_us(self) -> bool:
        """Whether it is the sink that keeps it."""
        return self._unfinished > 0
