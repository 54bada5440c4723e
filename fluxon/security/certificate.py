"""The server's certificate and its key: made for this machine at first start, or put there by the operator.

Rules of this module:

- What is made is self-signed, ECDSA P-256, and names localhost, 127.0.0.1 and ::1 as subject alternative names; a
  client trusts it by ``trust=path/to/certificate.pem``.
- A pair is only ever used when the key belongs to the certificate.
- ``certificate.pem`` may hold a chain: the server's own certificate first, then the ones that vouch for it.
- PEM in, PEM out; no file is touched here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fluxon.errors import ConfigurationError

NAMES = ("localhost",)
ADDRESSES = ("127.0.0.1", "::1")

#: The longest that platforms which judge privately made certificates accept (Apple, HT210176).
VALIDITY = timedelta(days=825)

#: A client whose clock is behind must not take a new certificate for one of the future.
CLOCK_SKEW = timedelta(days=1)

#: From here on every start says that the certificate will expire: time enough to hand a new one to the clients.
EXPIRY_NOTICE = timedelta(days=30)

_COMMON_NAME = "Fluxon, made for this machine"


@attrs.frozen
class Pair:
    """A private key and the certificates that go with it, the server's own first."""

    key: PrivateKeyTypes
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def made_here(self) -> bool:
        """Whether ``make_certificate`` made it, so that it may be replaced without asking."""
        own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _COMMON_NAME)])
        return self.certificate.subject == own == self.certificate.issuer

    def expires_in(self, now: datetime) -> timedelta:
        """How long the server's certificate is still valid; negative when it has expired."""
        return self.certificate.not_valid_after_utc - now


def make_key() -> bytes:
    """A new P-256 private key, PKCS#8 PEM without a passphrase (the file's mode protects it)."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def make_certificate(key_pem: bytes, now: datetime | None = None) -> bytes:
    """A self-signed certificate (PEM) for this machine's own names and the key in ``key_pem``."""
    key = _load_key(key_pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(
            "private_key.pem is an operator's key without its certificate.pem; put the certificate beside it, or "
            "remove the key to have both made"
        )
    now = datetime.now(UTC) if now is None else now
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _COMMON_NAME)])
    names: list[x509.GeneralName] = [x509.DNSName(each) for each in NAMES]
    names += [x509.IPAddress(ip_address(each)) for each in ADDRESSES]
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def load_pair(certificate_pem: bytes, key_pem: bytes) -> Pair:
    """The pair in two PEM texts. ``ConfigurationError`` when one cannot be read or they do not belong together."""
    try:
        chain = tuple(x509.load_pem_x509_certificates(certificate_pem))
    except ValueError as error:
        raise ConfigurationError("certificate.pem holds no PEM certificate; put the right file there") from error
    key = _load_key(key_pem)
    if key.public_key() != chain[0].public_key():
        raise ConfigurationError(
            "private_key.pem is not the key of certificate.pem (of its first certificate, if it has several); "
            "put the two that belong together there"
        )
    return Pair(key, chain)


def _load_key(key_pem: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(key_pem, password=None)
    except TypeError as error:
        raise ConfigurationError(
            "private_key.pem asks for a passphrase, and a server that starts by itself has none; store it without: "
            "openssl pkey -in private_key.pem -out private_key.pem.new"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError("private_key.pem holds no PEM private key; put the right file there") from error
