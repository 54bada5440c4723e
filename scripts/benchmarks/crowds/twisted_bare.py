"""Twisted and nothing else: a protocol with slots that sends back what it got. What a connection costs at least."""

from __future__ import annotations

from benchmarks.crowds import Speech
from benchmarks.listening import HOST, Listening

TLS = True
VERSIONS = ("twisted",)


def serve(listening: Listening) -> None:
    from twisted.internet import reactor, ssl
    from twisted.internet.protocol import Factory, Protocol

    class Echo(Protocol):
        __slots__ = ("factory", "transport")

        def dataReceived(self, data: bytes) -> None:
            self.transport.write(data)

    factory = Factory.forProtocol(Echo)
    if listening.tls:
        pair = ssl.PrivateCertificate.loadPEM(listening.key.read_bytes() + listening.certificate.read_bytes())
        reactor.listenSSL(listening.port, factory, pair.options(), backlog=1024, interface=HOST)
    else:
        reactor.listenTCP(listening.port, factory, backlog=1024, interface=HOST)
    reactor.run()


def speech(listening: Listening) -> Speech:
    return Speech(steps=((b"hello", b"hello"),))
