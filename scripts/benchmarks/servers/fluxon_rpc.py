"""Fluxon's rpc room alone, without sessions and routing: where the engine's time goes. Measured only when named."""

from __future__ import annotations

from typing import Any

from benchmarks.listening import HOST, Listening
from benchmarks.servers import fluxon_engine

TLS = False
VERSIONS = fluxon_engine.VERSIONS


def serve(listening: Listening) -> None:
    from twisted.internet import reactor

    from fluxon.commands import Call, Hello
    from fluxon.limits import Limits
    from fluxon.rpc import Peer, Responders, ServerFactory, send_directly

    limits = Limits()
    told = {
        "frame": limits.frame_anonymous,
        "frame_authenticated": limits.frame_authenticated,
        "frame_to_client": limits.frame_to_client,
        "in_flight": limits.in_flight,
    }

    def hello(peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        peer.greeted = True
        peer.conversation.receive_limit = limits.frame_anonymous
        session = {"session": "", "token": "", "fresh": False, "recovered": True}
        return {"version": 1, **session, "heartbeat": limits.heartbeat, "limits": told, "features": []}

    async def echo(payload: Any) -> Any:
        return payload

    views = {"echo": echo}

    def call(peer: Peer, arguments: dict[str, Any]) -> Any:
        return views[arguments["view"]](arguments["payload"])

    factory = ServerFactory(Responders({Hello: hello, Call: call}), reactor)
    send_directly(reactor.listenTCP(listening.port, factory, backlog=1024, interface=HOST))
    reactor.run()


conversation = fluxon_engine.conversation
