"""A server's side of TLS: its certificate, taken up anew when the files change.

Rules of this module:

- Nothing below TLS 1.2; no renegotiation, no session tickets.
- New connections get the newest pair that works. Files that cannot be read, or a key that is not the certificate's
  (one was replaced and the other not yet), keep the old pair and are reported once for each state of the files.
- A client that offers application protocols (ALPN, RFC 7301) gets none and is served: without a callback of our own,
  Twisted 26.10 ends such connections with an internal error.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.logger import Logger
from zope.interface import implementer

from fluxon.errors import ConfigurationError
from fluxon.security.certificate import Pair, load_pair

#: How often, at most, connections cause a look at the files, in seconds: renewed certificates can wait that long,
#: and a flood of connections costs one ``stat`` of each file a second.
LOOK_EVERY = 1.0

#: OpenSSL's SSL_MODE_ENABLE_PARTIAL_WRITE, which pyOpenSSL sets and does not name.
_ENABLE_PARTIAL_WRITE = 0x1

#: TLS 1.3's, the cheapest that no one can break first, as browsers offer them: OpenSSL would take AES-256.
_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

_State = tuple[tuple[int, int, int], ...]


def _at_once(look: Callable[[], Any]) -> None:
    look()


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """Makes the TLS connections of a server, for ``SSL4ServerEndpoint``, ``listenSSL`` and ``TLSMemoryBIOFactory``.

    Reads both PEM files at once, raising ``ConfigurationError`` when they are no pair. ``run`` takes the function
    that looks for changed files; give it one that runs it in a thread to keep even that off the reactor.
    """

    def __init__(
        self,
        certificate_path: str | os.PathLike[str],
        key_path: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[], Any]], Any] = _at_once,
        log: Logger | None = None,
    ) -> None:
        self._paths = (Path(certificate_path), Path(key_path))
        self._clock = clock
        self._run = run
        self._log = Logger() if log is None else log
        try:
            self._seen = self._state()
            self._context = self._load()
        except OSError as error:
            name = os.path.basename(str(error.filename))
            raise ConfigurationError(
                f"{name} cannot be read ({os.strerror(error.errno or 0)}); Secrets.open() makes one for this machine"
            ) from error
        self._looked = clock()

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        """A connection over memory BIOs with the newest pair that works."""
        now = self._clock()
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._run(self.reload)
        connection = SSL.Connection(self._context, None)
        connection.set_accept_state()
        return connection

    def reload(self) -> str:
        """Take up the pair in the files if they changed since the last look. Blocking; from any thread; never raises.

        Connections that exist keep the pair they began with. The answer says what came of it, for people.
        """
        try:
            state = self._state()
        except OSError:  # one was removed; a new one may be on its way
            state = ()
        if state == self._seen:
            return "the certificate is the one that is in use"
        self._seen = state
        try:
            self._context = self._load()
        except (OSError, ConfigurationError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._log.error(
                "The TLS certificate or its key changed and cannot be used: {reason}. New connections go on with the "
                "old pair; put both files in place.",
                reason=reason,
            )
            return f"the new certificate or its key cannot be used, and the old pair stays: {reason}"
        self._log.info("The TLS certificate was read again; new connections use it.")
        return "the new certificate is in use for new connections"

    def _state(self) -> _State:
        facts = [path.stat() for path in self._paths]
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in facts)

    def _load(self) -> SSL.Context:
        certificate, key = (path.read_bytes() for path in self._paths)
        return _context(load_pair(certificate, key))


def _context(pair: Pair) -> SSL.Context:
    # Twisted's options bring its choice of ciphers and curves, and leave the certificate to us.
    context = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2).getContext()
    context.set_options(SSL.OP_NO_RENEGOTIATION)
    context.set_alpn_select_callback(_no_protocol)
    if hasattr(context, "set_tls13_ciphersuites"):  # pragma: no branch - pyOpenSSL before 25.2 has none
        context.set_tls13_ciphersuites(_SUITES)
    # What is written goes to memory, which is never full: one call may encrypt all of it.
    if hasattr(context, "clear_mode"):  # pragma: no branch - pyOpenSSL before 26 has none
        context.clear_mode(_ENABLE_PARTIAL_WRITE)
    try:
        context.use_certificate(pair.certificate)
        for authority in pair.chain[1:]:
            context.add_extra_chain_cert(authority)
        context.use_privatekey(pair.key)  # type: ignore[arg-type]  # whatever else a PEM file holds is refused below
        context.check_privatekey()
    except (SSL.Error, TypeError, ValueError) as error:
        raise ConfigurationError(
            "OpenSSL does not take this certificate and key for a server: they are too weak or of an unusual kind; "
            "use ECDSA P-256, Ed25519 or RSA from 2048 bits"
        ) from error
    return context


def _no_protocol(_: SSL.Connection, __: list[bytes]) -> Any:
    return SSL.NO_OVERLAPPING_PROTOCOLS
