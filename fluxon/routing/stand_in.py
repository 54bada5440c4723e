"""A client that is not there: for calls of views that an operator makes.

Rules of this module: a view sees what it would see of a client that was lost a moment ago. Its user is who the operator
says; logging in, and calling the client, fail as they do when the connection is gone.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, fail

from fluxon.errors import Unavailable
from fluxon.rpc.task import last_result


class _Session:
    """A session that holds for ever, known to nobody."""

    ending = None
    ended = False
    public_id = "console"
    key = b""

    def __init__(self, user: Any) -> None:
        self.user = user
        self.user_id = None if user is None else user.id
        self.connections: tuple[Any, ...] = ()
        self.turn = None

    def fresh(self, now: float) -> bool:
        return True


class _Protocol:
    transport = None
    address = None

    def __init__(self, arrived: float) -> None:
        self.arrived = arrived

    def close(self) -> None:
        """It is closed."""


class StandIn:
    """What ``Request`` needs of a ``Peer``."""

    peername = None
    current = None
    lost = True
    number = 0

    def __init__(self, user: Any, arrived: float) -> None:
        self.session = _Session(user)
        self.protocol = _Protocol(arrived)

    def ask(self, *args: Any, **kwargs: Any) -> Deferred[Any]:
        """Nobody is there."""
        return fail(Unavailable("an operator called this view from the console: there is no client to ask"))


async def settled(result: Any) -> Any:
    """The value in the end of what a view returned."""
    return await last_result(result) if isinstance(result, (Deferred, Coroutine)) else result
