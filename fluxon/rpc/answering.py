"""What a peer does with the other side's asks: the half of it that answers.

Rules of this module:

- Whatever a responder does, it harms no other ask.
- A result that is there at once is answered at once: no Deferred, no task, no timer for it.
- Answers that are not read hold back the asks behind them, up to a bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure

from fluxon.caller import serve
from fluxon.commands import Command
from fluxon.errors import FluxonError, InvalidPayload, NotFound, ResourceExhausted
from fluxon.limits import Limits
from fluxon.rpc.backlog import SLICE
from fluxon.rpc.held import HeldAsks
from fluxon.rpc.load import Load
from fluxon.rpc.observing import Turn
from fluxon.rpc.responders import Responder, Responders
from fluxon.rpc.task import Begun, begin
from fluxon.rpc.waiting import Waiting
from fluxon.wire import Ask, Conversation, Message

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol

# Results that are nothing but values; what is not among them may still be one, after a closer look.
_VALUES = frozenset({dict, list, tuple, str, int, float, bool, bytes, type(None)})


class Answering(Waiting):
    """The other side's asks, from their arrival to their answers. ``Peer`` adds our own, and streams."""

    __slots__ = ("_context", "_find", "_observers", "current")

    def __init__(
        self,
        protocol: PeerProtocol,
        conversation: Conversation,
        responders: Responders,
        limits: Limits,
        load: Load,
        turn: Turn,
    ) -> None:
        super().__init__(protocol, conversation, limits, load)
        #: The ask that a responder is being called for, until it returns or waits. It may set ``settle``: a function
        #: from the result (a value or a Failure) to a Deferred of what is answered instead; and ``observer``.
        self.current: Ask | None = None
        self._find = responders.find
        self._observers = turn.observers
        self._context: Context | None = None

    @property
    def peername(self) -> tuple[str, int] | None:
        """The other side's address and port; None where there is none, as on a Unix socket."""
        transport = self.protocol.transport
        address = transport.getPeer() if transport is not None else None
        host, port = getattr(address, "host", None), getattr(address, "port", None)
        return None if host is None or port is None else (host, port)

    def receive(self, messages: Iterable[Message]) -> None:
        """Act on what one read brought: have each ask's responder called, and answer if the result is there."""
        # When there is much to do a read brings several asks: what is the same for all of them is looked up once.
        conversation, load, observers, protocol = self.conversation, self._load, self._observers, self.protocol
        answer_flat = conversation.answer_flat
        for ask in messages:
            if type(ask) is not Ask:
                self.receive_other(ask)
                continue
            if self.holding:
                self.hold(ask)
                continue
            template = ask.template
            if template is not None:
                command, responder = template.meaning
                if (not self._open or load.crowded) and self._is_refused(ask, command):
                    continue
            else:
                found = self._responder_of(ask)
                if found is None:
                    continue
                command, responder = found
            self.current = ask
            context = self._context
            context = self._first_context() if context is None else context.copy()
            try:
                result = context.run(begin, responder, self, ask.given)
            except BaseException:
                result = Failure()
            if type(result) is Begun:
                self._wait(ask, command, result, context)
            elif ask.settle is not None or type(result) not in _VALUES:
                self._conclude(ask, command, result)
            elif answer_flat(ask, result) or self._answer_large(ask, result):
                observer = ask.observer
                if observer is not None:
                    if not observer.prompt:
                        observers.append(observer)
                    observer.prompt += 1
            # What is answered at once can be much more than what was asked: it must not pile up until the end.
            if conversation.output_size > SLICE:
                protocol.write_much()
        # An idle connection must not keep its last request alive.
        self.current = None

    def _answer_large(self, ask: Ask, value: Any) -> bool:
        try:
            self.conversation.answer(ask.tag, value)
        except FluxonError as error:
            self._unsendable(ask, error)
            return False
        return True

    def receive_other(self, message: Message) -> None:
        """Act on a message that is no ask."""
        raise NotImplementedError

    def _responder_of(self, ask: Ask) -> tuple[type[Command], Responder] | None:
        """What answers an ask that was not recognised; None when it has been refused."""
        found = self._find(ask.command)
        if found is None:
            missing = NotFound(f"there is no command {ask.command[:64]!r} here: check the port")
            self.conversation.fail(ask.tag, missing)
            return None
        command, responder, check = found
        if (not self._open or self._load.crowded) and self._is_refused(ask, command):
            return None
        try:
            check(ask.given, ask.command)
        except InvalidPayload as error:
            self.conversation.fail(ask.tag, error)
            return None
        return command, responder

    def _is_refused(self, ask: Ask, command: type[Command]) -> bool:
        refusal = self._refusal(command)
        if refusal is None:
            return False
        self.conversation.fail(ask.tag, refusal)
        return True

    def _first_context(self) -> Context:
        """A context of its own for an ask; what is called in it may ask for whom."""
        self._context = copy_context()
        self._context.run(serve, self)
        return self._context.copy()

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
            self.receive((ask,))
        if self._stopping and not self.conversation.answering:
            self.protocol.all_answered()

    def forget_held(self) -> None:
        """What waits to be begun never will."""
        if self._held is not None:
            for ask in self._held:
                self.conversation.forget(ask)
            self._held = None
