"""ServerTLS in Twisted's listeners: renewed certificates under load, clients with ALPN, every way to listen."""

from __future__ import annotations

import os
import socket
import ssl
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ClientEndpoint, TCP4ServerEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.errors import ConfigurationError
from fluxon.security import Secrets, certificate
from fluxon.security.tls import ServerTLS, client_tls


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Asker(Protocol):
    """Fires with the serial number of the server's certificate once its echo came back."""

    def __init__(self) -> None:
        self.ended: Deferred[int] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"ping")

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        serial = self.transport.getPeerCertificate().get_serial_number()
        self.transport.abortConnection()
        self.ended.callback(serial)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.ended.called:
            self.ended.errback(reason)


class Clock:
    """A clock that moves a minute each time it is read, so every connection looks at the files."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 60.0
        return self.now


def _serial(pem: bytes, key: bytes) -> int:
    return certificate.load_pair(pem, key).certificate.serial_number


class ServerCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.secrets = Secrets(Path(self.mktemp()))
        self.secrets.open()
        self.errors: list[Any] = []
        self.log = Logger(observer=lambda event: self.errors.append(event) if event["log_level"].name == "error" else 0)

    def server_tls(self) -> ServerTLS:
        return ServerTLS(self.secrets.certificate_path, self.secrets.key_path, clock=Clock(), log=self.log)

    @inlineCallbacks
    def listening(self, endpoint: Any, factory: Any) -> Any:
        port = yield endpoint.listen(factory)
        self.addCleanup(port.stopListening)
        return port.getHost().port

    @inlineCallbacks
    def ask(self, port: int, creator: Any) -> Any:
        endpoint = wrapClientTLS(creator, TCP4ClientEndpoint(reactor, "127.0.0.1", port))
        asker = yield endpoint.connect(Factory.forProtocol(Asker))
        return (yield asker.ended)


class ReloadTests(ServerCase):
    @inlineCallbacks
    def test_reload_under_load(self) -> Any:
        """20 renewals, key and certificate written one after the other, while clients connect: none ever fails."""
        creator_trust = self.secrets.path.parent / f"{self.secrets.path.name}-trust.pem"
        pairs = [(key, certificate.make_certificate(key)) for key in (certificate.make_key() for _ in range(20))]
        creator_trust.write_bytes(b"".join([self.secrets.certificate_path.read_bytes(), *(pem for _, pem in pairs)]))
        creator = client_tls("localhost", creator_trust)
        endpoint = SSL4ServerEndpoint(reactor, 0, self.server_tls(), interface="127.0.0.1")
        port = yield self.listening(endpoint, Factory.forProtocol(Echo))
        asked = 0
        stop = False

        @inlineCallbacks
        def keep_asking() -> Any:
            nonlocal asked
            while not stop:
                yield self.ask(port, creator)
                asked += 1

        load = [keep_asking() for _ in range(4)]
        for key, pem in pairs:
            self.secrets.key_path.write_bytes(key)
            for _ in range(3):
                yield self.ask(port, creator)
            self.secrets.certificate_path.write_bytes(pem)
            self.assertEqual((yield self.ask(port, creator)), _serial(pem, key))
        stop = True
        yield gatherResults(load)
        self.assertTrue(asked >= 20, asked)
        self.assertEqual(len(self.errors), 20, "each time the pair did not match, once")

    @inlineCallbacks
    def test_open_connections_live_on(self) -> Any:
        """A renewal does not touch the connections that are there."""
        trust = self.secrets.certificate_path.read_bytes()
        old_trust = self.secrets.path.parent / f"{self.secrets.path.name}-trust.pem"
        old_trust.write_bytes(trust)
        endpoint = SSL4ServerEndpoint(reactor, 0, self.server_tls(), interface="127.0.0.1")
        port = yield self.listening(endpoint, Factory.forProtocol(Echo))
        told: Deferred[bytes] = Deferred()

        class Lasting(Protocol):
            def dataReceived(self, data: bytes) -> None:
                told.callback(data)

        connecting = wrapClientTLS(
            client_tls("localhost", old_trust), TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        ).connect(Factory.forProtocol(Lasting))
        lasting = yield connecting
        yield self.ask(port, client_tls("localhost", old_trust))
        key = certificate.make_key()
        self.secrets.key_path.write_bytes(key)
        self.secrets.certificate_path.write_bytes(certificate.make_certificate(key))
        yield self.ask(port, client_tls("localhost", self.secrets.certificate_path))
        lasting.transport.write(b"still here")
        self.assertEqual((yield told), b"still here")
        lasting.transport.abortConnection()


class ReadingTests(SynchronousTestCase):
    """When files are read, and what happens with bad ones."""

    def setUp(self) -> None:
        self.secrets = Secrets(Path(self.mktemp()))
        self.secrets.open()
        self.events: list[str] = []
        self.log = Logger(observer=lambda event: self.events.append(event["log_level"].name))
        self.now = 0.0

    def server_tls(self, **more: Any) -> ServerTLS:
        paths = self.secrets.certificate_path, self.secrets.key_path
        return ServerTLS(*paths, clock=lambda: self.now, log=self.log, **more)

    def test_bad_files_at_the_start(self) -> None:
        """A server with a missing or wrong file does not start, and the text names the file and no path."""
        for path in (self.secrets.certificate_path, self.secrets.key_path):
            good = path.read_bytes()
            path.write_bytes(b"garbage")
            error = self.assertRaises(ConfigurationError, self.server_tls)
            self.assertIn(path.name, str(error))
            path.unlink()
            error = self.assertRaises(ConfigurationError, self.server_tls)
            self.assertIn(path.name, str(error))
            self.assertNotIn(os.sep + self.secrets.path.name, str(error))
            path.write_bytes(good)

    def test_pairs_that_are_no_servers(self) -> None:
        """A key that is too weak, or of a kind that signs nothing, is refused at the start, with what would serve."""
        for key in (rsa.generate_private_key(public_exponent=65537, key_size=1024), x25519.X25519PrivateKey.generate()):
            self.secrets.key_path.write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
            issuer = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
            made = (
                x509.CertificateBuilder()
                .subject_name(name)
                .issuer_name(name)
                .public_key(key.public_key())
                .serial_number(1)
                .not_valid_before(datetime(2026, 1, 1))
                .not_valid_after(datetime(2126, 1, 1))
                .sign(issuer, hashes.SHA256())
            )
            self.secrets.certificate_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
            error = self.assertRaises(ConfigurationError, self.server_tls)
            self.assertIn("RSA from 2048 bits", str(error))

    def test_reported_once(self) -> None:
        """A bad state of the files is reported once however many connections come, and a new bad state again."""
        server = self.server_tls()
        before = server._context
        for content in (b"garbage", certificate.make_key()):
            self.secrets.key_path.write_bytes(content)
            for _ in range(5):
                server.reload()
        self.assertEqual(self.events, ["error", "error"])
        self.secrets.key_path.unlink()
        for _ in range(5):
            server.reload()
        self.assertEqual(self.events, ["error"] * 3)
        self.assertIs(server._context, before)

    def test_recovers(self) -> None:
        """Once the files are right again they are used, even if they are the old ones."""
        server = self.server_tls()
        good = self.secrets.key_path.read_bytes()
        self.secrets.key_path.unlink()
        server.reload()
        self.secrets.key_path.write_bytes(good)
        server.reload()
        self.assertEqual(self.events, ["error", "info"])

    def test_looks_once_a_second(self) -> None:
        """A thousand connections in a second look at the files once; ``run`` decides where."""
        looks: list[Any] = []
        server = self.server_tls(run=looks.append)
        for _ in range(1_000):
            self.now += 0.001
            server.serverConnectionForTLS(None)
        self.assertEqual(len(looks), 1)
        self.assertEqual(looks[0], server.reload)


class ListeningTests(ServerCase):
    @inlineCallbacks
    def test_every_way_to_listen(self) -> Any:
        """SSL4ServerEndpoint, reactor.listenSSL and TLSMemoryBIOFactory take it as it is."""
        creator = client_tls("localhost", self.secrets.certificate_path)
        echo = Factory.forProtocol(Echo)
        endpoint = SSL4ServerEndpoint(reactor, 0, self.server_tls(), interface="127.0.0.1")
        ports = [(yield self.listening(endpoint, echo))]
        listening = reactor.listenSSL(0, echo, self.server_tls(), interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        ports.append(listening.getHost().port)
        wrapped = TLSMemoryBIOFactory(self.server_tls(), False, echo)
        ports.append((yield self.listening(TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), wrapped)))
        for port in ports:
            yield self.ask(port, creator)

    @inlineCallbacks
    def test_client_with_application_protocols(self) -> Any:
        """Python's own ssl module, with ALPN as browsers and curl have it, is served, and no protocol is agreed on."""
        endpoint = SSL4ServerEndpoint(reactor, 0, self.server_tls(), interface="127.0.0.1")
        port = yield self.listening(endpoint, Factory.forProtocol(Echo))

        def ask() -> tuple[bytes, str | None]:
            context = ssl.create_default_context(cafile=str(self.secrets.certificate_path))
            context.set_alpn_protocols(["h2", "http/1.1"])
            with (
                socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as tls,
            ):
                tls.sendall(b"ping")
                return tls.recv(4), tls.selected_alpn_protocol()

        self.assertEqual((yield deferToThread(ask)), (b"ping", None))

    @inlineCallbacks
    def test_the_cipher(self) -> Any:
        """AES-128 with whoever has it, which is quicker and as safe; who insists on another is served with that."""
        endpoint = SSL4ServerEndpoint(reactor, 0, self.server_tls(), interface="127.0.0.1")
        port = yield self.listening(endpoint, Factory.forProtocol(Echo))

        def ask(suites: bytes | None) -> str | None:
            context = SSL.Context(SSL.TLS_METHOD)
            if suites is not None:
                context.set_tls13_ciphersuites(suites)
            with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
                plain.settimeout(None)  # pyOpenSSL takes a socket with a timeout for one that does not block
                tls = SSL.Connection(context, plain)
                tls.set_connect_state()
                tls.sendall(b"ping")
                self.assertEqual(tls.recv(4), b"ping")
                return tls.get_cipher_name()

        self.assertEqual((yield deferToThread(ask, None)), "TLS_AES_128_GCM_SHA256")
        for suite in ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
            self.assertEqual((yield deferToThread(ask, suite.encode())), suite)
