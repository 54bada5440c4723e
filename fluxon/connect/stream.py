"""A connected socket, and TLS over it, for one thread that receives and any number that send.

Rules of this module:

- Who sends hands the bytes to the socket at once, if it takes them; what it does not take is sent by the receiving
  thread. So nobody ever blocks in a send, and two full ends cannot deadlock.
- ``_sending`` keeps bytes in order; whoever finds it taken leaves its bytes to the one who holds it. That may be the
  receiving thread, within ``receive``: hence it flushes whenever it has received.
- ``_tls`` is held around calls of OpenSSL alone.
- Only one thread at a time receives (``Link`` sees to that), and only a receiving thread closes: a descriptor that
  another thread still uses must not be reused.
- An exception in the middle of sending (Ctrl+C) ends the stream: half a frame cannot be taken back.
- What TLS has to say of itself (the answer to a change of keys, RFC 8446 section 4.6.3) leaves with the next bytes.
"""

from __future__ import annotations

import selectors
import socket
import threading
from selectors import EVENT_READ, EVENT_WRITE

from OpenSSL import SSL

from fluxon.connect.channel import TLSChannel
from fluxon.connect.claim import claim
from fluxon.connect.quick import AT_ONCE, READ, QuickReads

#: Output that the socket has not taken, above which ``room`` is cleared: requests behind it should not wait for long.
_ROOM = 256 * 1024


class StreamLost(Exception):
    """The stream is over; the text says why, as a part of a sentence."""


class Stream:
    """Bytes both ways over ``connected``, which belongs to this object from here on."""

    def __init__(self, connected: socket.socket, channel: TLSChannel | None) -> None:
        self._quick = QuickReads(connected)
        self._socket = connected
        self._channel = channel
        self._sending = threading.Lock()
        self._tls = threading.Lock()
        self._unsent = bytearray()
        self._stopped: str | None = None
        #: Whether the socket keeps up with what is sent; set for good once the stream is over.
        self.room = threading.Event()
        self.room.set()
        # Guards the waker alone. Re-entrant: a signal's handler may close the client in the middle of anything.
        self._waking = threading.RLock()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(connected, EVENT_READ)
        self._selector.register(self._woken, EVENT_READ)
        self._ready: list[tuple[selectors.SelectorKey, int]] = []
        self._arrived = self._quick.arrived
        # What the server said right behind its handshake.
        self._early = self._open_early()

    # --- from any thread ----------------------------------------------------------------------------------------------

    def flush(self, output: list[bytes]) -> None:
        """Send, in order, and remove what is in ``output``; others may append to it at the same time."""
        # Whoever appended before finding the lock taken is seen by its holder, who looks again after releasing it.
        while output:
            held: list[bool] = []
            try:
                if not claim(self._sending, held):
                    return
                frames = output[:]
                del output[: len(frames)]
                if frames:  # or the conversation was closed just now, and they are void
                    self._write(frames[0] if len(frames) == 1 else b"".join(frames))
            except BaseException:
                if True in held:
                    self.stop("a thread was interrupted while it sent")
                raise
            finally:
                if True in held:
                    self._sending.release()

    def stop(self, reason: str) -> None:
        """Have the receiving thread end the stream for ``reason``."""
        if self._stopped is None:
            self._stopped = reason
        self.room.set()
        self._wake()

    def _write(self, data: bytes) -> None:
        """Under ``_sending``."""
        if self._stopped is not None:
            return
        if self._channel is not None:
            try:
                with self._tls:
                    data = self._channel.encrypt(data)
            except SSL.Error:  # the server ended TLS, and no thread has read that yet
                self.stop("the server ended TLS")
                return
        if self._unsent:
            self._unsent += data
            if len(self._unsent) > _ROOM and self._stopped is None:
                self.room.clear()
            return
        try:
            sent = self._socket.send(data, AT_ONCE)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.stop(_describe(error))
            return
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]
            self._wake()

    def _wake(self) -> None:
        with self._waking:
            try:
                self._waker.send(b"\0")
            except OSError:  # full: it will wake anyhow; closed: it is past waking
                pass

    # --- from a receiving thread --------------------------------------------------------------------------------------

    def wait(self, timeout: float | None) -> None:
        """Wait until there is something to do for ``receive``, for ``timeout`` seconds at most."""
        self._ready = self._selector.select(0 if self._arrived or self._early else timeout)

    def receive(self) -> bytes:
        """What has come, ``b""`` if nothing did; to be followed by a ``flush``. Raises ``StreamLost``."""
        readable = False
        for key, ready in self._ready:
            if key.fileobj is self._woken:
                self._notice()
                continue
            if ready & EVENT_WRITE:
                self._write_on()
            if ready & EVENT_READ:
                readable = True
        if self._stopped is not None:
            raise StreamLost(self._stopped)
        if self._early:
            early, self._early = self._early, b""
            return early
        if self._arrived:
            return self.take()
        return self._open(self._read()) if readable else b""

    def wait_quickly(self, *, alone: bool) -> bool:
        """Whether something comes within ``QUICK`` seconds, for ``take``. May be interrupted: nothing is lost by it.

        ``alone``: no other thread waits for an answer. Raises ``StreamLost``.
        """
        if self._stopped is not None:
            raise StreamLost(self._stopped)
        if self._unsent:
            return False
        try:
            return bool(self._arrived) or self._quick.wait(alone=alone)
        except OSError as error:
            raise StreamLost(_describe(error)) from error

    def take(self) -> bytes:
        """What ``wait_quickly`` found. Raises ``StreamLost``."""
        return self._open(self._arrived.popleft())

    def _read(self) -> bytes | None:
        try:
            return self._socket.recv(READ, AT_ONCE)
        except BlockingIOError:
            return None
        except OSError as error:
            raise StreamLost(_describe(error)) from error

    def _open(self, data: bytes | None) -> bytes:
        if data is None:
            return b""
        if not data:
            cut = self._channel is not None and not self._channel.ended
            raise StreamLost("it ended without the server's goodbye" if cut else "the server closed it")
        if self._channel is None:
            return data
        data = self._decrypt(self._channel, data)
        if self._channel.ended:
            if not data:
                raise StreamLost("the server closed it")
            # A server that has said goodbye may wait for ours, and say nothing more: the end follows what it said.
            self._arrived.append(b"")
        return data

    def _open_early(self) -> bytes:
        if self._channel is None:
            return b""
        try:
            data = self._decrypt(self._channel, b"")
        except StreamLost as lost:
            self.stop(str(lost))
            return b""
        if self._channel.ended:
            self._arrived.append(b"")
        return data

    def _decrypt(self, channel: TLSChannel, data: bytes) -> bytes:
        try:
            with self._tls:
                return channel.decrypt(data)
        except SSL.Error as error:
            raise StreamLost("what came is no valid TLS") from error

    def _notice(self) -> None:
        try:
            self._woken.recv(1024)
        except BlockingIOError:
            pass
        if self._unsent:
            self._selector.modify(self._socket, EVENT_READ | EVENT_WRITE)

    def _write_on(self) -> None:
        with self._sending:
            try:
                sent = self._socket.send(self._unsent, AT_ONCE)
            except BlockingIOError:
                return
            except OSError as error:
                raise StreamLost(_describe(error)) from error
            del self._unsent[:sent]
            if len(self._unsent) <= _ROOM:
                self.room.set()
            if not self._unsent:
                self._selector.modify(self._socket, EVENT_READ)

    def close(self) -> None:
        """Take leave, as far as that needs no waiting, and free everything. Called once."""
        with self._sending:
            if self._channel is not None and not self._unsent:
                with self._tls:
                    goodbye = self._channel.goodbye()
                try:
                    self._socket.send(goodbye, AT_ONCE)
                except OSError:
                    pass
            self._selector.close()
            with self._waking:
                for each in (self._socket, self._quick, self._waker, self._woken):
                    each.close()


def _describe(error: OSError) -> str:
    return error.strerror.lower() if error.strerror else type(error).__name__
