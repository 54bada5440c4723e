"""The other side of one connection: asked and answered, both at once.

Rules of this module: ``Answering`` has those for what the other side asks; whatever ends the connection, everybody who
waits for something of it hears so.
"""

from __future__ import annotations

import itertools
from math import inf
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail

from fluxon.commands import Command
from fluxon.errors import FluxonError, Unavailable, stopping
from fluxon.limits import Limits
from fluxon.rpc.answering import Answering
from fluxon.rpc.asking import send_ask
from fluxon.rpc.ending import lost
from fluxon.rpc.load import Load
from fluxon.rpc.observing import Turn
from fluxon.rpc.responders import Responders
from fluxon.rpc.streams import Stream
from fluxon.wire import Answer, Cancel, Chunk, Conversation, Credit, End, Failed, Message, SharedAsk, SharedTell, Tell

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol

_numbers = itertools.count(1)


class Peer(Answering):
    """One connection, as an application sees it.

    ``session`` is the application's to set. ``greeted`` becomes true with the hello; before it only commands that
    declare ``before_hello`` are answered.
    """

    __slots__ = ("number", "session", "since")

    def __init__(
        self,
        protocol: PeerProtocol,
        conversation: Conversation,
        responders: Responders,
        limits: Limits,
        load: Load,
        turn: Turn,
    ) -> None:
        super().__init__(protocol, conversation, responders, limits, load, turn)
        #: Of this connection among all of this process; names it in logs.
        self.number = next(_numbers)
        self.session: Any = None
        #: When it came, in POSIX seconds.
        self.since = 0.0

    # --- asking -----------------------------------------------------------------------------------------------------

    def ask(
        self, command: type[Command], arguments: dict[str, Any], timeout: float | None = None, *, urgent: bool = False
    ) -> Deferred[Any]:
        """Ask the other side; fires with its answer.

        Fails with the error it answered; ``DeadlineExceeded`` after ``timeout`` seconds; ``Unavailable`` when the ask
        was never sent, and ``OutcomeUnknown`` when the connection was lost after it was; ``InvalidPayload``,
        ``Unserialisable`` or ``ResourceExhausted`` at once. Cancelling tells the other side.
        """
        if self.lost:
            return fail(Unavailable("the connection is closed"))
        return send_ask(self.protocol, command, arguments, timeout, urgent)

    def ask_shared(self, shared: SharedAsk, waiter: Any) -> int:
        """Ask what others are asked, too, at once; the tag to ``give_up`` with.

        ``waiter`` hears of it once: ``answered(value)``, ``failed(message)``, or ``lost(sent)`` with the connection.
        Raises ``Unavailable`` or ``ResourceExhausted``.
        """
        if self.lost:
            raise Unavailable("the connection is closed")
        tag = self.conversation.ask_shared(shared, waiter)
        self.protocol.flush()
        return tag

    def tell_shared(self, shared: SharedTell) -> None:
        """Tell what others are told, too, at once. Raises ``Unavailable`` or ``ResourceExhausted``."""
        if self.lost:
            raise Unavailable("the connection is closed")
        self.conversation.tell_shared(shared)
        self.protocol.flush()

    def give_up(self, tag: int) -> bool:
        """Wait no longer for the answer to a shared ask, whose waiter hears nothing more; False: it was never sent."""
        sent = self.conversation.abandon(tag)
        self.protocol.flush()
        return sent

    def receive_other(self, message: Message) -> None:
        """Act on a message that is no ask."""
        if isinstance(message, Answer):
            message.waiter.answered(message.value)
        elif isinstance(message, Failed):
            message.waiter.failed(message)
        elif isinstance(message, Cancel):
            self.cancel(message.tag)
        elif isinstance(message, (Chunk, Credit, End)):
            self.transfers.receive(message)
        else:
            # What is left is dealt with by the conversation, or an ask.
            assert isinstance(message, Tell)
            self.protocol.factory.told(self, message)

    # --- streams ------------------------------------------------------------------------------------------------------

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams that are open."""
        return tuple(self._transfers.streams) if self._transfers is not None else ()

    def attach(self, tag: int, stream: Stream) -> None:
        """Take the stream that the answer to an ask of ours named. Nothing of it was lost meanwhile.

        Raises ``Unavailable`` if the connection was lost, and ``NotFound`` if no answer named it; the stream is then
        over.
        """
        try:
            if self.lost:
                raise lost()
            self.transfers.attach(tag, stream)
        except FluxonError as error:
            stream.finish(error)
            raise

    def send_streams(self) -> None:
        """The transport takes more."""
        if self._transfers is not None:
            self._transfers.send()

    # --- time ---------------------------------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Fail what has passed its deadline."""
        ours, theirs = self.conversation.expired(now)
        # Each of them may end others that are on the list.
        for tag in ours:
            asked = self.conversation.asked.get(tag)
            if asked is not None:
                asked.waiter.overdue()
        for tag in theirs:
            ask = self.conversation.answering.get(tag)
            if ask is not None:
                self.expire_theirs(ask)

    def end_all(self) -> None:
        """All deadlines are over now, and so are all streams: whoever waits hears of it."""
        self.expire(inf)
        if self._transfers is not None:
            self._transfers.give_up(stopping())

    # --- the end ------------------------------------------------------------------------------------------------------

    def ended(self) -> None:
        """Nothing is sent or read any more: what has not begun never will."""
        self.lost = True
        self.stopping = True
        self.forget_held()
        if self._transfers is not None:
            self._transfers.lost(lost())

    def connection_lost(self) -> None:
        """Nothing can be asked or answered any more. What runs goes on to its end or its deadline."""
        self.ended()
        for reply, sent in self.conversation.close():
            reply.lost(sent)
