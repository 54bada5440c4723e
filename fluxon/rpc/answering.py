"""What a peer does with the other side's asks: the half of it that answers.

Rules of this module:

- Every ask of the other side is answered exactly once, whatever its responder does; none of them can harm another.
- A result that is there at once is answered at once: no Deferred, no task, no timer for it.
- An answer that came too late for its deadline is dropped, but its place among those in flight is free only when the
  work has really ended: else a stream of timeouts would be a way around the cap.
- Work is not cancelled by a lost connection (it may be half-way through a change), only by its deadline or by Cancel.
"""

from __future__ import annotations

from contextvars import copy_context
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.commands import Command
from fluxon.errors import (
    Cancelled,
    DeadlineExceeded,
    FluxonError,
    InvalidPayload,
    NotFound,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
    Unserialisable,
)
from fluxon.limits import Limits
from fluxon.rpc.admission import Admission
from fluxon.rpc.faults import to_error
from fluxon.rpc.held import HeldAsks
from fluxon.rpc.load import Load
from fluxon.rpc.opening import Opening
from fluxon.rpc.responders import Responders
from fluxon.rpc.task import Task, last_result
from fluxon.rpc.transfers import Transfers
from fluxon.wire import Ask, Conversation

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol

_log = Logger(namespace="fluxon.rpc")

# Results that are nothing but values; what is not among them may still be one, after a closer look.
_VALUES = frozenset({dict, list, tuple, str, int, float, bool, bytes, type(None)})


class Answering(Admission):
    """The other side's asks, from their arrival to their answers. ``Peer`` adds our own, and streams."""

    __slots__ = (
        "_cancelled",
        "_find",
        "_held",
        "_lingering",
        "_tasks",
        "_transfers",
        "current",
        "holding",
        "limits",
        "lost",
    )

    def __init__(
        self, protocol: PeerProtocol, conversation: Conversation, responders: Responders, limits: Limits, load: Load
    ) -> None:
        super().__init__(protocol, conversation, load)
        self.limits = limits
        #: The ask that a responder is being called for, until it returns or waits. It may set ``settle``: a function
        #: from the result (a value or a Failure) to a Deferred of what is answered instead; and ``observer``, whose
        #: ``ended(error)`` is called once: with the error that was answered, or None.
        self.current: Ask | None = None
        self.lost = False
        #: The other side does not read: asks wait until it does.
        self.holding = False
        self._find = responders.find
        # Made when first needed: an idle connection holds none of them.
        self._tasks: dict[int, Task | Deferred[Any]] | None = None
        self._lingering: set[Ask] | None = None
        self._held: HeldAsks | None = None
        self._cancelled: set[Ask] | None = None
        self._transfers: Transfers | None = None

    @property
    def transfers(self) -> Transfers:
        """For this room."""
        if self._transfers is None:
            self._transfers = Transfers(self.protocol)
        return self._transfers

    # --- one that is there --------------------------------------------------------------------------------------------

    def respond(self, ask: Ask) -> None:
        """Have its responder called, and answer at once if the result is there."""
        template = ask.template
        if template is not None:
            command, responder = template.meaning
        else:
            found = self._find(ask.command)
            if found is None:
                missing = NotFound(f"there is no command {ask.command[:64]!r} here: check the port")
                self.conversation.fail(ask.tag, missing)
                return
            command, responder, check = found
        if not self._open or self._load.crowded:
            refusal = self._refusal(command)
            if refusal is not None:
                self.conversation.fail(ask.tag, refusal)
                return
        if template is None:
            try:
                check(ask.given, ask.command)
            except InvalidPayload as error:
                self.conversation.fail(ask.tag, error)
                return
        self.current = ask
        context = copy_context()
        try:
            result = context.run(responder, self, ask.given)
        except BaseException:
            result = Failure()
        if type(result) is CoroutineType:
            try:
                awaited = context.run(result.send, None)
            except StopIteration as stop:
                result = stop.value
            except BaseException:
                result = Failure()
            else:
                self._wait(ask, command, result, context, awaited)
                return
        if ask.settle is not None or type(result) not in _VALUES:
            self._conclude(ask, command, result)
            return
        # ``_answer``, without the call.
        try:
            self.conversation.answer(ask.tag, result)
        except FluxonError as error:
            self._unsendable(ask, error)
            return
        observer = ask.observer
        if observer is not None:
            ask.observer = None
            observer.ended(None)

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

    def _answer(self, ask: Ask, value: Any) -> FluxonError | None:
        """None, or why an error was answered instead."""
        try:
            self.conversation.answer(ask.tag, value)
        except FluxonError as error:
            self._unsendable(ask, error)
            return error
        observer = ask.observer
        if observer is not None:
            # Let go of it: it knows its ask, and a circle would wait for the garbage collector.
            ask.observer = None
            observer.ended(None)
        return None

    def _answer_if_read(self, ask: Ask, value: Any) -> None:
        """The answers before this one are not read: it is dropped if it is too much, and its asker told so."""
        try:
            self.conversation.answer(ask.tag, value, room=self.protocol.room)
        except OutcomeUnknown as error:
            _tell(ask, error)
        except FluxonError as error:
            self._unsendable(ask, error)
        else:
            _tell(ask, None)

    def _unsendable(self, ask: Ask, error: FluxonError) -> None:
        _log.error("the answer of {what} cannot be sent: {text}", what=_describe(ask), text=error.text)
        _tell(ask, Unserialisable(error.text))

    def _answer_and_open(self, ask: Ask, command: type[Command], opening: Opening) -> None:
        try:
            opening.answer(self.transfers, ask, command)
        except FluxonError as error:
            _log.error("the answer of {what} cannot be sent: {text}", what=_describe(ask), text=error.text)
        except TypeError:
            self._refuse(ask, command, Failure())

    def _refuse(self, ask: Ask, command: type[Command], failure: Failure, cancelled: bool = False) -> None:
        self._fail(ask, to_error(failure, command, _describe(ask), cancelled))

    def _fail(self, ask: Ask, error: FluxonError, *, linger: bool = False) -> None:
        self.conversation.fail(ask.tag, error, linger=linger)
        _tell(ask, error)

    # --- one that has to wait -----------------------------------------------------------------------------------------

    def _wait(self, ask: Ask, command: type[Command], coroutine: Any, context: Any, awaited: Any) -> None:
        self._begin(ask)
        finished = False

        def finish(result: Any) -> None:
            nonlocal finished
            finished = True
            self._finish(ask, command, result)

        task = Task(coroutine, context, awaited, finish)
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
                to_error(result, command, _describe(ask), cancelled=True)  # for the log
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
            _tell(ask, Unavailable("nobody was there to hear the answer"))
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
            _log.failure("cancelling {what} failed", what=_describe(ask))

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

    # --- backpressure -------------------------------------------------------------------------------------------------

    def hold(self, ask: Ask) -> None:
        """Answers are not read as fast as they come: this request waits until they are."""
        if self._held is None:
            self._held = HeldAsks()
        if self.protocol.backlog + self._held.size + ask.size > self.limits.output_abort:
            self.conversation.fail(ask.tag, ResourceExhausted("read the answers before asking for more"))
            return
        self._held.append(ask)
        self._set_deadline(ask)

    def drained(self) -> None:
        """The output is being read again: work on what was held, until there is too much output once more."""
        self.holding = False
        while self._held and not self.holding:
            ask = self._held.popleft()
            ask.deadline = None
            self.respond(ask)
            self.protocol.write_much()
        if self._stopping and not self.conversation.answering:
            self.protocol.all_answered()

    def forget_held(self) -> None:
        """What waits to be begun never will."""
        if self._held is not None:
            for ask in self._held:
                self.conversation.forget(ask)
            self._held = None


def lost() -> Unavailable:
    """What becomes of a stream when its connection is gone."""
    return Unavailable("the connection was lost before the end of the stream")


def _tell(ask: Ask, error: FluxonError | None) -> None:
    observer, ask.observer = ask.observer, None
    if observer is not None:
        observer.ended(error)


def _describe(ask: Ask) -> str:
    view = ask.arguments.get("view")
    return f"view {view[:64]!r}" if isinstance(view, str) else f"command {ask.command[:64]!r}"
