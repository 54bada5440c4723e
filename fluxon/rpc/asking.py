"""Asking the other side: from a command to the Deferred of its answer.

Rules of this module: an ask has one outcome, whatever happens to the connection; what was certainly never sent is told
apart from what may have been carried out; giving up on one tells the other side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail

from fluxon.commands import Command
from fluxon.errors import (
    Cancelled,
    DeadlineExceeded,
    FluxonError,
    InvalidPayload,
    OutcomeUnknown,
    Unavailable,
    from_wire,
)
from fluxon.wire import Failed

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol


class Reply(Deferred[Any]):
    """The answer to come of one ask of ours; what a conversation keeps as its waiter."""

    def __init__(self, protocol: PeerProtocol, command: type[Command]) -> None:
        super().__init__(_give_up)
        self._protocol = protocol
        self._command = command
        self.tag = -1

    def given_up(self) -> None:
        """Whoever asked no longer wants it."""
        sent = self._protocol.conversation.abandon(self.tag)
        self._protocol.flush_soon()
        self.errback(Cancelled() if sent else Cancelled("the request was cancelled before it was sent"))

    def answered(self, value: Any) -> None:
        """The other side answered with ``value``."""
        try:
            self._command.check_response(value)
        except InvalidPayload as error:
            text = f"the other side answered what {self._command.name!r} does not: {error.text}"
            self.errback(FluxonError(text))
        else:
            self.callback(value)

    def failed(self, message: Failed) -> None:
        """The other side answered with an error."""
        self.errback(from_wire(message.code, message.text, message.details))

    def overdue(self) -> None:
        """Its deadline has passed."""
        sent = self._protocol.conversation.abandon(self.tag)
        text = None if sent else "the other side took no more requests in time; nothing was done"
        self.errback(DeadlineExceeded(text))

    def lost(self, sent: bool) -> None:
        """The connection is gone; ``sent`` tells whether the ask had left."""
        if not self.called:
            self.errback(OutcomeUnknown() if sent else Unavailable("the connection was lost; nothing was sent"))


def _give_up(reply: Deferred[Any]) -> None:
    assert isinstance(reply, Reply)
    reply.given_up()


def send_ask(
    protocol: PeerProtocol, command: type[Command], arguments: dict[str, Any], timeout: float | None, urgent: bool
) -> Deferred[Any]:
    """See ``Peer.ask``."""
    reply = Reply(protocol, command)
    try:
        if timeout is not None and not (type(timeout) in (int, float) and timeout > 0):
            raise InvalidPayload(f"a timeout is a number of seconds above 0, not {timeout!r}")
        command.check_arguments(arguments)
        deadline = None if timeout is None else protocol.now() + timeout
        reply.tag = protocol.conversation.ask(
            command.name,
            arguments,
            waiter=reply,
            timeout=timeout,
            deadline=deadline,
            urgent=urgent,
            opens=command.opens,
        )
    except FluxonError:
        return fail()
    if deadline is not None:
        protocol.wake_at(deadline)
    protocol.flush_soon()
    return reply
