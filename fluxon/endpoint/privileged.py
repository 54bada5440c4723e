"""Ports below 1024, which only root may open: taken before a daemon gives its privileges up (``twistd --uid``).

Rules of this module:

- Only what needs it: for root, a TCP port below 1024. All else is opened when the server is ready.
- A port that is taken is bound and does not listen: until the server is ready, connections are refused as ever.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from zope.interface import implementer

_PRIVILEGED = 1024


@implementer(IStreamServerEndpoint)
class TakenPort:
    """A bound socket; ``listen`` may be called once."""

    def __init__(self, reactor: Any, bound: socket.socket, backlog: int) -> None:
        self._reactor = reactor
        self._socket = bound
        self._backlog = backlog

    async def listen(self, factory: IProtocolFactory) -> IListeningPort:  # type: ignore[override]  # awaited alike
        """Listen; the socket is the port's from now on."""
        with self._socket as bound:
            bound.listen(self._backlog)
            port: IListeningPort = self._reactor.adoptStreamPort(bound.fileno(), bound.family, factory)
        return port


def take(reactor: Any, endpoint: IStreamServerEndpoint) -> TakenPort | None:
    """The port of ``endpoint``, if it is one that will be out of reach; None also if it cannot be had now.

    Whoever listens on ``endpoint`` later hears why not.
    """
    if not isinstance(endpoint, (TCP4ServerEndpoint, TCP6ServerEndpoint)):
        return None
    number = endpoint._port
    if not 0 < number < _PRIVILEGED or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    family = socket.AF_INET6 if isinstance(endpoint, TCP6ServerEndpoint) else socket.AF_INET
    bound = socket.socket(family)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((endpoint._interface, number))
    except OSError:
        bound.close()
        return None
    return TakenPort(reactor, bound, endpoint._backlog)
