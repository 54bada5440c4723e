"""The log: its last lines, what follows, and how much is told."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel

from fluxon.console.command import WrongUsage
from fluxon.console.console import Run
from fluxon.console.output import Lines, Output
from fluxon.console.served import Served

#: What ``tail`` shows.
_LINES = 20


async def tail(served: Served, run: Run) -> Output:
    """The last lines; then, if asked, each that follows until Ctrl+C."""
    lines = Lines(served.recent.last(_LINES if run["lines"] is None else run["lines"]))
    if not run["follow"]:
        return lines
    run.write(lines)
    left_out = 0

    def tell(line: str) -> None:
        nonlocal left_out
        if not run.sink.has_room:
            left_out += 1
            return
        if left_out:
            run.write(Lines([f"[{left_out} lines were left out: the terminal did not take them]"]))
            left_out = 0
        run.write(Lines([line]))

    stop = served.recent.follow(tell)
    forever: Deferred[None] = Deferred()
    try:
        await forever
    except CancelledError:
        return None
    finally:
        stop()
    return None


async def level(served: Served, run: Run) -> Output:
    """Without a level, what it is now."""
    levels = served.levels
    if run["level"] is None:
        named = getattr(levels, "_logLevelsByNamespace", {})
        rows = [f"{part or 'everything'}: {each.name}" for part, each in sorted(named.items(), key=lambda x: str(x[0]))]
        return Lines(rows or [f"everything: {levels.defaultLogLevel.name}"])
    try:
        wanted = LogLevel.levelWithName(run["level"])
    except Exception:
        names = ", ".join(each.name for each in LogLevel.iterconstants())
        raise WrongUsage(f"there is no level {run['level'][:40]!r}; there are {names}") from None
    if run["part"] is None:
        levels.clearLogLevels()
        levels.defaultLogLevel = wanted
        levels.setLogLevelForNamespace("", wanted)
        return Lines([f"everything is logged from {wanted.name} on, until the server ends"])
    levels.setLogLevelForNamespace(run["part"], wanted)
    return Lines([f"{run['part']} is logged from {wanted.name} on, until the server ends"])
