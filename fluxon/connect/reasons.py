"""Why there is no connection, in words that say what to do. Pure: facts in, errors out."""

from __future__ import annotations

import errno
import socket

from fluxon.errors import FluxonError, ProtocolError, Unavailable

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


def place(host: str, port: int) -> str:
    """``host:port`` as a person writes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def not_connected(host: str, port: int, error: OSError | UnicodeError) -> Unavailable:
    """No connection could be made."""
    where = place(host, port)
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return Unavailable(f"the name {host!r} is not known: check its spelling, and this machine's network")
    if isinstance(error, ConnectionRefusedError):
        return Unavailable(f"nobody listens at {where}: check host and port, and that the server is running")
    if isinstance(error, TimeoutError):
        return Unavailable(f"{where} does not answer: check the host, and the firewalls on the way")
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return Unavailable(f"there is no way to {where}: check this machine's network")
    return Unavailable(f"no connection to {where}: {error.strerror or type(error).__name__}")


def silent(host: str, port: int) -> Unavailable:
    """Connected, and no hello came back in time."""
    return Unavailable(
        f"{place(host, port)} took the connection and does not answer: it is busy, or no Fluxon server; check the port"
    )


def not_fluxon(host: str, port: int, received: bytes, problem: str, *, secure: bool) -> FluxonError:
    """What came before any hello was answered breaks the wire's rules. ``received`` is how it began."""
    where = place(host, port)
    if not secure and received.startswith(_TLS_RECORDS):
        return ProtocolError(f"the server at {where} speaks TLS: pass secure=True")
    for beginning, kind in _OTHER_PROTOCOLS:
        if received.startswith(beginning):
            return ProtocolError(f"{kind} answers at {where}, not a Fluxon server: check the port")
    return ProtocolError(
        f"what answers at {where} does not speak Fluxon's protocol ({problem}): check the port, and both versions"
    )


def closed_before_hello(host: str, port: int, *, secure: bool) -> Unavailable:
    """The other side closed without a word."""
    advice = "it may be starting, full, or no Fluxon server" if secure else "if it uses TLS, pass secure=True"
    return Unavailable(f"the server at {place(host, port)} closed the connection before it answered hello: {advice}")


def not_tls(host: str, port: int) -> ProtocolError:
    """The TLS handshake was answered by something else, or cut off."""
    return ProtocolError(
        f"the server at {place(host, port)} does not speak TLS: check the port, or pass secure=False if it is meant to "
        "be a plain one"
    )


def broken(host: str, port: int, error: ProtocolError) -> ProtocolError:
    """A connection that had been greeted broke the wire's rules."""
    return ProtocolError(f"the server at {place(host, port)} broke the protocol: {error.text}")
