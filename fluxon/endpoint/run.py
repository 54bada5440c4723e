"""``run_server``: a server in the foreground, until Ctrl+C."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.config import must_not_be_loading
from fluxon.endpoint.foreground import Foreground
from fluxon.endpoint.heap import settle_when_ready
from fluxon.endpoint.service import ServerService
from fluxon.errors import ConfigurationError

_log = Logger(namespace="fluxon.server")


def run_server(server: ServerService[Any]) -> None:
    """Run ``server``; blocks until Ctrl+C (or SIGTERM), which lets running requests end and then stops.

    A second Ctrl+C does not wait for them. The log goes to the terminal, and to the setup's logs folder. A terminal
    that the program has for itself shows the console, too. Ends the program with status 1 when the server cannot
    start. Call it once, in the main thread.
    """
    must_not_be_loading("run_server(...)")
    if not isinstance(server, ServerService):
        raise ConfigurationError("run_server takes a server: run_server(AsyncServer(setup=router.setup))")
    from twisted.internet import reactor as global_reactor

    reactor: Any = server._reactor or global_reactor
    foreground = Foreground(server, reactor)
    foreground.begin_log()
    failed: list[Failure] = []

    def stop_at_failure(failure: Failure) -> None:
        failed.append(failure)
        with contextlib.suppress(ReactorNotRunning):  # it is stopping already
            reactor.stop()

    def start() -> None:
        settle_when_ready(server)
        server.privilegedStartService()
        server.startService()
        foreground.begin_console(interrupted)

    def interrupted() -> None:
        try:
            reactor.stop()
        except ReactorNotRunning:  # it is the second, before the first was acted on
            server.hurry()

    def stop() -> Deferred[None] | None:
        foreground.end_console()
        if not server.running or failed:
            return None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: reactor.callFromThread(server.hurry))
        _log.info("stopping: waiting for the requests under way; once more to end them")
        return server.stopService()

    server.on_failure(stop_at_failure)
    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", stop)
    reactor.run()
    if failed:
        sys.exit(1)
