"""Twisted's AMP: a declared command with one text argument and a responder."""

from __future__ import annotations

from benchmarks.conversation import DECIMAL_TAG, TEXT, Conversation, decimal_tag
from benchmarks.listening import HOST, Listening

TLS = False
VERSIONS = ("twisted",)


def serve(listening: Listening) -> None:
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory
    from twisted.protocols import amp

    class Echo(amp.Command):
        commandName = b"echo"
        arguments = [(b"text", amp.Unicode())]
        response = [(b"text", amp.Unicode())]

    class Responders(amp.AMP):
        @Echo.responder
        def echo(self, text: str) -> dict[str, str]:
            return {"text": text}

    reactor.listenTCP(listening.port, Factory.forProtocol(Responders), backlog=1024, interface=HOST)
    reactor.run()


def conversation(listening: Listening) -> Conversation:
    box = {b"_ask": str(DECIMAL_TAG).encode(), b"_command": b"echo", b"text": TEXT.encode()}
    request = b"".join(len(part).to_bytes(2, "big") + part for pair in box.items() for part in pair) + b"\0\0"
    return Conversation(framing="amp", request=request, tag=decimal_tag(request))
