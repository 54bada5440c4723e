"""What the other side tells: done like what it asks, and answered by nobody.

Rules of this module: a failure is a line in the log; who is told more at once than it gets done drops what is too much,
with a line in the log, for there is nobody to refuse it to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.errors import FluxonError
from fluxon.rpc.responders import Responder, Responders
from fluxon.wire import Tell

if TYPE_CHECKING:
    from fluxon.rpc.peer import Peer

_log = Logger(namespace="fluxon.rpc")

#: That are begun and not done.
_MOST = 1_000


class Telling:
    """For all connections of one client."""

    def __init__(self, responders: Responders) -> None:
        self._find = responders.find
        self._under_way = 0

    def told(self, peer: Peer, tell: Tell) -> None:
        """Have it done."""
        found = self._find(tell.command)
        if found is None:
            return  # a server that is newer than this client
        _, responder, check = found
        if self._under_way >= _MOST:
            _log.warn("more than {most} things that were told are not done: one more is dropped", most=_MOST)
            return
        self._under_way += 1
        done = Deferred.fromCoroutine(_carry_out(responder, peer, tell, check))
        done.addErrback(_failed, tell.command)
        done.addBoth(self._done)

    def _done(self, _: Any) -> None:
        self._under_way -= 1


async def _carry_out(responder: Responder, peer: Peer, tell: Tell, check: Any) -> None:
    check(tell.arguments, tell.command)
    result = responder(peer, tell.arguments)
    if hasattr(result, "__await__"):
        await result


def _failed(failure: Failure, command: str) -> None:
    error = failure.value
    if isinstance(error, FluxonError):
        _log.warn("what was told ({command}) failed: {code}: {text}", command=command, code=error.code, text=error.text)
    else:
        _log.failure("what was told ({command}) failed", failure, command=command)
