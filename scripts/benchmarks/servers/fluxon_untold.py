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
from fluxon.routing.route import Route


def _respond(self, peer, payload):
    request = Request(payload, peer, self, peer.current)
    if not peer.session.fresh(request.arrived):
        return self._respond_verified(peer, request)
    if self._in_thread:
        return self._run_in_thread(peer, request)
    return self._function(request)


Route.respond = _respond
"""


def serve(listening: Listening) -> None:
    fluxon_engine.serve(listening, more=UNTOLD)
