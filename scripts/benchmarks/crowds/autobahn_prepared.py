"""Autobahn's websocket on Twisted; a message is prepared once and sent to every connection, as its example does."""

from __future__ import annotations

import json

from benchmarks.conversation import PAYLOAD, websocket
from benchmarks.crowds import Speech, websocket_answers
from benchmarks.listening import HOST, Listening

TLS = True
VERSIONS = ("autobahn", "twisted")


def serve(listening: Listening) -> None:
    from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
    from twisted.internet import reactor, ssl

    clients = set()

    class Client(WebSocketServerProtocol):
        def onOpen(self) -> None:
            clients.add(self)

        def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
            clients.discard(self)

        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            request = json.loads(payload)
            message = factory.prepareMessage(json.dumps({"hear": request["payload"]}).encode())
            if request["view"] == "shout":
                for client in clients:
                    client.sendPreparedMessage(message)
            else:
                self.sendPreparedMessage(message)

    scheme = "wss" if listening.tls else "ws"
    factory = WebSocketServerFactory(f"{scheme}://{HOST}:{listening.port}")
    factory.protocol = Client
    factory.setProtocolOptions(tcpNoDelay=True)
    if listening.tls:
        pair = ssl.PrivateCertificate.loadPEM(listening.key.read_bytes() + listening.certificate.read_bytes())
        reactor.listenSSL(listening.port, factory, pair.options(), backlog=1024, interface=HOST)
    else:
        reactor.listenTCP(listening.port, factory, backlog=1024, interface=HOST)
    reactor.run()


def speech(listening: Listening) -> Speech:
    hello, shout = (
        websocket(json.dumps({"id": 10_000_000, "view": view, "payload": PAYLOAD})) for view in ("hello", "shout")
    )
    steps = ((hello.upgrade, b"\r\n\r\n"), (hello.request, b"hear"))
    return Speech(steps=steps, shout=shout.request, answers=websocket_answers)
