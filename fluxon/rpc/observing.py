"""Who hears how the other side's asks ended, and when.

Rules of this module:

- Those that are answered at once, and with a value, are told of together, when the read that brought them is worked
  on and the answers have left: one look at the clock for all of them. All others are told of one by one.
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


class Prompt:
    """The observers that have something to be told of, for all connections of a port."""

    __slots__ = ("_seconds", "observers")

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self.observers: list[Observer] = []

    def tell(self, arrived: float) -> None:
        """What came at ``arrived`` is answered."""
        took = self._seconds() - arrived
        for observer in self.observers:
            observer.prompt_ended(took)
        self.observers.clear()
