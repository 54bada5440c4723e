"""Telling the supervisor of the process (systemd) how it does.

Rules kept here: without a supervisor that asked to be told, nothing happens; telling never blocks and never fails a
server. The protocol is ``sd_notify(3)``: lines to the datagram socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

READY = "READY=1"
RELOADED = "READY=1\nSTATUS=certificates and logs were reloaded"
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
