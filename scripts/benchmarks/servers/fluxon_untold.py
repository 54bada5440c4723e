"""Fluxon as it would be if it counted no requests and logged none: what its metrics and its log cost.

The same project; a request has no observer, so nothing is told of its end, and the log has no lines for requests.
"""

from __future__ import annotations

from benchmarks.listening import Listening
from benchmarks.servers import fluxon_engine
from benchmarks.servers.fluxon_engine import TLS, VERSIONS, conversation

__all__ = ["TLS", "VERSIONS", "conversation", "serve"]

UNTOLD = """

from fluxon.routing.request import Request


def _make(self, payload, peer, route):
    self.payload = payload
    self._peer = peer
    self._route = route
    self._ask = peer.current
    self._logins = None
    self.arrived = peer.protocol.arrived


Request.__init__ = _make
"""


def serve(listening: Listening) -> None:
    fluxon_engine.serve(listening, more=UNTOLD)
