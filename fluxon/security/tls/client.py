"""A client's side of TLS: who may answer for a host.

Rules of this module:

- Names and IP addresses are checked by service_identity against the certificate's subject alternative names
  (RFC 9525); the chain by OpenSSL, against ``trust`` or what the platform trusts.
- Whatever goes wrong while a certificate is judged refuses it. (Twisted 26.10's own ``optionsForClientTLS`` logs
  service_identity's ``CertificateError`` and goes on, so that a certificate without alternative names passes for any
  host; hence the check of our own.)
- A refusal is an ``UntrustedServer`` from ``refusal.py``, handed to whoever drives the connection before OpenSSL
  reports the failed handshake.
- No session is resumed, no renegotiation answered, nothing below TLS 1.2 offered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import idna
from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion, platformTrust
from twisted.python.failure import Failure
from zope.interface import implementer

from fluxon.errors import ConfigurationError, UntrustedServer
from fluxon.security.tls.refusal import refuse_chain, refuse_name

# RFC 1035, section 2.3.4, with the underscore that names within networks often have.
_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_MAX_HOST = 253


class Refusable(Protocol):
    """Who drives a connection: a ``TLSMemoryBIOProtocol`` or a ``TLSChannel``."""

    def failVerification(self, reason: Failure) -> None:
        """End the connection, with ``reason`` as the cause that its user sees."""


@implementer(IOpenSSLClientConnectionCreator)
class ClientTLS:
    """Makes the TLS connections of a client to one host; keep it for all reconnects.

    For ``twisted.internet.endpoints.wrapClientTLS``, ``TLSMemoryBIOFactory`` and the blocking client's
    ``TLSChannel``. May be used by several threads at once.
    """

    def __init__(self, host: str, context: SSL.Context, identity: ServiceID, trust_given: bool) -> None:
        self.host = host
        self._context = context
        self._identity = identity
        self._trust_given = trust_given

    def clientConnectionForTLS(self, tlsProtocol: Refusable) -> SSL.Connection:
        """A connection over memory BIOs that refuses every server but this one's host."""
        connection = SSL.Connection(self._context, None)
        if isinstance(self._identity, DNS_ID):  # RFC 6066, section 3: no addresses
            connection.set_tlsext_host_name(self._identity.hostname)
        connection.set_connect_state()
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._judge(tlsProtocol))
        return connection

    def _judge(self, driver: Refusable) -> Callable[[SSL.Connection, X509, int, int, int], bool]:
        # Emptied with the verdict: the connection holds this function, and must not hold its driver in a cycle.
        waiting = [driver]

        def judge(_: SSL.Connection, certificate: X509, error: int, depth: int, ok: int) -> bool:
            refusal = self._verdict(certificate, error, depth, bool(ok))
            if (refusal is not None or depth == 0) and waiting:
                informed = waiting.pop()
                if refusal is not None:
                    informed.failVerification(Failure(refusal))
            return refusal is None

        return judge

    def _verdict(self, certificate: X509, error: int, depth: int, ok: bool) -> UntrustedServer | None:
        try:
            if not ok:
                return refuse_chain(self.host, certificate, error, self._trust_given)
            if depth > 0:  # an authority of the chain; only the server's own certificate carries its name
                return None
            try:
                verify_service_identity(extract_patterns(certificate), [self._identity], [])
            except Exception as cause:
                return refuse_name(self.host, certificate, cause)
        except Exception:  # a certificate strange enough to break its own reading
            return UntrustedServer(details={"reason": "certificate"})
        return None


def client_tls(host: str, trust: str | os.PathLike[str] | None = None) -> ClientTLS:
    """What a client needs to talk TLS to ``host`` (a name or an IPv4 or IPv6 address) and to nobody else.

    ``trust`` is the path of a PEM file: the server's own certificate, or authorities; every certificate in it is
    trusted. Without it, what the platform trusts. Reads files: call it before the reactor runs, or in a thread.
    Raises ``ConfigurationError`` for a file that cannot be read, or what can be no host.
    """
    identity = _identity(host)
    if trust is None:
        context = _context(CertificateOptions(trustRoot=platformTrust(), raiseMinimumTo=TLSVersion.TLSv1_2))
    else:
        context = _context(CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2))
        store = context.get_cert_store()
        assert store is not None  # a fresh context has one
        for each in _certificates(trust):
            store.add_cert(X509.from_cryptography(each))
        # A server's certificate that an authority issued is an anchor, too, if the user says so.
        store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
    return ClientTLS(host, context, identity, trust_given=trust is not None)


def _context(options: CertificateOptions) -> SSL.Context:
    context = options.getContext()
    context.set_options(SSL.OP_NO_RENEGOTIATION)
    return context


def _identity(host: str) -> ServiceID:
    name = host.strip("[]").partition("%")[0].rstrip(".")
    try:
        ip_address(name)
    except ValueError:
        pass
    else:
        return IPAddress_ID(name)
    try:
        ascii_name = name if name.isascii() else idna.encode(name, uts46=True).decode("ascii")
        if len(ascii_name) <= _MAX_HOST and _HOST.fullmatch(ascii_name):
            return DNS_ID(ascii_name)
    except ValueError:  # IDNAError is one
        pass
    raise ConfigurationError(f"{host!r} is neither a host name nor an IP address")


def _certificates(trust: str | os.PathLike[str]) -> list[x509.Certificate]:
    path = Path(trust)
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"trust={path.name!r} cannot be read ({os.strerror(error.errno or 0)}); it is the path of a PEM file, "
            f"usually a copy of the server's certificate.pem"
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"trust={path.name!r} holds no PEM certificate; pass a copy of the server's certificate.pem"
        ) from error
