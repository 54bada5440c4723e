"""How an ask of the other side ends: with one answer, a value or an error, of which its observer hears.

Rules of this module:

- Every ask is answered exactly once. A value that cannot be sent is answered with an error, and the log says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.commands import Command
from fluxon.errors import FluxonError, OutcomeUnknown, Unavailable, Unserialisable
from fluxon.limits import Limits
from fluxon.rpc.admission import Admission
from fluxon.rpc.faults import to_error
from fluxon.rpc.load import Load
from fluxon.rpc.opening import Opening
from fluxon.rpc.transfers import Transfers
from fluxon.wire import Ask, Conversation

if TYPE_CHECKING:
    from fluxon.rpc.protocol import PeerProtocol

_log = Logger(namespace="fluxon.rpc")


class Ending(Admission):
    """The part of a connection that answers. ``Waiting`` adds what becomes of results that are not there at once."""

    __slots__ = ("_transfers", "limits")

    def __init__(self, protocol: PeerProtocol, conversation: Conversation, limits: Limits, load: Load) -> None:
        super().__init__(protocol, conversation, load)
        self.limits = limits
        # Made when first needed.
        self._transfers: Transfers | None = None

    @property
    def transfers(self) -> Transfers:
        """For this room."""
        if self._transfers is None:
            self._transfers = Transfers(self.protocol)
        return self._transfers

    def _answer(self, ask: Ask, value: Any) -> None:
        try:
            self.conversation.answer(ask.tag, value)
        except FluxonError as error:
            self._unsendable(ask, error)
        else:
            self._tell(ask, None)

    def _answer_if_read(self, ask: Ask, value: Any) -> None:
        """The answers before this one are not read: it is dropped if it is too much, and its asker told so."""
        try:
            self.conversation.answer(ask.tag, value, room=self.protocol.room)
        except OutcomeUnknown as error:
            self._tell(ask, error)
        except FluxonError as error:
            self._unsendable(ask, error)
        else:
            self._tell(ask, None)

    def _unsendable(self, ask: Ask, error: FluxonError) -> None:
        _log.error("the answer of {what} cannot be sent: {text}", what=describe(ask), text=error.text)
        self._tell(ask, Unserialisable(error.text))

    def _answer_and_open(self, ask: Ask, command: type[Command], opening: Opening) -> None:
        try:
            self._tell(ask, opening.answer(self.transfers, ask, command))
        except FluxonError as error:
            self._unsendable(ask, error)
        except TypeError:
            self._refuse(ask, command, Failure())

    def _refuse(self, ask: Ask, command: type[Command], failure: Failure, cancelled: bool = False) -> None:
        self._fail(ask, to_error(failure, command, describe(ask), cancelled))

    def _fail(self, ask: Ask, error: FluxonError, *, linger: bool = False) -> None:
        self.conversation.fail(ask.tag, error, linger=linger)
        self._tell(ask, error)

    def _tell(self, ask: Ask, error: FluxonError | None) -> None:
        """Of an end that is not a value at once. Once: one that is answered late may go on behind that."""
        observer, ask.observer = ask.observer, None
        if observer is not None:
            arrived = self.protocol.arrived if ask.arrived is None else ask.arrived
            observer.ended(self.protocol.peer, ask, error, self.protocol.now() - arrived)


def lost() -> Unavailable:
    """What becomes of a stream when its connection is gone."""
    return Unavailable("the connection was lost before the end of the stream")


def describe(ask: Ask) -> str:
    """What was asked for, for the log."""
    view = ask.arguments.get("view")
    return f"view {view[:64]!r}" if isinstance(view, str) else f"command {ask.command[:64]!r}"
