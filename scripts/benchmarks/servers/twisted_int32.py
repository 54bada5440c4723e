"""Stock Twisted as its users write it: ``Int32StringReceiver``, CBOR, a dict of handlers."""

from __future__ import annotations

from typing import Any

from benchmarks.conversation import BINARY_TAG, PAYLOAD, Conversation, binary_tag, with_length
from benchmarks.listening import HOST, Listening

TLS = True
VERSIONS = ("twisted", "cbor2")


def serve(listening: Listening) -> None:
    import cbor2
    from twisted.internet import reactor, ssl
    from twisted.internet.protocol import Factory
    from twisted.protocols.basic import Int32StringReceiver

    def echo(payload: Any) -> Any:
        return payload

    handlers = {"echo": echo}

    class Echo(Int32StringReceiver):
        def stringReceived(self, string: bytes) -> None:
            tag, name, payload = cbor2.loads(string)
            self.sendString(cbor2.dumps([tag, handlers[name](payload)]))

    factory = Factory.forProtocol(Echo)
    if listening.tls:
        context = ssl.DefaultOpenSSLContextFactory(str(listening.key), str(listening.certificate))
        reactor.listenSSL(listening.port, factory, context, backlog=1024, interface=HOST)
    else:
        reactor.listenTCP(listening.port, factory, backlog=1024, interface=HOST)
    reactor.run()


def conversation(listening: Listening) -> Conversation:
    import cbor2

    request = with_length(cbor2.dumps([BINARY_TAG, "echo", PAYLOAD]))
    return Conversation(framing="length4", request=request, tag=binary_tag(request))
