"""What uploads and downloads of Twisted programs have in common.

Rules of this module: a stream is waited for as long as its bytes move; whatever ends the waiting ends the stream. A
transfer is over, cancelled or not, when it has let go of its local file: whoever hears of it may begin anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
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

    def is_connected(self) -> bool:
        """Whether there is a connection now."""

    def may_come_back(self) -> bool:
        """Whether it is worth waiting for the connection."""

    def pause(self, seconds: float) -> Deferred[None]:
        """Fires after ``seconds``. Fails when the client is closed meanwhile."""


def to_its_end(deferred: Deferred[Any]) -> Deferred[None]:
    """Fires when ``deferred`` has ended, well or not. To cancel the waiting leaves alone what is waited for."""
    waiting: Deferred[None] = Deferred()

    def ended(result: Any) -> Any:
        _settle(waiting, None)
        return result

    deferred.addBoth(ended)
    return waiting


class Transfer:
    """What uploads and downloads have in common."""

    def __init__(self, client: Asker, progress: Progress | None) -> None:
        self.client = client
        self.patience = Patience(client.timeout, client.reactor.seconds)
        self._progress = progress

    async def tell(self, done: int, total: int) -> None:
        """Tell the program, which may then cancel the transfer: so it is told while that waits."""
        if self._progress is None:
            return
        told: Deferred[None] = Deferred()

        def tell() -> None:
            try:
                self._tell(done, total)
            except BaseException:
                _settle(told, Failure())
            else:
                _settle(told, None)

        timer = self.client.reactor.callLater(0, tell)
        try:
            await told
        finally:
            if timer.active():
                timer.cancel()

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)

    async def pause(self, error: FluxonError) -> None:
        """Wait a while before another try; raises ``error`` when that would be no use."""
        if not self.client.may_come_back():
            raise error
        await self.client.pause(self.patience.delay(error))

    async def over(
        self, stream: Incoming | Outgoing, moved: Callable[[], int], progress: Callable[[], tuple[int, int]]
    ) -> None:
        """Wait for a stream's end, as long as bytes move. ``progress`` says how many of how many have."""
        reactor, patience = self.client.reactor, self.patience
        waiting: Deferred[None] = Deferred()
        before = -1
        timer: Any = None

        def look() -> None:
            nonlocal before, timer
            timer = reactor.callLater(_LOOK, look)
            try:
                if (now := moved()) != before:
                    before = now
                    patience.gained()
                    self._tell(*progress())
                elif reactor.seconds() >= patience.deadline:
                    raise DeadlineExceeded(f"nothing of the file went over for {patience.seconds:g} s")
            except BaseException:
                _settle(waiting, Failure())

        timer = reactor.callLater(0, look)
        stream.when_done().addBoth(lambda outcome: _settle(waiting, outcome))
        try:
            await waiting
        except BaseException as error:
            stream.give_up(error if isinstance(error, FluxonError) else Cancelled())
            raise
        finally:
            if timer.active():
                timer.cancel()
        patience.gained()
        await self.tell(*progress())


def _settle(waiting: Deferred[None], outcome: Any) -> None:
    if not waiting.called:
        waiting.callback(outcome)
