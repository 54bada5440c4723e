"""Why there is no connection, in words that say what to do. Pure: facts in, errors out."""

from __future__ import annotations

import errno
import socket

from fluxon.connect.arguments import Address
from fluxon.errors import (
    Conflict,
    FluxonError,
    InvalidPayload,
    ProtocolError,
    Unauthenticated,
    Unavailable,
    UntrustedServer,
)

#: Trouble that waiting does not mend.
_LASTING = (UntrustedServer, ProtocolError, InvalidPayload, Conflict)

#: What other servers say first, or answer to a frame that they do not understand.
_OTHER_PROTOCOLS = (
    (b"HTTP/", "an HTTP server"),
    (b"<", "an HTTP server"),
    (b"SSH-", "an SSH server"),
    (b"220", "a mail or FTP server"),
    (b"RFB ", "a VNC server"),
    (b"-ERR", "a Redis or POP3 server"),
)

_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")


def not_connected(where: Address, error: OSError | UnicodeError) -> Unavailable:
    """No connection could be made."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return Unavailable(f"the name {where.host!r} is not known: check its spelling, and this machine's network")
    if isinstance(error, ConnectionRefusedError):
        return Unavailable(f"nobody listens at {where}: check host and port, and that the server is running")
    if isinstance(error, TimeoutError):
        return Unavailable(f"{where} does not answer: check the host, and the firewalls on the way")
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return Unavailable(f"there is no way to {where}: check this machine's network")
    return Unavailable(f"no connection to {where}: {error.strerror or type(error).__name__}")


def silent(where: Address) -> Unavailable:
    """Connected, and no hello came back in time."""
    return Unavailable(
        f"{where} took the connection and does not answer: it is busy, or no Fluxon server; check the port"
    )


def not_fluxon(where: Address, received: bytes, problem: str, *, secure: bool) -> FluxonError:
    """What came before any hello was answered breaks the wire's rules. ``received`` is how it began."""
    return _other_protocol(where, received, secure=secure) or ProtocolError(
        f"what answers at {where} does not speak Fluxon's protocol ({problem}): check the port, and both versions"
    )


def broke_off(where: Address, received: bytes, *, secure: bool) -> FluxonError:
    """The connection ended within the first answer, of which nothing was wrong yet: the network, or a server's end."""
    return _other_protocol(where, received, secure=secure) or lost(where, "it ended within the server's first answer")


def _other_protocol(where: Address, received: bytes, *, secure: bool) -> ProtocolError | None:
    if not secure and received.startswith(_TLS_RECORDS):
        return ProtocolError(f"the server at {where} speaks TLS: pass secure=True")
    for beginning, kind in _OTHER_PROTOCOLS:
        if received.startswith(beginning):
            return ProtocolError(f"{kind} answers at {where}, not a Fluxon server: check the port")
    return None


def closed_before_hello(where: Address, *, secure: bool) -> Unavailable:
    """The other side closed without a word."""
    advice = (
        "it may be starting, be full, use no TLS, or be no Fluxon server"
        if secure
        else "if it uses TLS, pass secure=True"
    )
    return Unavailable(f"the server at {where} closed the connection before it answered hello: {advice}")


def closed_in_handshake(where: Address) -> Unavailable:
    """The other side went away before TLS stood: a server that stops does so, and one that takes TLS for garbage."""
    return Unavailable(
        f"the server at {where} closed the connection in the TLS handshake: it may be starting or full; if it is "
        "meant to be one without TLS, pass secure=False"
    )


def broken_handshake(where: Address) -> Unavailable:
    """TLS was spoken and not agreed on, for no reason that is the certificate's or the version's."""
    return Unavailable(
        f"the TLS handshake with {where} failed: its bytes were damaged on the way, or the server's TLS settings do "
        "not fit; the server's log may say more"
    )


def lost(where: Address, reason: str) -> Unavailable:
    """A connection that had been greeted is over; ``reason`` is a part of a sentence."""
    return Unavailable(f"the connection to {where} was lost: {reason}")


def leaving(where: Address) -> Unavailable:
    """The server said that it stops."""
    return Unavailable(f"the server at {where} is stopping")


def still_waiting(where: Address, trouble: FluxonError | None) -> Unavailable:
    """A request waited for the connection until its timeout; ``trouble`` is what the last attempt met."""
    why = f": {trouble.text}" if trouble is not None else ""
    return Unavailable(f"there was no connection to {where} in time, and nothing was sent{why}")


def not_followed(where: Address) -> Unauthenticated:
    """The session of another server's client was presented, and is not known here."""
    return Unauthenticated(
        f"the server at {where} does not know the session that this client follows: log in again, and check that "
        "both servers use the same database and secrets"
    )


def closed() -> Unavailable:
    """The program itself closed the client."""
    return Unavailable("this connection was closed by the program; make a new one")


def gives_up(trouble: FluxonError, *, patient: bool) -> bool:
    """Whether a request should fail with ``trouble`` instead of waiting for the next attempt.

    A client that never was connected has probably the wrong address, unless its program knows better; one that was has
    a server that comes back.
    """
    return not patient or isinstance(trouble, _LASTING)
