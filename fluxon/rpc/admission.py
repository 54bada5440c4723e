"""Whether an ask of the other side is taken up at all.

Rules of this module: what every ask has to know is one look (``_open``, and whether there is a crowd); only those of a
connection that has not said hello, stops, or may not ask as often as it likes, are looked at further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxon.commands import Command
from fluxon.errors import FluxonError, ResourceExhausted, Unauthenticated, stopping
from fluxon.rates import Allowance
from fluxon.rpc.load import Load
from fluxon.wire import Conversation

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol

#: A connection that was refused so often in a row, for asking too often, is not read for so many seconds at least.
_REFUSED = 64
_PAUSE = 0.1


class Admission:
    """The part of a connection that decides. ``Answering`` adds what becomes of those that are taken."""

    __slots__ = ("_allowance", "_greeted", "_load", "_open", "_serving", "_stopping", "conversation", "protocol")

    def __init__(self, protocol: PeerProtocol, conversation: Conversation, load: Load) -> None:
        self.protocol = protocol
        self.conversation = conversation
        self._load = load
        self._greeted = False
        self._stopping = False
        self._serving = False
        self._allowance: Allowance | None = None
        # Greeted, not stopping, and free to ask as often as it likes.
        self._open = False

    @property
    def greeted(self) -> bool:
        """Whether hello was answered."""
        return self._greeted

    @greeted.setter
    def greeted(self, greeted: bool) -> None:
        self._greeted = greeted
        self._look()

    @property
    def stopping(self) -> bool:
        """Whether no new asks are taken, while those under way end."""
        return self._stopping

    @stopping.setter
    def stopping(self, stopping: bool) -> None:
        self._stopping = stopping
        self._look()

    @property
    def allowance(self) -> Allowance | None:
        """How often the other side may ask; None for no bound."""
        return self._allowance

    @allowance.setter
    def allowance(self, allowance: Allowance | None) -> None:
        self._allowance = allowance
        self._look()

    def _look(self) -> None:
        self._serving = self._greeted and not self._stopping
        self._open = self._serving and self._allowance is None

    def _refusal(self, command: type[Command]) -> FluxonError | None:
        """Why an ask is not taken, if it is not: for those of a connection that is not ``_open``, or in a crowd."""
        allowance = self._allowance
        if allowance is not None and allowance.left > 0 and self._serving and not self._load.crowded:
            allowance.left -= 1
            return None
        return self._judge(command)

    def _judge(self, command: type[Command]) -> FluxonError | None:
        if not self._greeted:
            self.protocol.factory.introduce(self.protocol.peer)
        elif self._stopping:
            return stopping()
        allowance = self._allowance
        if allowance is not None:
            allowance.left -= 1
            if allowance.left < 0 and (refusal := self._too_often(allowance)) is not None:
                return refusal
        if not self._greeted and not command.before_hello:
            return Unauthenticated("say hello first")
        if self._stopping:
            return stopping()
        if self._load.crowded and not self._load.takes(alone=self.conversation.working == 1):
            return ResourceExhausted("the server has too much to do; try again in a moment")
        return None

    def _too_often(self, allowance: Allowance) -> FluxonError | None:
        now = self.protocol.now()
        scarce = allowance.refill(now)
        if scarce is None:
            return None
        wait = scarce.wait(now)
        if allowance.refused >= _REFUSED:
            # To refuse costs as much as to answer: whoever does not stop is not read, for a while.
            allowance.refused = 0
            self.protocol.pause_reading(max(wait, _PAUSE))
        return ResourceExhausted(
            f"more than {scarce.rate:,} requests a second of one {scarce.of}; try again in {wait:.2g} s",
            details={"retry_after": wait},
        )
