"""What a responder returns to open a stream with its answer.

Rules of this module: nothing is said of a stream before the answer that names it; a stream whose answer is not sent is
over, and its sink or source hears of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxon.commands import Command
from fluxon.errors import Cancelled, FluxonError
from fluxon.rpc.streams import Stream
from fluxon.wire import Ask

if TYPE_CHECKING:
    from fluxon.rpc.transfers import Transfers


class Opening:
    """``stream`` is to be opened with the answer ``value``, to which its tag is added as ``stream``."""

    __slots__ = ("stream", "value")

    def __init__(self, value: dict[str, Any], stream: Stream) -> None:
        self.value = value
        self.stream = stream

    def discard(self, error: FluxonError) -> None:
        """Nobody will hear the answer: the stream is over for ``error`` before it began."""
        self.stream.finish(error)

    def answer(self, transfers: Transfers, ask: Ask, command: type[Command]) -> FluxonError | None:
        """Answer ``ask`` and begin, or refuse it: too many streams, or one that was given up meanwhile; for what.

        Raises ``TypeError`` for a command that opens none, and what ``Conversation.answer`` does.
        """
        stream, conversation = self.stream, transfers.conversation
        if not command.opens:
            self.discard(Cancelled())
            raise TypeError(f"{command.__name__} is not declared to open streams (opens = True)")
        try:
            if stream.over:
                raise stream.outcome or Cancelled("the stream was over before it was opened")
            flow = transfers.open(stream)
        except FluxonError as error:
            conversation.fail(ask.tag, error)
            self.discard(error)
            return error
        try:
            conversation.answer(ask.tag, {**self.value, "stream": flow.tag})
        except FluxonError as error:
            conversation.streams.withdraw(flow)
            self.discard(error)
            raise
        transfers.begin(stream, flow)
        return None
