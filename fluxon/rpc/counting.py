"""Counting what is asked of a listener, command by command.

Rules of this module: a request is counted once, when it has its answer; how long it took is from its arrival to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fluxon.commands import Command
from fluxon.errors import FluxonError
from fluxon.metrics import Requests
from fluxon.rpc.peer import Peer
from fluxon.rpc.responders import Responder


class Counted:
    """A table of responders with counts: ``table`` is what to answer with, ``requests`` what became of them."""

    def __init__(self, table: Mapping[type[Command], Responder], seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        #: By the names of commands.
        self.requests = {command.name: Requests() for command in table}
        self.table = {command: self._counted(command, responder) for command, responder in table.items()}

    def _counted(self, command: type[Command], responder: Responder) -> Responder:
        requests, seconds = self.requests[command.name], self._seconds

        def respond(peer: Peer, arguments: dict[str, Any]) -> Any:
            if peer.current is not None:
                peer.current.observer = _Request(requests, seconds)
            return responder(peer, arguments)

        return respond


class _Request:
    """One of them; what ``Peer`` asks of observers."""

    __slots__ = ("_begun", "_requests", "_seconds")

    def __init__(self, requests: Requests, seconds: Callable[[], float]) -> None:
        self._requests = requests
        self._seconds = seconds
        self._begun = seconds()

    def ended(self, error: FluxonError | None) -> None:
        """It was answered, if not with ``error``."""
        took = self._seconds() - self._begun
        if error is None:
            self._requests.latencies.add(took)
        else:
            self._requests.failed_with(error.code, took)
