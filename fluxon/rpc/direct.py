"""A TCP transport that sends at once what the socket takes, instead of waiting for it to be writable.

Twisted queues every write, asks epoll whether the socket is writable, and sends on its next turn: two system calls
and a turn of the loop for an answer that the socket would have taken. (Measured with 100 connections: 64 k answers a
second queued, 96 k direct.)

Rules of this room:

- Only when nothing is queued, so order is kept; what the socket does not take is queued as always.
- It reads private attributes of Twisted's transports. If a release lacks one, ``send_directly`` changes nothing and the
  stock transport serves.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import abstract, tcp

_NEEDED = ("dataBuffer", "_tempDataLen", "connected", "disconnecting", "_writeDisconnected")
_NEEDED_OF_SERVER = ("TLS", "_aborting")


class DirectServer(tcp.Server):
    """An accepted connection whose writes go to the socket at once while nothing waits before them."""

    def write(self, data: bytes) -> None:
        if (
            self.dataBuffer
            or self._tempDataLen
            or not self.connected
            or self.disconnecting
            or self._aborting
            or self._writeDisconnected
            or self.TLS
        ):
            super().write(data)  # type: ignore[no-untyped-call]
            return
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            # The stock path meets the same error in its turn and reports it the way protocols expect.
            super().write(data)  # type: ignore[no-untyped-call]
            return
        if sent < len(data):
            super().write(memoryview(data)[sent:].tobytes())  # type: ignore[no-untyped-call]


def send_directly(port: Any) -> bool:
    """Let a listening TCP port's future connections send directly; whether that was possible."""
    if not isinstance(port, tcp.Port) or port.transport is not tcp.Server or not _as_known(port.reactor):
        return False
    port.transport = DirectServer
    return True


def _as_known(reactor: Any) -> bool:
    """Whether this release of Twisted has what ``DirectServer`` looks at."""
    descriptor = abstract.FileDescriptor(reactor)
    return all(hasattr(descriptor, name) for name in _NEEDED) and all(
        hasattr(tcp.Server, name) for name in _NEEDED_OF_SERVER
    )
