"""What uploads and downloads of Twisted programs have in common.

Rules of this module: a stream is waited for as long as its bytes move; whatever ends the waiting ends the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from fluxon.commands import Command
from fluxon.connect.cloud.patience import Patience
from fluxon.connect.cloud.transfers import Progress
from fluxon.connect.reconnecting import Connection
from fluxon.errors import Cancelled, DeadlineExceeded, FluxonError
from fluxon.rpc import Incoming, Outgoing

#: How often progress is looked at, and told, in seconds.
_LOOK = 0.1

T = TypeVar("T")


class Asker(Protocol):
    """What a transfer needs of its client."""

    reactor: Any
    timeout: float

    def submit(self, function: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """Run it in a thread."""

    async def ask(
        self, command: type[Command], arguments: dict[str, Any], timeout: float | None = None
    ) -> tuple[Connection, Any]: ...

    async def connection(self, timeout: float) -> Connection: ...

    def may_come_back(self) -> bool:
        """Whether it is worth waiting for the connection."""


class Transfer:
    """What uploads and downloads have in common."""

    def __init__(self, client: Asker, progress: Progress | None) -> None:
        self.client = client
        self.patience = Patience(client.timeout, client.reactor.seconds)
        self._progress = progress

    def tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)

    async def pause(self, error: FluxonError) -> None:
        """Wait a while before another try; raises ``error`` when that would be no use."""
        if not self.client.may_come_back():
            raise error
        await deferLater(self.client.reactor, self.patience.delay(error), lambda: None)

    async def over(self, stream: Incoming | Outgoing, moved: Callable[[], int], look: Callable[[], Any]) -> None:
        """Wait for a stream's end, as long as bytes move. ``look`` is called now and then."""
        reactor, patience = self.client.reactor, self.patience
        outcome: list[Any] = []
        waiting: Deferred[None] = Deferred()

        def ended(result: Any) -> None:
            outcome.append(result)
            if not waiting.called:
                waiting.callback(None)

        stream.when_done().addBoth(ended)
        before = -1
        try:
            while not outcome:
                if (now := moved()) != before:
                    before = now
                    patience.gained()
                    look()
                elif reactor.seconds() >= patience.deadline:
                    raise DeadlineExceeded(f"nothing of the file went over for {patience.seconds:g} s")
                waiting = Deferred()
                timer = reactor.callLater(_LOOK, waiting.callback, None)
                try:
                    await waiting
                finally:
                    if timer.active():
                        timer.cancel()
        except BaseException as error:
            stream.give_up(error if isinstance(error, FluxonError) else Cancelled())
            raise
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        patience.gained()
        look()
