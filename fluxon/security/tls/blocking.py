"""TLS over a connected, blocking socket: one thread reads while any number of others write.

OpenSSL works on memory BIOs here, and this module carries the bytes, since an OpenSSL object may be used by one
thread at a time and a thread that waits inside it would stop all others.

Rules of this module:

- ``_tls`` (a lock) is held around calls of OpenSSL alone, never while waiting for the socket.
- ``_sending`` is held from encrypting until the bytes are in the socket, so that records leave in the order in which
  they were numbered. Only writers wait for it; the reader never does.
- What reading makes OpenSSL want to write (alerts, the answer to a key update, RFC 8446 section 4.6.3) stays in the
  BIO and goes out with the next bytes of whoever holds ``_sending``, or at once, without waiting, if nobody does.
- A ``sendall`` that does not finish (timeout, Ctrl+C) ends the connection: half a record cannot be taken back.
- Errors are ``OSError``s, as a socket's are, but for the handshake, which says what to do.
"""

from __future__ import annotations

import select
import socket
import threading
from time import monotonic
from typing import Protocol

from OpenSSL import SSL
from twisted.python.failure import Failure

from fluxon.errors import FluxonError, Unavailable, UntrustedServer
from fluxon.security.tls.client import Refusable
from fluxon.security.tls.refusal import explain_tls_failure

#: Bytes encrypted before they are handed to the socket: four records, so that a large payload neither doubles in
#: memory nor costs a system call each 16 KiB.
_SLICE = 64 * 1024

#: The most that one TLS record holds (RFC 8446, section 5.1), and so what OpenSSL returns at a time.
_RECORD = 16 * 1024

#: Bytes read from the socket, and out of the BIO, in one go.
_SOCKET_READ = 64 * 1024

#: How long ``close`` waits for threads that it has just woken, in seconds. They need microseconds.
_LEAVE = 1.0


class Creator(Protocol):
    """What makes the TLS connection: a ``ClientTLS``."""

    host: str

    def clientConnectionForTLS(self, tlsProtocol: Refusable) -> SSL.Connection:
        """A connection over memory BIOs."""


class BlockingTLS:
    """TLS to the host of ``creator`` over ``connected``, which belongs to this object from now on.

    Call ``handshake`` before anything else. ``recv`` is for one thread at a time, ``sendall`` and ``close`` for any.
    """

    def __init__(self, connected: socket.socket, creator: Creator) -> None:
        connected.settimeout(None)
        self._socket = connected
        self._host = creator.host
        self._refusal: UntrustedServer | None = None
        self._connection = creator.clientConnectionForTLS(self)
        self._tls = threading.Lock()
        self._sending = threading.Lock()
        self._reading = threading.Lock()
        self._unsent = b""  # encrypted, waiting for room in the socket; guarded by _sending
        self._look_again = False  # the BIO may hold bytes that nobody is sending
        self._established = False
        self._closed = False

    def failVerification(self, reason: Failure) -> None:
        """Called by the creator's check, within the handshake, when the server is refused."""
        value = reason.value
        self._refusal = value if isinstance(value, UntrustedServer) else UntrustedServer(str(value))

    @property
    def version(self) -> str:
        """The protocol agreed on, as ``TLSv1.3``."""
        with self._tls:
            return self._connection.get_protocol_version_name()

    def handshake(self, timeout: float | None = None) -> None:
        """Agree on keys and make sure of the server, in ``timeout`` seconds.

        Raises ``UntrustedServer`` for a server that is not the host it was asked for (or speaks no TLS), and
        ``Unavailable`` when it closes the connection or does not answer in time. The socket is closed in both cases.
        """
        deadline = None if timeout is None else monotonic() + timeout
        try:
            with self._reading:
                while not self._shake_hands():
                    self._flush()
                    self._feed(self._receive(deadline))
            self._flush()
        except (SSL.Error, OSError) as error:
            self._flush()  # the alert that says why, if it gets there
            raise self._handshake_failure(error, timeout) from error
        else:
            self._established = True
        finally:
            if not self._established:
                self._drop()
                self._release()

    def sendall(self, data: bytes | bytearray | memoryview, timeout: float | None = None) -> None:
        """Encrypt and send all of ``data``, in one piece among other threads' data.

        Raises ``TimeoutError`` after ``timeout`` seconds (waiting for other writers included) and ``OSError`` when
        the connection is gone. Unless it was another writer that took too long, the connection is over then.
        """
        deadline = None if timeout is None else monotonic() + timeout
        if not self._sending.acquire(timeout=-1 if timeout is None else max(timeout, 0.0)):
            raise TimeoutError("another thread is still sending to a peer that does not read")
        try:
            if self._closed:
                raise ConnectionAbortedError("the connection was closed by this side")
            rest = memoryview(data).cast("B")
            while rest:
                taken = self._encrypt(rest[:_SLICE])
                self._send(deadline)
                rest = rest[taken:]
        except BaseException:
            self._drop()
            raise
        finally:
            self._sending.release()
        if self._look_again:  # the reader had something to say while it saw the lock taken
            self._flush()

    def recv(self, size: int = _RECORD, timeout: float | None = None) -> bytes:
        """At most ``size`` decrypted bytes; ``b""`` at the end of what the peer sent, or after ``close``.

        Raises ``TimeoutError`` when nothing came for ``timeout`` seconds (and may be called again),
        ``ConnectionResetError`` when the connection ended without the peer's close_notify, which may have cut off
        what it said, and ``ConnectionAbortedError`` for bytes that are no valid TLS.
        """
        deadline = None if timeout is None else monotonic() + timeout
        with self._reading:
            while not self._closed:
                try:
                    with self._tls:
                        return self._connection.recv(size)
                except SSL.WantReadError:
                    self._flush()
                except SSL.ZeroReturnError:
                    break
                except SSL.Error as error:
                    self._flush()
                    if not self._closed:
                        raise _lost(error) from error
                try:
                    self._feed(self._receive(deadline))
                except OSError:
                    if not self._closed:  # or it is only how the peer took our goodbye
                        raise
        return b""

    def close(self) -> None:
        """Say goodbye (close_notify) without waiting for an answer, wake the threads that wait, free the socket.

        A waiting ``recv`` returns ``b""``, a waiting ``sendall`` raises. Closing twice is no error.
        """
        if not self._closed:
            with self._tls:
                try:
                    self._connection.shutdown()
                except SSL.Error:
                    pass
            self._flush()
            self._drop()
        self._release()

    def _shake_hands(self) -> bool:
        with self._tls:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                return False
        return True

    def _handshake_failure(self, error: SSL.Error | OSError, timeout: float | None) -> FluxonError:
        refusal = self._refusal or explain_tls_failure(error, self._host)
        if refusal is not None:
            return refusal
        if isinstance(error, TimeoutError):
            return Unavailable(f"{self._host} did not finish the TLS handshake in {timeout:g} s; check the port")
        if isinstance(error, SSL.Error) and not isinstance(error, SSL.SysCallError):
            return Unavailable(
                f"the TLS handshake with {self._host} failed, though not over its certificate: either side's bytes "
                f"were damaged, or the server's TLS settings do not fit; try again, then look at the server's log"
            )
        return Unavailable(
            f"{self._host} ended the connection during the TLS handshake; is the server on this port started with "
            f"secure=True?"
        )

    def _encrypt(self, data: memoryview) -> int:
        """Under ``_sending``: encrypt ``data``, whose records then wait in the BIO."""
        taken = 0
        with self._tls:
            try:
                while taken < len(data):
                    taken += self._connection.send(data[taken:])
            except SSL.Error as error:
                raise _lost(error) from error
        return taken

    def _send(self, deadline: float | None) -> None:
        """Under ``_sending``: give the socket all that waits in the BIO, waiting for room until ``deadline``."""
        self._pull()
        while self._unsent:
            try:
                self._unsent = self._unsent[self._socket.send(self._unsent, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
                if self._closed:
                    raise ConnectionAbortedError("the connection was closed by this side") from None

    def _flush(self) -> None:
        """Give the socket what it takes now of what waits in the BIO, unless a writer is about to do so."""
        self._look_again = True
        while self._look_again and self._sending.acquire(blocking=False):
            try:
                self._look_again = False
                self._pull()
                if self._unsent:
                    self._unsent = self._unsent[self._socket.send(self._unsent, socket.MSG_DONTWAIT) :]
            except OSError:  # full: goes out with the next bytes; gone: reading will say so
                pass
            finally:
                self._sending.release()

    def _pull(self) -> None:
        """Under ``_sending``: move what OpenSSL wants to send from the BIO to ``_unsent``."""
        with self._tls:
            try:
                while True:
                    self._unsent += self._connection.bio_read(_SOCKET_READ)
            except SSL.WantReadError:
                pass

    def _receive(self, deadline: float | None) -> bytes:
        """Under ``_reading``: bytes from the socket, ``b""`` at its end."""
        if deadline is None:
            return self._socket.recv(_SOCKET_READ)
        while True:
            try:
                return self._socket.recv(_SOCKET_READ, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._wait(select.POLLIN, deadline)

    def _feed(self, received: bytes) -> None:
        with self._tls:
            if received:
                self._connection.bio_write(received)
            else:
                self._connection.bio_shutdown()

    def _wait(self, event: int, deadline: float | None) -> None:
        poll = select.poll()
        poll.register(self._socket, event)
        if not poll.poll(None if deadline is None else max(0.0, deadline - monotonic()) * 1000):
            raise TimeoutError("the peer did not take, or send, anything in time")

    def _drop(self) -> None:
        """End the connection; threads that wait for the socket wake up."""
        self._closed = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _release(self) -> None:
        """Free the socket's descriptor once no thread uses it: it must not be another's while one still reads."""
        for lock in (self._sending, self._reading):
            if not lock.acquire(timeout=_LEAVE):
                return  # freed with this object
            lock.release()
        self._socket.close()


def _lost(error: SSL.Error) -> OSError:
    if isinstance(error, SSL.SysCallError):
        return ConnectionResetError("the connection ended without the other side's goodbye; it may have been cut off")
    return ConnectionAbortedError("the other side sent what is no valid TLS, or ended it for an error")
