"""TLS versions, certificates of every kind, a real server, both clients: who gets through, what the rest is told."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from fluxon.connect.arguments import Address
from fluxon.connect.dial import dial, shake_hands
from fluxon.connect.stream import Stream
from fluxon.errors import Unavailable, UntrustedServer
from fluxon.security.tls import ServerTLS, client_tls, explain_tls_failure

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@attrs.define
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def issue(
    subject: str,
    names: tuple[str, ...] = (),
    *,
    by: Issued | None = None,
    ca: bool = False,
    begins: datetime = NOW - DAY,
    ends: datetime = NOW + DAY,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    text_addresses: bool = False,
) -> Issued:
    """A certificate for ``names`` (addresses become IP names, unless they are to be wrongly given as text)."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(own if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names:
        general: list[x509.GeneralName] = []
        for name in names:
            address = None if text_addresses else _address(name)
            general.append(x509.DNSName(name) if address is None else x509.IPAddress(address))
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return Issued(builder.sign(key if by is None else by.key, hashes.SHA256()), key)


def _address(name: str) -> Any:
    try:
        return ip_address(name)
    except ValueError:
        return None


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Asker(Protocol):
    """Sends a word once it is connected; ``ended`` has what came back, or why nothing did."""

    def __init__(self) -> None:
        self.ended: Deferred[Any] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"ping")

    def dataReceived(self, data: bytes) -> None:
        self._end(data)
        assert self.transport is not None
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end(reason.value)

    def _end(self, result: Any) -> None:
        if not self.ended.called:
            self.ended.callback(result)


class TLSCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def written(self, name: str, *content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(content))
        return path

    def server_tls(self, issued: Issued, *chain: Issued) -> ServerTLS:
        certificate = self.written("certificate.pem", issued.pem(), *(each.pem() for each in chain))
        return ServerTLS(certificate, self.written("private_key.pem", issued.key_pem()))

    @inlineCallbacks
    def listening(self, creator: Any) -> Any:
        port = yield SSL4ServerEndpoint(reactor, 0, creator, interface="127.0.0.1").listen(Factory.forProtocol(Echo))
        self.addCleanup(port.stopListening)
        return port.getHost().port

    @inlineCallbacks
    def ask_twisted(self, port: int, creator: Any) -> Any:
        """b"ping", or the exception that the Deferred client sees."""
        endpoint = wrapClientTLS(creator, TCP4ClientEndpoint(reactor, "127.0.0.1", port))
        asker = yield endpoint.connect(Factory.forProtocol(Asker))
        result = yield asker.ended
        if isinstance(result, Exception):
            result = explain_tls_failure(result, creator.host) or result
        asker.transport.abortConnection()
        return result

    def ask_blocking(self, port: int, creator: Any) -> Deferred[Any]:
        """b"ping", or the exception that the blocking client sees."""

        def ask() -> Any:
            deadline = monotonic() + 10
            connected = dial(Address("127.0.0.1", port), deadline)
            try:
                channel = shake_hands(connected, creator, Address(creator.host, port), deadline)
            except Exception as error:
                connected.close()
                return error
            stream = Stream(connected, channel)
            try:
                stream.flush([b"ping"])
                answer = b""
                while not answer and monotonic() < deadline:
                    stream.wait(10)
                    answer = stream.receive()
                return answer
            except Exception as error:
                return error
            finally:
                stream.close()

        return deferToThread(ask)


# Case → (host that the client asks for, reason of the refusal or None when it must get through).
CASES = {
    "good": ("localhost", None),
    "chain with an intermediate authority": ("localhost", None),
    "wildcard": ("chat.fluxon.test", None),
    "address": ("127.0.0.1", None),
    "IPv6 address": ("::1", None),
    "self-signed, trusted": ("localhost", None),
    "issued by an unknown authority, itself trusted": ("localhost", None),
    "wrong host": ("localhost", "name"),
    "wildcard one level too deep": ("a.chat.fluxon.test", "name"),
    "wrong address": ("127.0.0.1", "name"),
    "no address among the names": ("127.0.0.1", "name"),
    "address as text": ("127.0.0.1", "no-names"),
    "name in the subject alone": ("localhost", "no-names"),
    "expired": ("localhost", "expired"),
    "not yet valid": ("localhost", "not-yet-valid"),
    "self-signed": ("localhost", "self-signed"),
    "unknown authority": ("localhost", "unknown-authority"),
    "intermediate authority not sent": ("localhost", "unknown-authority"),
    "expired authority": ("localhost", "expired"),
    "issued by a certificate that is no authority": ("localhost", "certificate"),
    "certificate of a client": ("localhost", "certificate"),
}


class MatrixTests(TLSCase):
    """Each case over TLS 1.2 and 1.3, with the Deferred and the blocking client: the same verdict four times."""

    def material(self, case: str) -> tuple[Issued, list[Issued], Issued]:
        """The server's certificate, what it sends along, and what the client trusts."""
        root = issue("root", ca=True)
        middle = issue("middle", by=root, ca=True)
        other = issue("other", ca=True)
        local = ("localhost",)
        alone = issue("alone", local)
        old_root = issue("old", ca=True, begins=NOW - 3 * DAY, ends=NOW - DAY)
        leaf = issue("leaf", local, by=root)
        foreign = issue("foreign", local, by=other)
        table: dict[str, tuple[Issued, list[Issued], Issued]] = {
            "good": (leaf, [], root),
            "chain with an intermediate authority": (issue("x", local, by=middle), [middle], root),
            "wildcard": (issue("x", ("*.fluxon.test",), by=root), [], root),
            "address": (issue("x", ("127.0.0.1",), by=root), [], root),
            "IPv6 address": (issue("x", ("::1",), by=root), [], root),
            "self-signed, trusted": (alone, [], alone),
            "issued by an unknown authority, itself trusted": (foreign, [], foreign),
            "wrong host": (issue("x", ("fluxon.test", "127.0.0.1"), by=root), [], root),
            "wildcard one level too deep": (issue("x", ("*.fluxon.test",), by=root), [], root),
            "wrong address": (issue("x", ("127.0.0.2", "localhost"), by=root), [], root),
            "no address among the names": (leaf, [], root),
            "address as text": (issue("x", ("127.0.0.1",), by=root, text_addresses=True), [], root),
            "name in the subject alone": (issue("localhost", by=root), [], root),
            "expired": (issue("x", local, by=root, begins=NOW - 3 * DAY, ends=NOW - DAY), [], root),
            "not yet valid": (issue("x", local, by=root, begins=NOW + DAY, ends=NOW + 3 * DAY), [], root),
            "self-signed": (alone, [], root),
            "unknown authority": (foreign, [], root),
            "intermediate authority not sent": (issue("x", local, by=middle), [], root),
            "expired authority": (issue("x", local, by=old_root), [], old_root),
            "issued by a certificate that is no authority": (issue("x", local, by=leaf), [leaf], root),
            "certificate of a client": (
                issue("x", local, by=root, usage=ExtendedKeyUsageOID.CLIENT_AUTH),
                [],
                root,
            ),
        }
        return table[case]

    @inlineCallbacks
    def check(self, case: str) -> Any:
        host, reason = CASES[case]
        issued, chain, trusted = self.material(case)
        creator = client_tls(host, self.written("trust.pem", trusted.pem()))
        for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            server = self.server_tls(issued, *chain)
            server._context.set_max_proto_version(version)
            port = yield self.listening(server)
            for ask in (self.ask_twisted, self.ask_blocking):
                result = yield ask(port, creator)
                where = f"{case}, {version:#x}, {ask.__name__}: {result!r}"
                if reason is None:
                    self.assertEqual(result, b"ping", where)
                else:
                    self.assertIsInstance(result, UntrustedServer, where)
                    self.assertEqual(result.details["reason"], reason, where)
                    self.assertTrue(host in str(result) and len(str(result)) < 400, where)


def _test(case: str) -> Callable[[MatrixTests], Any]:
    def test(self: MatrixTests) -> Any:
        return self.check(case)

    host, reason = CASES[case]
    test.__doc__ = f"{case}, asked for {host}: {reason or 'gets through'}."
    return test


for _case in CASES:
    setattr(MatrixTests, "test_" + "_".join(_case.replace(",", "").replace("-", "_").split()), _test(_case))


@implementer(IOpenSSLServerConnectionCreator, IOpenSSLClientConnectionCreator)
class Permissive:
    """An old program's TLS: any version up to ``newest``, any cipher, no checks."""

    host = "localhost"

    def __init__(self, newest: int, issued: Issued | None = None) -> None:
        self.context = SSL.Context(SSL.TLS_METHOD)
        self.context.set_min_proto_version(SSL.TLS1_VERSION)
        self.context.set_max_proto_version(newest)
        self.context.set_cipher_list(b"ALL:@SECLEVEL=0")
        if issued is not None:
            self.context.use_certificate(issued.certificate)
            self.context.use_privatekey(issued.key)

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        return SSL.Connection(self.context, None)

    clientConnectionForTLS = serverConnectionForTLS


class VersionTests(TLSCase):
    @inlineCallbacks
    def check(self, version: int, allowed: bool) -> Any:
        alone = issue("alone", ("localhost",))
        creator = client_tls("localhost", self.written("trust.pem", alone.pem()))
        old_port = yield self.listening(Permissive(version, alone))
        new_port = yield self.listening(self.server_tls(alone))
        control = yield self.ask_twisted(old_port, Permissive(version))
        self.assertEqual(control, b"ping", "two old programs must be able to talk, or this test shows nothing")
        answers = [
            (yield self.ask_twisted(old_port, creator)),
            (yield self.ask_blocking(old_port, creator)),
            (yield self.ask_twisted(new_port, Permissive(version))),
        ]
        if allowed:
            self.assertEqual(answers, [b"ping"] * 3)
        else:
            for answer in answers:
                self.assertIsInstance(answer, UntrustedServer, answers)
                self.assertEqual(answer.details["reason"], "version")

    def test_tls_1_0(self) -> Any:
        """Neither our server nor our clients speak TLS 1.0 (RFC 8996), and the clients say why."""
        return self.check(SSL.TLS1_VERSION, False)

    def test_tls_1_1(self) -> Any:
        """Nor TLS 1.1."""
        return self.check(SSL.TLS1_1_VERSION, False)

    def test_tls_1_2(self) -> Any:
        """TLS 1.2 is spoken by all."""
        return self.check(SSL.TLS1_2_VERSION, True)

    def test_tls_1_3(self) -> Any:
        """And TLS 1.3."""
        return self.check(SSL.TLS1_3_VERSION, True)


class OtherServerTests(TLSCase):
    @inlineCallbacks
    def check(self, speak: bytes, expected: type[Exception], hint: str) -> Any:
        class Speaker(Protocol):
            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.write(speak)
                self.transport.loseConnection()

        port = reactor.listenTCP(0, Factory.forProtocol(Speaker), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        alone = issue("alone", ("localhost",))
        creator = client_tls("localhost", self.written("trust.pem", alone.pem()))
        result = yield self.ask_blocking(port.getHost().port, creator)
        self.assertIsInstance(result, expected, repr(result))
        self.assertIn(hint, str(result))

    def test_no_tls(self) -> Any:
        """A server that answers something else is said to speak no TLS."""
        return self.check(b"HTTP/1.1 400 Bad Request\r\n\r\n", UntrustedServer, "does not speak TLS")

    def test_hangs_up(self) -> Any:
        """So is, with less certainty, one that hangs up."""
        return self.check(b"", Unavailable, "secure=False")


class TrustTests(TLSCase):
    def test_interfaces(self) -> None:
        """The creators are what Twisted asks for."""
        alone = issue("alone", ("localhost",))
        verifyObject(IOpenSSLServerConnectionCreator, self.server_tls(alone))
        verifyObject(IOpenSSLClientConnectionCreator, client_tls("localhost", self.written("trust.pem", alone.pem())))

    @inlineCallbacks
    def test_platform_trust(self) -> Any:
        """Without trust=, a certificate made for this machine is refused with the remedy."""
        port = yield self.listening(self.server_tls(issue("alone", ("localhost",))))
        for ask in (self.ask_twisted, self.ask_blocking):
            result = yield ask(port, client_tls("localhost"))
            self.assertIsInstance(result, UntrustedServer)
            self.assertIn('trust="path/to/certificate.pem"', str(result))

    @inlineCallbacks
    def test_another_certificate(self) -> Any:
        """With a certificate given, another one for the same name is said to be another one."""
        port = yield self.listening(self.server_tls(issue("alone", ("localhost",))))
        trusted = self.written("trust.pem", issue("alone", ("localhost",)).pem())
        result = yield self.ask_blocking(port, client_tls("localhost", trusted))
        self.assertIn("another certificate than the one given as trust=", str(result))

    @inlineCallbacks
    def test_hostile_names(self) -> Any:
        """What a certificate says of itself cannot flood or forge the message."""
        names = tuple(f"{'x' * 60}{number}.test" for number in range(100))
        alone = issue("evil\n\x1b[31m" + "y" * 50, names)
        port = yield self.listening(self.server_tls(alone))
        result = yield self.ask_blocking(port, client_tls("localhost", self.written("trust.pem", alone.pem())))
        self.assertIsInstance(result, UntrustedServer, repr(result))
        self.assertEqual(result.details["reason"], "name")
        self.assertTrue(len(str(result)) < 800 and str(result).isprintable(), str(result))

    @inlineCallbacks
    def test_certificates_that_cannot_be_read(self) -> Any:
        """One of a version that does not exist, which OpenSSL passes on, is refused, and breaks nobody's reading."""
        strange = issue("strange", ("localhost",), by=issue("other", ca=True))
        third, eighth = (b"\xa0\x03\x02\x01" + bytes([version]) for version in (2, 7))
        changed = ssl.PEM_cert_to_DER_cert(strange.pem().decode()).replace(third, eighth)
        permissive = Permissive(SSL.TLS1_3_VERSION)
        permissive.context.use_certificate_file(self.written("x.pem", ssl.DER_cert_to_PEM_cert(changed).encode()))
        permissive.context.use_privatekey_file(self.written("x.key", strange.key_pem()))
        port = yield self.listening(permissive)
        creator = client_tls("localhost", self.written("trust.pem", issue("root", ca=True).pem()))
        for ask in (self.ask_twisted, self.ask_blocking):
            result = yield ask(port, creator)
            self.assertIsInstance(result, UntrustedServer, repr(result))
            self.assertEqual(result.details["reason"], "certificate")


class HostTests(TLSCase):
    @inlineCallbacks
    def test_spellings(self) -> Any:
        """A host may be spelled in capitals, with the root's dot, in brackets, or in its own script."""
        names = ("localhost", "::1", "xn--mnchen-3ya.test")
        alone = issue("alone", names)
        trust = self.written("trust.pem", alone.pem())
        port = yield self.listening(self.server_tls(alone))
        for host in ("LocalHost", "localhost.", "[::1]", "::1", "0:0::1", "münchen.test", "MÜNCHEN.test"):
            for ask in (self.ask_twisted, self.ask_blocking):
                result = yield ask(port, client_tls(host, trust))
                self.assertEqual(result, b"ping", (host, result))
