"""The watches of a client for Twisted programs.

Rules of this module: functions are told one change at a time, in order; one that is ``async def`` is waited for. A
watch whose connection is lost is begun again on the next, and its function told that something may have been missed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from fluxon.connect.cloud.items import CloudChange
from fluxon.connect.cloud.watches import CloudWatch, Watches
from fluxon.errors import FluxonError, OutcomeUnknown, Unavailable
from fluxon.rpc import Peer

_log = Logger(namespace="fluxon.connect")


class DeferredWatches:
    """``ask(path)`` has the server watch a path, and answers its number for that."""

    def __init__(self, ask: Callable[[str], Awaitable[int]]) -> None:
        self._ask = ask
        self._all = Watches(self._deliver)
        self._told: Deferred[Any] | None = None

    async def begin(self, watch: CloudWatch) -> None:
        """Afterwards the server watches."""
        number = await self._ask(watch.path)
        # Still the connection that the answer came on: nothing else has happened since.
        self._all.begun(watch, number, self._all.connection)

    def ended(self, watch: CloudWatch) -> int | None:
        """Tell its function nothing any more; its number, if the server knows of it."""
        return self._all.ended(watch)

    def connected(self) -> None:
        """There is a new connection, on which nothing is watched yet."""
        for watch in self._all.connected():
            again = Deferred.fromCoroutine(self._begin_again(watch))
            again.addErrback(lambda failure: _log.failure("beginning a watch again failed", failure))

    def changed(self, _: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        """The responder of ``cloud.Changed``."""
        self._all.changed(arguments)
        return {}

    async def _begin_again(self, watch: CloudWatch) -> None:
        try:
            await self.begin(watch)
        except (Unavailable, OutcomeUnknown):
            return  # lost again: the next connection begins it
        except FluxonError as error:
            _log.warn("{path!r} can no longer be watched: {text}", path=watch.path, text=error.text)
            self._deliver(watch, watch.change("ended"))
            return
        self._deliver(watch, watch.change("missed"))

    def _deliver(self, watch: CloudWatch, change: CloudChange) -> None:
        """After those before it."""
        before, tell = self._told, Deferred.fromCoroutine
        if before is None or before.called:
            self._told = tell(self._tell(watch, change))
        else:
            self._told = Deferred()
            before.addBoth(lambda _: tell(self._tell(watch, change))).chainDeferred(self._told)

    async def _tell(self, watch: CloudWatch, change: CloudChange) -> None:
        if watch in self._all:
            try:
                result: Any = watch.function(change)
                if hasattr(result, "__await__"):
                    await result
            except Exception:
                _log.failure("the function that watches {path!r} failed", path=watch.path)
            if change.action == "ended":  # as the server, or this side, says
                self._all.ended(watch)
