"""Counting what is asked of a listener, command by command.

Rules of this module: a request is counted once, when it has its answer; how long it took is from its arrival to that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxon.commands import Command
from fluxon.errors import FluxonError
from fluxon.metrics import Requests
from fluxon.rpc.peer import Peer
from fluxon.rpc.responders import Responder
from fluxon.wire import Ask


class Counting:
    """An observer that counts, and no more."""

    __slots__ = ("prompt", "requests")

    def __init__(self) -> None:
        #: What became of those that have ended.
        self.requests = Requests()
        self.prompt = 0

    def prompt_ended(self, seconds: float) -> None:
        """Part of what a ``Peer`` asks of observers."""
        self.requests.latencies.add(seconds, self.prompt)
        self.prompt = 0

    def ended(self, peer: Peer, ask: Ask, error: FluxonError | None, seconds: float) -> None:
        """Part of what a ``Peer`` asks of observers."""
        if error is None:
            self.requests.latencies.add(seconds)
        else:
            self.requests.failed_with(error.code, seconds)


class Counted:
    """A table of responders with counts: ``table`` is what to answer with, ``requests`` what became of them."""

    def __init__(self, table: Mapping[type[Command], Responder]) -> None:
        #: By the names of commands.
        self.requests: dict[str, Requests] = {}
        self.table = {command: self._counted(command, responder) for command, responder in table.items()}

    def _counted(self, command: type[Command], responder: Responder) -> Responder:
        counting = Counting()
        self.requests[command.name] = counting.requests

        def respond(peer: Peer, arguments: dict[str, Any]) -> Any:
            assert peer.current is not None
            peer.current.observer = counting
            return responder(peer, arguments)

        return respond
