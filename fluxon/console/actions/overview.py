"""The server as a whole: help, how it is, its certificate, its end."""

from __future__ import annotations

import os
import platform
import resource
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from fluxon import __version__
from fluxon.bounds import Elsewhere
from fluxon.console.available import available
from fluxon.console.command import WrongUsage
from fluxon.console.console import Run
from fluxon.console.output import Lines, Output, Record, Table
from fluxon.console.served import Served
from fluxon.limits import Limits

#: Limits of the first screen.
_FULLEST = 10


async def help_(served: Served, run: Run) -> Output:
    """The table, or one command of it."""
    commands = available(served)
    if run["command"] is not None:
        found = [each for each in commands if each.name == run["command"] or each.name.split()[0] == run["command"]]
        if not found:
            raise WrongUsage(f"there is no command {run['command'][:40]!r}; type help")
        return Lines([line for each in found for line in (each.usage, f"    {each.help}")])
    table = Table(("command", "what it does"), [(each.name, each.help) for each in commands])
    return table if run.as_json else [table, Lines(["help COMMAND shows how it is written; --json is for programs."])]


async def status(served: Served, run: Run) -> Output:
    """Figures of the moment, and limits: those that are used most, or that were asked for; for programs all."""
    asked = run["limit"]
    if asked is not None:
        return _asked(served, asked)
    now = served.reactor.seconds()
    counted = served.requests.values()
    general = Record(
        {
            "fluxon": __version__,
            "python": platform.python_version(),
            "process": str(os.getpid()),
            "user": str(os.geteuid()),
            "started": datetime.fromtimestamp(served.started, UTC),
            "up": duration(now - served.started),
            "memory_mib": _memory() / 2**20,
            "descriptors": _descriptors(),
            "database": repr(served.database) if served.database is not None else None,
            "requests": sum(each.count for each in counted),
            "errors": sum(each.failures for each in counted),
        },
        "server",
    )
    ports = Table(
        ("port", "address", "tls", "connections", "accepted"),
        [(each.name, each.where, each.secure, len(each.factory.peers), each.factory.accepted) for each in served.ports],
        "ports",
    )
    return [general, ports, _limits(served) if run.as_json else _fullest(served)]


def _asked(served: Served, name: str) -> Output:
    """All limits, those whose names begin with ``name``, or the one that it is, with why it is so."""
    every = _limits(served)
    field = attrs.fields_dict(Limits).get(name)
    rows = [each for each in every.rows if name == "all" or (each[0] == name if field else each[0].startswith(name))]
    if not rows:
        raise WrongUsage(f"no limit's name begins with {name[:40]!r}; status all shows every limit")
    found = Table(every.columns, rows)
    if field is None:
        return found
    # They are written for the site, where names are marked.
    why, beyond = (field.metadata[each].replace("``", "") for each in ("why", "beyond"))
    return [found, Lines([f"why: {why}", f"beyond: {beyond}"])]


def _fullest(served: Served) -> Table:
    """The first screen's: ten at most, the fullest first, of those that are used at all."""
    every = _limits(served)
    used = sorted(
        (each for each in every.rows if each[1] and each[2]), key=lambda each: each[1] / each[2], reverse=True
    )
    return Table(
        every.columns, used[:_FULLEST], f"limits, the fullest of {len(every.rows)} (status all shows every one)"
    )


def _limits(served: Served) -> Table:
    limits = served.setup.limits
    used = {**served.used(), "group_places": served.places}
    rows = [
        (name, used.get(name), getattr(limits, name), field.metadata["unit"], _holds_for(limits, name))
        for name, field in attrs.fields_dict(type(limits)).items()
    ]
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    rows.append(("descriptors", _descriptors(), soft, "ulimit -n", "all"))
    return Table(("limit", "used", "of", "unit", "clients"), rows, "limits")


def _holds_for(limits: Limits, name: str) -> str:
    """Whose clients a limit is for: a default of what is an address's is for those of other machines."""
    return "other machines" if isinstance(getattr(limits, name), Elsewhere) else "all"


async def reload_certificates(served: Served, run: Run) -> Output:
    """Look at the files now."""
    return Lines([await served.reload_certificates()])


async def terminate(served: Served, run: Run) -> Output:
    """Begin to stop. The answer is on its way before the connection ends."""
    busy = sum(len(peer.conversation.answering) for port in served.ports for peer in port.factory.peers)
    # The console is closed last; this one's answer has left by then.
    served.reactor.callLater(0.1, served.terminate)
    return Lines([f"stopping: {busy} requests under way have {served.setup.limits.drain:g} seconds to end"])


def duration(seconds: float) -> str:
    """``3 d 4 h``, ``5 min 2 s``: two units are enough."""
    left = int(max(seconds, 0))
    parts: list[str] = []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def _descriptors() -> int | None:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None


def _memory() -> Any:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no Linux: what it was at most
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
