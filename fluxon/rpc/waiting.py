"""Asks of the other side whose result is not there at once: they wait for it, for their deadline, or for their Cancel.

Rules of this module:

- An answer that came too late for its deadline is dropped, but its place among those in flight is free only when the
  work has really ended: else a stream of timeouts would be a way around the cap.
- Work is not cancelled by a lost connection (it may be half-way through a change), only by its deadline or by Cancel.
"""

from __future__ import annotations

from contextvars import Context
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.commands import Command
from fluxon.errors import Cancelled, DeadlineExceeded, FluxonError, Unavailable
from fluxon.limits import Limits
from fluxon.rpc.ending import Ending, describe, lost
from fluxon.rpc.faults import to_error
from fluxon.rpc.held import HeldAsks
from fluxon.rpc.load import Load
from fluxon.rpc.opening import Opening
from fluxon.rpc.task import Begun, Task, last_result
from fluxon.wire import Ask, Conversation

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol

_log = Logger(namespace="fluxon.rpc")


class Waiting(Ending):
    """The part of a connection that has results to wait for. ``Answering`` adds what has its result at once."""

    __slots__ = ("_cancelled", "_held", "_lingering", "_tasks", "holding", "lost")

    def __init__(self, protocol: PeerProtocol, conversation: Conversation, limits: Limits, load: Load) -> None:
        super().__init__(protocol, conversation, limits, load)
        self.lost = False
        #: The other side does not read: asks wait until it does.
        self.holding = False
        # Made when first needed: an idle connection holds none of them.
        self._tasks: dict[int, Task | Deferred[Any]] | None = None
        self._lingering: set[Ask] | None = None
        self._held: HeldAsks | None = None
        self._cancelled: set[Ask] | None = None

    def _conclude(self, ask: Ask, command: type[Command], result: Any) -> None:
        """Anything but a value that is there at once."""
        if isinstance(result, CoroutineType):  # a view that returned another's coroutine without awaiting it
            result = Deferred.fromCoroutine(last_result(result))
        if isinstance(result, Deferred):
            self._wait_for_deferred(ask, command, result)
        elif ask.settle is not None:
            self._wait_for_deferred(ask, command, fail(result) if isinstance(result, Failure) else succeed(result))
        elif isinstance(result, Failure):
            self._refuse(ask, command, result)
        elif type(result) is Opening:
            self._answer_and_open(ask, command, result)
        else:
            self._answer(ask, result)

    def _wait(self, ask: Ask, command: type[Command], begun: Begun, context: Context) -> None:
        self._begin(ask)
        finished = False

        def finish(result: Any) -> None:
            nonlocal finished
            finished = True
            self._finish(ask, command, result)

        task = Task(begun.coroutine, context, begun.awaited, finish)
        if not finished:
            self._running[ask.tag] = task

    def _wait_for_deferred(self, ask: Ask, command: type[Command], deferred: Deferred[Any]) -> None:
        self._begin(ask)
        self._running[ask.tag] = deferred
        deferred.addBoth(lambda result: self._finish(ask, command, result))

    @property
    def _running(self) -> dict[int, Task | Deferred[Any]]:
        if self._tasks is None:
            self._tasks = {}
        return self._tasks

    def _begin(self, ask: Ask) -> None:
        self._load.begin()
        ask.arrived = self.protocol.arrived
        self._set_deadline(ask)

    def _set_deadline(self, ask: Ask) -> None:
        if ask.deadline is None:
            limit = self.limits.view_timeout
            ask.deadline = self.protocol.now() + (limit if ask.timeout is None else min(ask.timeout, limit))
            self.protocol.wake_at(ask.deadline)

    def _finish(self, ask: Ask, command: type[Command], result: Any) -> None:
        """The end of something that had to wait."""
        self._load.end()
        cancelled = self._cancelled is not None and ask in self._cancelled
        if self._lingering and ask in self._lingering:
            self._forget_cancelled(ask)
            self._lingering.discard(ask)
            self.conversation.release(ask)
            if isinstance(result, Failure):
                to_error(result, command, describe(ask), cancelled=True)  # for the log
            elif type(result) is Opening:
                result.discard(Cancelled("whoever asked for this stream no longer waits for it"))
            return
        self._running.pop(ask.tag, None)
        if isinstance(result, (Deferred, CoroutineType)):
            self._conclude(ask, command, result)
            return
        if ask.settle is not None:
            settle, ask.settle = ask.settle, None
            self._conclude(ask, command, settle(result))
            return
        self._forget_cancelled(ask)
        if isinstance(result, Failure):
            self._refuse(ask, command, result, cancelled)
        elif self.lost:
            self.conversation.forget(ask)
            self._tell(ask, Unavailable("nobody was there to hear the answer"))
            if type(result) is Opening:
                result.discard(lost())
        elif type(result) is Opening:
            self._answer_and_open(ask, command, result)
        elif self.holding:
            self._answer_if_read(ask, result)
        else:
            self._answer(ask, result)
        # Answers that are ready together must not pile up until the end of the turn.
        self.protocol.write_much()
        self.protocol.flush_soon()
        if not self.conversation.answering:
            self.protocol.all_answered()

    def _forget_cancelled(self, ask: Ask) -> None:
        # Not before its very end: what it settles, or returns without awaiting, is cancelled with it.
        if self._cancelled is not None:
            self._cancelled.discard(ask)

    def cancel(self, tag: int) -> None:
        """The other side no longer wants the answer to its ask ``tag``."""
        ask = self.conversation.answering.get(tag)
        if ask is None:
            return
        if self._held is not None and self._held.remove(ask):
            self._fail_now(ask, Cancelled())
        elif self._tasks and (work := self._tasks.get(tag)) is not None:
            if self._cancelled is None:
                self._cancelled = set()
            self._cancelled.add(ask)
            self._give_up_on(ask, work)

    def _give_up_on(self, ask: Ask, work: Task | Deferred[Any]) -> None:
        try:
            work.cancel()
        except BaseException:  # a canceller of the application's
            _log.failure("cancelling {what} failed", what=describe(ask))

    def _fail_now(self, ask: Ask, error: FluxonError, *, linger: bool = False) -> None:
        """Answer outside of any read or result."""
        self._fail(ask, error, linger=linger)
        self.protocol.flush_soon()
        if not self.conversation.answering:
            self.protocol.all_answered()

    def expire_theirs(self, ask: Ask) -> None:
        """The deadline of ``ask`` has passed."""
        if self._held is not None and self._held.remove(ask):
            self._fail_now(ask, DeadlineExceeded("the answers before this one were not read in time"))
            return
        work = self._running.pop(ask.tag, None)
        if work is None:
            self._fail_now(ask, DeadlineExceeded())
            return
        if self._lingering is None:
            self._lingering = set()
        # The ask itself and not its tag, which the other side may use again now.
        self._lingering.add(ask)
        self._fail_now(ask, DeadlineExceeded(), linger=True)
        self._give_up_on(ask, work)
