"""TLS as a function from bytes to bytes, for a driver that owns the socket.

Rules of this module: no I/O, and not for two threads at once (OpenSSL's own rule for one connection). Certificates are
judged by ``fluxon.security.tls``, the same as in a Twisted program.
"""

from __future__ import annotations

from OpenSSL.SSL import Connection, Error, WantReadError, ZeroReturnError
from twisted.python.failure import Failure

from fluxon.security.tls import ClientTLS

#: Bytes that one step encrypts or decrypts: enough TLS records for one system call.
_STEP = 256 * 1024


class TLSChannel:
    """The client's end of one TLS connection. Whatever is to be sent because of a step is in ``pending``."""

    __slots__ = ("_connection", "ended", "refusal")

    def __init__(self, creator: ClientTLS) -> None:
        #: Why the server's certificate was refused, once it was.
        self.refusal: BaseException | None = None
        #: Whether the other side said that nothing more will come.
        self.ended = False
        self._connection: Connection = creator.clientConnectionForTLS(self)

    def failVerification(self, reason: Failure) -> None:
        """Called by the one who judges the server's certificate, within ``handshake``, when it is refused."""
        self.refusal = reason.value

    def handshake(self, received: bytes) -> bool:
        """One step of the handshake; whether it is complete. Raises ``OpenSSL.SSL.Error``."""
        if received:
            self._connection.bio_write(received)
        try:
            self._connection.do_handshake()
        except WantReadError:
            return False
        return True

    def encrypt(self, data: bytes) -> bytes:
        """``data`` as TLS records, behind whatever was pending."""
        send = self._connection.send
        view = memoryview(data)
        records = []
        while view:
            view = view[send(view[:_STEP]) :]
            records.append(self.pending())
        return b"".join(records)

    def decrypt(self, data: bytes) -> bytes:
        """What ``data`` completes. Raises ``OpenSSL.SSL.Error`` for records that were tampered with."""
        if data:
            self._connection.bio_write(data)
        plain = []
        try:
            while not self.ended:
                plain.append(self._connection.recv(_STEP))
        except WantReadError:
            pass
        except ZeroReturnError:
            self.ended = True
        return plain[0] if len(plain) == 1 else b"".join(plain)

    def pending(self) -> bytes:
        """Bytes for the socket that OpenSSL holds."""
        try:
            return self._connection.bio_read(_STEP * 2)
        except WantReadError:
            return b""

    def goodbye(self) -> bytes:
        """Bytes that say that nothing more will be sent."""
        try:
            self._connection.shutdown()
        except Error:  # the handshake was not complete: then there is nothing to take leave of
            return b""
        return self.pending()
