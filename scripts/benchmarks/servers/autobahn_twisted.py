"""Autobahn's plain websocket on Twisted with JSON; its native masking and UTF-8 checks where it has them."""

from __future__ import annotations

import json

from benchmarks.conversation import DECIMAL_TAG, PAYLOAD, Conversation, websocket
from benchmarks.listening import HOST, Listening

TLS = False
VERSIONS = ("autobahn", "twisted")


def serve(listening: Listening) -> None:
    from typing import Any

    from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
    from twisted.internet import reactor

    def echo(payload: Any) -> Any:
        return payload

    handlers = {"echo": echo}

    class Echo(WebSocketServerProtocol):
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            request = json.loads(payload)
            result = handlers[request["view"]](request["payload"])
            self.sendMessage(json.dumps({"id": request["id"], "result": result}).encode())

    factory = WebSocketServerFactory(f"ws://{HOST}:{listening.port}")
    factory.protocol = Echo
    factory.setProtocolOptions(tcpNoDelay=True)
    reactor.listenTCP(listening.port, factory, backlog=1024, interface=HOST)
    reactor.run()


def conversation(listening: Listening) -> Conversation:
    return websocket(json.dumps({"id": DECIMAL_TAG, "view": "echo", "payload": PAYLOAD}))
