"""Why a TLS server was refused, in words that say what to do.

Rules of this module:

- Every refusal becomes an ``UntrustedServer``. Its ``details["reason"]`` is one stable word for programs:
  ``self-signed``, ``unknown-authority``, ``expired``, ``not-yet-valid``, ``name``, ``no-names``, ``certificate``,
  ``not-tls`` or ``version``.
- What is quoted from a certificate was written by a stranger: it is cut short and has no control characters.
- Nothing here decides on trust; ``client.py`` does.
"""

from __future__ import annotations

from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import extract_patterns
from twisted.python.failure import Failure

from fluxon.errors import UntrustedServer

# OpenSSL's X509_V_ERR_* numbers (x509_vfy.h), the ones that tell an operator something of their own.
_NOT_YET_VALID = 9
_EXPIRED = 10
_SELF_SIGNED = 18
_UNKNOWN_AUTHORITY = frozenset({2, 19, 20, 21, 27})

#: Names of the certificate that a text lists, and characters of each: a screen's line, not a stranger's novel.
_MAX_NAMES = 5
_MAX_NAME = 80

_NOT_TLS = frozenset({"wrong version number", "packet length too long", "http request", "record layer failure"})
_VERSION = frozenset({"unsupported protocol", "tlsv1 alert protocol version", "no protocols available"})


def refuse_chain(host: str, certificate: X509, error: int, trust_given: bool) -> UntrustedServer:
    """The refusal for OpenSSL's verification error number ``error`` at ``certificate``."""
    facts = certificate.to_cryptography()
    if error == _EXPIRED:
        day = facts.not_valid_after_utc.date().isoformat()
        return _refusal(
            "expired", f"the certificate of {host} expired on {day}: its operator has to renew it (or check this clock)"
        )
    if error == _NOT_YET_VALID:
        day = facts.not_valid_before_utc.date().isoformat()
        return _refusal(
            "not-yet-valid", f"the certificate of {host} is valid from {day} only: check the clock of this machine"
        )
    if error == _SELF_SIGNED and trust_given:
        return _refusal(
            "self-signed",
            f"{host} has another certificate than the one given as trust=: if it was renewed, get a new copy of the "
            f"server's certificate.pem; if not, someone else is answering",
        )
    if error == _SELF_SIGNED:
        return _refusal(
            "self-signed",
            f"the certificate of {host} is self-signed: copy certificate.pem from the server's secrets folder and "
            f'pass trust="path/to/certificate.pem"',
        )
    if error in _UNKNOWN_AUTHORITY:
        more = "the file given as trust= does not hold that authority" if trust_given else "it is not trusted here"
        return _refusal(
            "unknown-authority",
            f"the certificate of {host} was issued by {_safe(facts.issuer.rfc4514_string())}, and {more}: pass "
            f'trust="path/to/authority.pem", or the server\'s own certificate.pem',
        )
    return _refusal(
        "certificate",
        f"the certificate of {host} is not valid (OpenSSL's verification error {error}); the server needs another one",
    )


def refuse_name(host: str, certificate: X509 | None, cause: Exception) -> UntrustedServer:
    """The refusal of a valid certificate that is for other names (``VerificationError``), or for none."""
    if isinstance(cause, VerificationError):
        names = f" ({_names(certificate)})" if certificate is not None else ""
        return _refusal(
            "name",
            f"the server's certificate is not for {host}{names}: connect by a name that is in it, or have the server "
            f"use a certificate for {host}",
        )
    return _refusal(
        "no-names",
        f"the server's certificate cannot be checked against {host}, since it has no usable subject alternative "
        f"names: the server needs a certificate with the name {host} in it",
    )


def explain_tls_failure(reason: Failure | BaseException, host: str) -> UntrustedServer | None:
    """The ``UntrustedServer`` that a failed connection stands for, or None when it failed for another reason.

    ``reason`` is what ``connectionLost``, a failed ``connect`` or a handshake of OpenSSL gave. A lost connection is
    None: it says nothing about the server's identity.
    """
    error = reason.value if isinstance(reason, Failure) else reason
    if isinstance(error, UntrustedServer):
        return error
    if isinstance(error, VerificationError | CertificateError):
        return refuse_name(host, None, error)
    if not isinstance(error, SSL.Error) or not error.args or not isinstance(error.args[0], list):
        return None
    reasons = {str(entry[-1]) for entry in error.args[0]}
    if reasons & _NOT_TLS:
        return _refusal(
            "not-tls", f"{host} does not speak TLS on this port: start the server with secure=True, or check the port"
        )
    if reasons & _VERSION:
        return _refusal(
            "version", f"{host} offers no TLS version from 1.2 on: its software has to be brought up to date"
        )
    if "certificate verify failed" in reasons:
        return _refusal(
            "certificate",
            f"the certificate of {host} is not trusted here: pass trust= with the path of the server's certificate.pem",
        )
    return None


def _refusal(reason: str, text: str) -> UntrustedServer:
    return UntrustedServer(text, details={"reason": reason})


def _names(certificate: X509) -> str:
    names = [_safe(_pattern(each)) for each in extract_patterns(certificate)]
    listed = ", ".join(names[:_MAX_NAMES])
    return f"it is for {listed}{' and others' if len(names) > _MAX_NAMES else ''}"


def _pattern(pattern: object) -> str:
    value = getattr(pattern, "pattern", pattern)
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _safe(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[: _MAX_NAME + 1])
    return shown if len(shown) <= _MAX_NAME else shown[:_MAX_NAME] + "…"
