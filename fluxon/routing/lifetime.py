"""A project's own beginning and end: ``on_start`` and ``on_stop`` of its setup.

Rules of this module:

- ``on_start`` is called when everything is open, and before anybody can connect: whoever is served finds what it made.
  If it fails, the server does not start.
- ``on_stop`` is called when the end of the last connection was told, and before the database is closed; and whenever
  ``on_start`` has done its work, also if the server could not listen afterwards. Who is in a hurry gives up what is
  under way then, not what is still to come: this is where a project puts its things away.
- Both are given the server, and run where views of their kind do. Neither may hold up a start or a stop for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from fluxon.errors import DeadlineExceeded, Unavailable
from fluxon.limits import Limits
from fluxon.routing.mapping import View
from fluxon.routing.stand_in import settled
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.routing")


async def call(view: View, threads: WorkerPool, *args: Any, **keywords: Any) -> Any:
    """Run a function of the project's that no client asked for, where views of its kind run: what it answers."""
    function = partial(view.function, *args, **keywords)
    if view.in_thread:
        # It may return a Deferred or a coroutine, which must not fire anything in its thread.
        (result,) = await threads.submit(lambda: (function(),))
    else:
        result = function()
    return await settled(result)


class Lifetime:
    """``functions`` by ``start`` and ``stop``, of one run of ``server``."""

    def __init__(self, functions: Mapping[str, View], server: Any, reactor: Any, limits: Limits) -> None:
        self._functions = functions
        self._server = server
        self._reactor = reactor
        self._limits = limits
        self._threads = WorkerPool("lifetime", 1, reactor)
        self._running: Deferred[None] | None = None
        self._begun = False

    async def begin(self) -> None:
        """Call ``on_start``. Raises what it raised, or ``DeadlineExceeded``."""
        await self._call("start", self._limits.view_timeout, f"Limits.view_timeout ({self._limits.view_timeout:g} s)")
        self._begun = True

    async def end(self) -> None:
        """Call ``on_stop``; what it raises is logged."""
        if self._begun:
            self._begun = False
            try:
                await self._call("stop", self._limits.drain, f"Limits.drain ({self._limits.drain:g} s)")
            except Exception:
                _log.failure("on_stop failed")
        self._threads.stop()

    def hurry(self) -> None:
        """Give up what runs."""
        if self._running is not None:
            self._running.cancel()

    async def _call(self, which: str, patience: float, named: str) -> None:
        view = self._functions.get(which)
        if view is None:
            return
        running = self._running = Deferred.fromCoroutine(call(view, self._threads, self._server))
        running.addTimeout(patience, self._reactor, onTimeoutCancel=partial(_too_long, which, named))
        try:
            await running
        except CancelledError:
            raise Unavailable(f"on_{which} was given up") from None
        except OSError:
            # Said in a line when a server cannot start; here, somebody needs to know which call of theirs it was.
            _log.failure("on_{which} failed", which=which)
            raise
        finally:
            self._running = None


def _too_long(which: str, named: str, *_: Any) -> None:
    raise DeadlineExceeded(
        f"on_{which} took longer than {named}; have server.every or a thread of yours do what takes so long"
    )
