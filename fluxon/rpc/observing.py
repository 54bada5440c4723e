"""Who hears how the other side's asks ended, and when.

Rules of this module:

- Those that are answered at once, and with a value, are told of together, when what was read with them is worked on
  and the answers have left: one look at the clock for all of them. All others are told of one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from fluxon.errors import FluxonError
from fluxon.wire import Ask

if TYPE_CHECKING:
    from fluxon.rpc.peer import Peer


class Observer(Protocol):
    """What a responder may set as the ``observer`` of the ask that it is called for."""

    #: How many were answered at once since ``prompt_ended`` was called; counted by the driver.
    prompt: int

    def prompt_ended(self, seconds: float) -> None:
        """Those took so many seconds each. ``prompt`` is 0 again when this returns."""

    def ended(self, peer: Peer, ask: Ask, error: FluxonError | None, seconds: float) -> None:
        """``ask`` was answered so many seconds after it came: with ``error``, or with a value that it waited for."""


class Turn:
    """What is read in one go, for all connections of a port: when it came, and who is to hear that it is answered.

    Where several connections are read one after the other, whoever does so begins and ends it; else each read is one.
    """

    __slots__ = ("_seconds", "began", "observers", "open")

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        #: Whether something is being read and worked on.
        self.open = False
        #: When it had come, by the clock.
        self.began = 0.0
        #: Those with something to be told of.
        self.observers: list[Observer] = []

    def begin(self) -> None:
        """All that is there to be read came before now."""
        self.open = True
        self.began = self._seconds()

    def end(self) -> None:
        """All of it is worked on, and what was answered at once has left."""
        self.open = False
        if self.observers:
            took = self._seconds() - self.began
            for observer in self.observers:
                observer.prompt_ended(took)
            self.observers.clear()
