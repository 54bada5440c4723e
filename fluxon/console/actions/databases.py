"""The database as it works: connections, threads, queues."""

from __future__ import annotations

from fluxon.console.console import Run
from fluxon.console.output import Output, Record
from fluxon.console.served import Served
from fluxon.database import engine_tables
from fluxon.errors import NotFound


async def database(served: Served, run: Run) -> Output:
    """Figures of the moment, and how long a read takes now."""
    found = served.database
    if found is None:
        raise NotFound("this server has no database")
    now = served.reactor.seconds
    begun = now()
    await found.read(engine_tables.look)
    read = now() - begun
    return Record(
        {
            "database": repr(found),
            "models": len(found.models),
            "engine tables": len(found.engine_tables),
            **found.figures(),
            **{f"{name.replace('_', ' ')} so far": value for name, value in found.totals().items()},
            "a read now, ms": round(read * 1000, 3),
        }
    )
