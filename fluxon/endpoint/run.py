"""``run_server``: a server in the foreground, until Ctrl+C."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.python.failure import Failure

from fluxon.endpoint.server import AsyncServer


def run_server(server: AsyncServer) -> None:
    """Run ``server``; blocks until Ctrl+C (or SIGTERM), which lets running requests end and then stops.

    The log goes to the terminal, and to the setup's logs folder. Ends the program with status 1 when the server
    cannot start. Call it once, in the main thread.
    """
    from twisted.internet import reactor as global_reactor

    reactor: Any = server._reactor or global_reactor
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    failed: list[Failure] = []

    def stop_at_failure(failure: Failure) -> None:
        failed.append(failure)
        if reactor.running:
            reactor.stop()

    def start() -> None:
        server.privilegedStartService()  # type: ignore[no-untyped-call]
        server.startService()
        server.when_ready().addErrback(stop_at_failure)

    def stop() -> Deferred[None] | None:
        return server.stopService() if server.running else None

    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", stop)
    reactor.run()
    if failed:
        sys.exit(1)
