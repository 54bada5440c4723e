"""What a server owes the supervisor of its process (systemd): to say when it is ready, and to reload when told.

Rules kept here:

- The protocol is ``sd_notify(3)``: lines to the datagram socket that ``NOTIFY_SOCKET`` names. Without one nothing is
  told; telling never blocks and never fails a server.
- SIGHUP means to look at certificates and log files again. A program on a terminal is left to it: there the signal
  means that the terminal is gone.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.endpoint.heap import settle_when_ready
from fluxon.endpoint.service import ServerService

_log = Logger(namespace="fluxon.server")

READY = "READY=1"
STOPPING = "STOPPING=1"


def tell(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell ``state``; whether there was somebody to tell."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@") or not hasattr(socket, "AF_UNIX"):
        return False
    if address.startswith("@"):  # a name of Linux's own, in no folder
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.setblocking(False)
            told.sendto(state.encode(), address)
    except OSError:
        return False
    return True


def supervise(server: ServerService[Any], reactor: Any) -> None:
    """For whoever runs ``server`` as the purpose of this process: tell when it is ready and when it stops; reload."""

    def reload() -> None:
        server.reload().addErrback(lambda failure: _log.failure("reloading failed", failure))

    def begin() -> None:
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL and not _on_terminal():
            signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reload))
        settle_when_ready(server)
        server.when_ready().addCallbacks(lambda _: tell(READY), _said_elsewhere)

    reactor.callWhenRunning(begin)
    reactor.addSystemEventTrigger("before", "shutdown", tell, STOPPING)


def _on_terminal() -> bool:
    return any(os.isatty(each) for each in (0, 1, 2))


def _said_elsewhere(_: Failure) -> None:
    """The log has why it did not start."""
