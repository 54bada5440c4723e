"""The clock of a test: time that passes when the test says so.

Rules of this module:

- Deadlines, timeouts, heartbeats, delays between attempts, the ends of sessions, roles and locks: all of a server and
  its clients goes by it. It begins at the system's time. ``datetime.now`` and the defaults of date fields do not.
- What is due at once happens by itself, in a later turn of the reactor; what is due later waits for ``advance``.
- Time passes in steps: what falls due in one is done, and everything that follows from it at once is too, before the
  next begins. So whoever answers heartbeats has the time to, however far the clock is advanced.
"""

from __future__ import annotations

import time
from bisect import insort
from collections.abc import Callable
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from fluxon.testing.calling import Calls

_log = Logger(namespace="fluxon.testing")

#: Into how many steps ``advance`` divides its time at most: a year would be a million heartbeats.
_STEPS = 1_000


class Clock:
    """``seconds()`` tells the time, POSIX seconds; ``advance(seconds)`` lets it pass."""

    def __init__(self, calls: Calls, now: float | None = None) -> None:
        self._rule = calls
        self._reactor = calls.reactor
        self._now = time.time() if now is None else now
        self._calls: list[DelayedCall] = []
        self._turn: Any = None

    def __repr__(self) -> str:
        return f"<Clock {self._now:.3f}, {len(self._calls)} timers>"

    def seconds(self) -> float:
        """The time. From any thread."""
        return self._now

    def advance(self, seconds: float) -> Any:
        """Let ``seconds`` pass, 0 included: done when all is done that fell due, but for what threads still do.

        To be awaited in a test that awaits; in any other it blocks.
        """
        if seconds < 0:
            raise ValueError("time passes forwards: advance() takes seconds from 0 on")
        return self._rule.run(f"advance({seconds:g})", lambda: Deferred.fromCoroutine(self.go_on(seconds)))

    async def go_on(self, seconds: float) -> None:
        """``advance``, on the reactor's thread."""
        end = self._now + seconds
        step = seconds / _STEPS
        await self.settled()
        while self._now < end:
            following = self._calls[0].getTime() if self._calls else end
            self._now = min(end, max(following, self._now + step))
            self._run_due()
            await self.settled()

    async def settled(self) -> None:
        """Wait until nothing is due any more. On the reactor's thread."""
        await deferLater(self._reactor, 0)
        while self._calls and self._calls[0].getTime() <= self._now:
            await deferLater(self._reactor, 0)

    # --- what a reactor has of time -----------------------------------------------------------------------------------

    def call_later(self, delay: float, function: Callable[..., object], *args: Any, **keywords: Any) -> DelayedCall:
        """``IReactorTime.callLater``."""
        call = DelayedCall(self._now + delay, function, args, keywords, self._cancelled, self._moved, self.seconds)
        insort(self._calls, call, key=DelayedCall.getTime)
        self._run_soon()
        return call

    def delayed_calls(self) -> list[DelayedCall]:
        """What is to come, the next first."""
        return list(self._calls)

    def stop(self) -> None:
        """Do nothing more."""
        self._calls.clear()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _cancelled(self, call: DelayedCall) -> None:
        self._calls.remove(call)

    def _moved(self, _: DelayedCall) -> None:
        self._calls.sort(key=DelayedCall.getTime)
        self._run_soon()

    def _run_soon(self) -> None:
        if self._turn is None and self._calls and self._calls[0].getTime() <= self._now:
            self._turn = self._reactor.callLater(0, self._turned)

    def _turned(self) -> None:
        self._turn = None
        self._run_due()

    def _run_due(self) -> None:
        # Not what these ask for: everybody else has a turn before.
        due = [call for call in self._calls if call.getTime() <= self._now]
        for call in due:
            if call.active():
                self._calls.remove(call)
                call.called = 1
                with _log.failuresHandled("a timed call failed"):
                    call.func(*call.args, **call.kw)
        self._run_soon()


@implementer(IReactorTime)
class ClockedReactor:
    """A reactor whose time is a ``Clock``'s; all else is the real one's."""

    def __init__(self, reactor: Any, clock: Clock) -> None:
        self._reactor = reactor
        self._clock = clock
        self.seconds = clock.seconds

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kw: object) -> DelayedCall:
        """By the clock."""
        return self._clock.call_later(delay, callable, *args, **kw)

    def getDelayedCalls(self) -> list[DelayedCall]:
        """Those of the clock."""
        return self._clock.delayed_calls()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
