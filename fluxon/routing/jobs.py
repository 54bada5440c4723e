"""What a server does by itself, again and again: every so many seconds, or once a day.

Rules of this module:

- A job is never run twice at once: what falls due while it runs is left out.
- One that fails is logged with its traceback, and runs again when it is due the next time.
- It goes by the server's reactor, and so in a test by the test's clock.
- Functions run where views of their kind do, plain ones in a few threads of their own. Time does not bound them: a job
  may take long. When the server stops nothing begins, and what runs has ``Limits.drain`` seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from fluxon.blocking import on_reactor_thread
from fluxon.errors import ConfigurationError
from fluxon.routing.lifetime import call
from fluxon.routing.mapping import View, make_job
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.routing")

#: Plain functions that run at once.
_THREADS = 4

#: The longest time between two runs: a year.
_LONGEST = 366 * 86_400.0


class Job:
    """What ``server.every`` and ``server.daily`` return."""

    def __init__(self, view: View, following: Callable[[float], float], jobs: Jobs) -> None:
        self._view = view
        self._following = following
        self._jobs = jobs
        self._due: IDelayedCall | None = None
        self._at = 0.0
        self._running: Deferred[None] | None = None
        self._over = False

    def __repr__(self) -> str:
        return f"<Job {self._view.name}{' (over)' if self._over else ''}>"

    def cancel(self) -> None:
        """Do not run it again. What runs goes on to its end."""
        self._jobs.on_reactor(self._cancel)

    # --- on the reactor's thread --------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Wait for the next time."""
        if not self._over:
            reactor = self._jobs.reactor
            # Never the moment that has just been, by a rounding.
            self._at = self._following(max(reactor.seconds(), self._at))
            self._due = reactor.callLater(max(self._at - reactor.seconds(), 0.0), self._is_due)

    @property
    def running(self) -> Deferred[None] | None:
        """Its run, while there is one."""
        return self._running

    def _cancel(self) -> None:
        self._over = True
        self._jobs.forget(self)
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _is_due(self) -> None:
        self._due = None
        running = self._running = Deferred.fromCoroutine(call(self._view, self._jobs.threads, self._jobs.server))
        running.addErrback(self._failed)
        running.addCallback(self._ended)

    def _failed(self, failure: Any) -> None:
        if failure.check(CancelledError):
            _log.warn("the job {name} was given up, since the server stops", name=self._view.name)
        else:
            _log.failure("the job {name} failed", failure, name=self._view.name)

    def _ended(self, _: None) -> None:
        self._running = None
        if self._over:
            self._jobs.forget(self)
        self.begin()


class Jobs:
    """The jobs of one run of ``server``."""

    def __init__(self, server: Any, reactor: Any) -> None:
        self.server = server
        self.reactor = reactor
        self.threads = WorkerPool("job", _THREADS, reactor)
        self._jobs: set[Job] = set()
        self._stopped = False

    def every(self, seconds: float, function: Callable[[Any], Any]) -> Job:
        """See ``AsyncServer.every``."""
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 < seconds <= _LONGEST:
            raise ConfigurationError(f"every() takes seconds, more than 0 and a year at most; not {seconds!r}")
        begun = self.reactor.seconds()
        return self._add(function, lambda now: _next_time(begun, seconds, now))

    def daily(self, at: str | time, function: Callable[[Any], Any]) -> Job:
        """See ``AsyncServer.daily``."""
        when = _time_of_day(at)
        return self._add(function, lambda now: _next_day(when, now))

    def _add(self, function: Any, following: Callable[[float], float]) -> Job:
        job = Job(make_job(function), following, self)
        self.on_reactor(self._begin, job)
        return job

    def _begin(self, job: Job) -> None:
        if not self._stopped:
            self._jobs.add(job)
            job.begin()

    def forget(self, job: Job) -> None:
        """It is over."""
        if job.running is None:
            self._jobs.discard(job)

    def on_reactor(self, function: Callable[..., object], *args: Any) -> None:
        """``function(*args)`` on the reactor's thread: at once if this is it."""
        if on_reactor_thread():
            function(*args)
        else:
            self.reactor.callFromThread(function, *args)

    async def stop(self, patience: float) -> None:
        """Begin nothing more; fires when nothing runs, what takes longer than ``patience`` seconds given up."""
        self._stopped = True
        ended = self.ended()
        for job in tuple(self._jobs):
            job.cancel()
        if not ended.called:
            overdue = self.reactor.callLater(patience, self.hurry)
            await ended
            if overdue.active():
                overdue.cancel()
        self._jobs.clear()
        self.threads.stop()

    def ended(self) -> Deferred[Any]:
        """Fires when all that runs now has ended."""
        return DeferredList(self._under_way())

    def hurry(self) -> None:
        """Give up what runs."""
        for each in self._under_way():
            each.cancel()

    def _under_way(self) -> list[Deferred[None]]:
        return [job.running for job in self._jobs if job.running is not None]


def _time_of_day(at: Any) -> time:
    try:
        return at if isinstance(at, time) else time.fromisoformat(at)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"daily() takes a time of day: '03:00' in UTC, or a datetime.time with a time zone; not {at!r}"
        ) from None


def _next_time(begun: float, seconds: float, now: float) -> float:
    """The first moment after ``now`` of those that are ``seconds`` apart."""
    count = (now - begun) // seconds + 1
    moment = begun + count * seconds
    # Differences of moments are rounded to a quarter of a microsecond, and so may be one moment short.
    return moment if moment > now else begun + (count + 1) * seconds


def _next_day(when: time, now: float) -> float:
    """The first moment after ``now`` at which clocks show ``when``."""
    zone = when.tzinfo or UTC
    today = datetime.fromtimestamp(now, zone).date()
    moments = (datetime.combine(today + timedelta(days), when, zone).timestamp() for days in range(3))
    return next(moment for moment in moments if moment > now)
