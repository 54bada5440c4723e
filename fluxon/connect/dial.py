"""From a host and a port to a connected socket, TLS handshake included.

Rules of this module: it blocks, so it runs in a connection's own thread; it ends by its deadline (but for the
resolver of names, which cannot be told one); every failure is a ``FluxonError`` that says what to do, and leaves no
socket open.
"""

from __future__ import annotations

import socket
from time import monotonic

from OpenSSL import SSL

from fluxon.connect import reasons
from fluxon.connect.arguments import Address
from fluxon.connect.channel import TLSChannel
from fluxon.errors import FluxonError
from fluxon.security.tls import ClientTLS, explain_tls_failure

#: Bytes read at once during the handshake: a server's whole flight of certificates fits.
_READ = 16 * 1024


def dial(where: Address, deadline: float) -> socket.socket:
    """A socket connected to ``where``, any of its addresses. ``Unavailable`` if there is none."""
    try:
        connected = socket.create_connection((where.host, where.port), timeout=max(deadline - monotonic(), 0.001))
    except (OSError, UnicodeError) as error:
        raise reasons.not_connected(where, error) from error
    # Requests are small and each is waited for: Nagle's algorithm would hold back every second one.
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def shake_hands(connected: socket.socket, tls: ClientTLS, where: Address, deadline: float) -> TLSChannel:
    """TLS over ``connected``; the server is then the one that was asked for.

    Raises ``UntrustedServer``, also when it speaks no TLS, and ``Unavailable`` when it does not answer, goes away, or
    no agreement is reached.
    """
    channel = TLSChannel(tls)
    received = b""
    try:
        while not channel.handshake(received):
            _send(connected, channel.pending(), deadline)
            received = _receive(connected, deadline)
            if not received:
                raise reasons.closed_in_handshake(where)
        _send(connected, channel.pending(), deadline)
    except SSL.Error as error:
        _say_why(connected, channel)
        raise _refusal(channel, error, where) from error
    except TimeoutError as error:
        raise reasons.silent(where) from error
    except OSError as error:
        raise reasons.closed_in_handshake(where) from error
    return channel


def _refusal(channel: TLSChannel, error: SSL.Error, where: Address) -> FluxonError:
    if isinstance(channel.refusal, FluxonError):
        return channel.refusal
    return explain_tls_failure(error, where.host) or reasons.broken_handshake(where)


def _say_why(connected: socket.socket, channel: TLSChannel) -> None:
    """The alert that tells the server why it was refused, if it still listens."""
    try:
        connected.sendall(channel.pending())
    except OSError:
        pass


def _send(connected: socket.socket, data: bytes, deadline: float) -> None:
    connected.settimeout(_left(deadline))
    connected.sendall(data)


def _receive(connected: socket.socket, deadline: float) -> bytes:
    connected.settimeout(_left(deadline))
    return connected.recv(_READ)


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
