"""The watches of the client that blocks.

Rules of this module: those of ``deferred_watches``; functions are told on a thread of their own and may use the client.
What the receiving thread calls here only hands on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from twisted.logger import Logger

from fluxon.connect.cloud.items import CloudChange
from fluxon.connect.cloud.watches import CloudWatch, Watches
from fluxon.connect.line import Line
from fluxon.connect.link import Link
from fluxon.connect.turns import Turns
from fluxon.errors import FluxonError, OutcomeUnknown, Unavailable
from fluxon.wire import Ask

_log = Logger(namespace="fluxon.connect")


class BlockingWatches:
    """``ask(path)`` has the server watch a path, and answers its number for that. ``name`` is the thread's."""

    def __init__(self, ask: Callable[[str], int], name: str) -> None:
        self._ask = ask
        self._all = Watches(self._deliver)
        self._turns = Turns(name)

    def begin(self, watch: CloudWatch) -> None:
        """Afterwards the server watches."""
        while True:
            connection = self._all.connection
            number = self._ask(watch.path)
            if self._all.begun(watch, number, connection):
                return

    def ended(self, watch: CloudWatch) -> int | None:
        """Tell its function nothing any more; its number, if the server knows of it."""
        return self._all.ended(watch)

    def stop(self) -> None:
        """Tell nobody anything any more."""
        self._turns.stop()

    def connected(self, _: Line) -> None:
        """There is a new connection, on which nothing is watched yet."""
        watches = self._all.connected()
        if watches:
            # Not as one of the turns: of those there may be too many already.
            again = threading.Thread(target=self._begin_all_again, args=(watches,), name="fluxon-watches", daemon=True)
            again.start()

    def changed(self, link: Link, ask: Ask) -> None:
        """What answers ``cloud.Changed``."""
        self._all.changed(ask.arguments)
        link.answer(ask, {})

    def _begin_all_again(self, watches: list[CloudWatch]) -> None:
        for watch in watches:
            try:
                self._begin_again(watch)
            except FluxonError as error:
                _log.error("watching {path!r} again failed: {text}", path=watch.path, text=error.text)

    def _begin_again(self, watch: CloudWatch) -> None:
        if watch not in self._all:
            return
        try:
            self.begin(watch)
        except (Unavailable, OutcomeUnknown):
            return  # lost again: the next connection begins it
        except FluxonError as error:
            _log.warn("{path!r} can no longer be watched: {text}", path=watch.path, text=error.text)
            self._deliver(watch, watch.change("ended"))
            return
        self._deliver(watch, watch.change("missed"))

    def _deliver(self, watch: CloudWatch, change: CloudChange) -> None:
        self._turns.submit(partial(self._tell, watch, change))

    def _tell(self, watch: CloudWatch, change: CloudChange) -> None:
        if watch in self._all:
            try:
                watch.function(change)
            except Exception:
                _log.failure("the function that watches {path!r} failed", path=watch.path)
            if change.action == "ended":  # as the server, or this side, says
                self._all.ended(watch)
