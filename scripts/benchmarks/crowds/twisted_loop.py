"""Stock Twisted as its users write it: ``Int32StringReceiver``, CBOR encoded once, and a loop over the connections."""

from __future__ import annotations

from benchmarks.conversation import PAYLOAD, with_length
from benchmarks.crowds import Speech
from benchmarks.listening import HOST, Listening

TLS = True
VERSIONS = ("twisted", "cbor2")


def serve(listening: Listening) -> None:
    import cbor2
    from twisted.internet import reactor, ssl
    from twisted.internet.protocol import Factory, connectionDone
    from twisted.protocols.basic import Int32StringReceiver
    from twisted.python.failure import Failure

    clients = set()

    class Client(Int32StringReceiver):
        def connectionMade(self) -> None:
            clients.add(self)

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            clients.discard(self)

        def stringReceived(self, string: bytes) -> None:
            name, payload = cbor2.loads(string)
            message = cbor2.dumps(["hear", payload])
            if name == "shout":
                for client in clients:
                    client.sendString(message)
            else:
                self.sendString(message)

    factory = Factory.forProtocol(Client)
    if listening.tls:
        pair = ssl.PrivateCertificate.loadPEM(listening.key.read_bytes() + listening.certificate.read_bytes())
        reactor.listenSSL(listening.port, factory, pair.options(), backlog=1024, interface=HOST)
    else:
        reactor.listenTCP(listening.port, factory, backlog=1024, interface=HOST)
    reactor.run()


def speech(listening: Listening) -> Speech:
    import cbor2

    hello, shout = (with_length(cbor2.dumps([name, what])) for name, what in (("hello", "hi"), ("shout", PAYLOAD)))
    return Speech(steps=((hello, b"hear"),), shout=shout)
