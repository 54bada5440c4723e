"""Views: how they do, and a call of one from here."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import TimeoutError as TwistedTimeout

from fluxon.console import people
from fluxon.console.console import Run
from fluxon.console.output import Output, Table, Value
from fluxon.console.served import Served
from fluxon.errors import DeadlineExceeded


async def views(served: Served, run: Run) -> Output:
    """Counted since the server started; milliseconds from the call to the result."""
    rows = []
    for name, requests in sorted(served.router.requests.items()):
        errors = sorted(requests.failed.items(), key=lambda each: -each[1])
        rows.append(
            (
                name,
                "thread" if served.router.views[name].in_thread else "reactor",
                requests.count,
                requests.failures,
                _milliseconds(requests.latencies.quantile(0.5)),
                _milliseconds(requests.latencies.quantile(0.99)),
                ", ".join(f"{code} {count}" for code, count in errors[:3]) or None,
            )
        )
    return Table(("view", "runs in", "calls", "errors", "p50 ms", "p99 ms", "which errors"), rows)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


async def call(served: Served, run: Run) -> Output:
    """Run a view, and show what it answers."""
    user = None if run["as_"] is None else await people.find_user(served, run["as_"])
    limit = served.setup.limits.view_timeout
    work = Deferred.fromCoroutine(served.router.call_as(user, run["view"], run["json"]))
    try:
        return Value(await work.addTimeout(limit, served.reactor))
    except (TwistedTimeout, DeferredTimeout):
        raise DeadlineExceeded(f"the view did not end within {limit:g} seconds") from None
