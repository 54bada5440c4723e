"""Where a server listens: from what its options say to a listening port.

Rules of this module:

- Any Twisted endpoint will do, as an object or as its description (``tcp:8080:interface=127.0.0.1``, ``unix:...``).
- A bare port without TLS listens on this machine only: passwords would cross the network readable. With TLS, or when
  ``host`` says so, it listens where it is told.
- TLS is laid around whatever the endpoint accepts, so that every kind of endpoint can have it.
"""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint

from fluxon.arguments import is_host, shown
from fluxon.errors import ConfigurationError, FluxonError, Unavailable
from fluxon.rpc import PeerFactory, send_directly, tls_around
from fluxon.security.tls import ServerTLS


def choose_endpoint(
    reactor: Any, port: int | str, host: str | None, secure: bool, endpoint: Any
) -> IStreamServerEndpoint:
    """The endpoint that a server's options describe. Raises ``ConfigurationError``."""
    if endpoint is not None and not isinstance(endpoint, str):
        check_place("endpoint", endpoint)
        return endpoint  # type: ignore[no-any-return]
    description = endpoint if endpoint is not None else describe(port, host, secure)
    try:
        return serverFromString(reactor, description)  # type: ignore[no-any-return]
    except Exception as error:
        raise ConfigurationError(
            f"{description!r} is no endpoint ({error}); write a port, or for example tcp:8080:interface=127.0.0.1"
        ) from error


def check_port(port: object) -> None:
    """Raise ``ConfigurationError`` unless ``port`` is a number of one, or a text, which may describe an endpoint."""
    number = int(port) if isinstance(port, str) and _is_number(port) else port
    if isinstance(number, str) and number.strip():
        return
    if type(number) is not int or not 0 <= number <= 65_535:
        raise ConfigurationError(f"port is a number from 0 to 65535, or describes an endpoint; not {shown(port)}")


def check_place(name: str, place: object) -> None:
    """Raise ``ConfigurationError`` unless ``place`` is None, a port, or an endpoint or the description of one."""
    if place is None or IStreamServerEndpoint.providedBy(place):
        return
    try:
        check_port(place)
    except ConfigurationError:
        raise ConfigurationError(
            f"{name} is a port, an IStreamServerEndpoint, or the description of one, such as "
            f"tcp:8080:interface=127.0.0.1; not {shown(place)}"
        ) from None


def check_host(host: object) -> None:
    """Raise ``ConfigurationError`` unless ``host`` is None, or may be an interface."""
    if host is not None and not is_host(host):
        raise ConfigurationError(
            f"host is the address of an interface of this machine, such as 127.0.0.1, or 0.0.0.0 for all; "
            f"not {shown(host)}"
        )


def choose_operators(reactor: Any, port: Any) -> IStreamServerEndpoint:
    """The endpoint of what is for operators (console, metrics): on this machine only unless an interface is named."""
    if isinstance(port, str) and port.startswith("tcp:") and "interface=" not in port:
        port = f"{port}:interface=127.0.0.1"
    if isinstance(port, (int, str)):
        return choose_endpoint(reactor, port, None, False, None)
    return choose_endpoint(reactor, 0, None, False, port)


def describe(port: int | str, host: str | None, secure: bool) -> str:
    """The description of a plain port's endpoint; what is one already stays as it is."""
    if isinstance(port, str) and not _is_number(port):
        return port
    check_port(port)
    number = int(port)
    interface = host if host is not None else ("" if secure else "127.0.0.1")
    if ":" in interface:
        interface = interface.replace(":", r"\:")
        return f"tcp6:{number}:interface={interface}"
    return f"tcp:{number}" + (f":interface={interface}" if interface else "")


def _is_number(port: str) -> bool:
    return port.isascii() and port.isdigit()


async def listen(endpoint: IStreamServerEndpoint, factory: PeerFactory, tls: ServerTLS | None) -> IListeningPort:
    """Start listening, with TLS around each connection if ``tls`` is given."""
    wrapped = factory if tls is None else tls_around(factory, tls)
    try:
        port: IListeningPort = await endpoint.listen(wrapped)
    except CannotListenError as error:
        raise _not_listening(error) from error
    send_directly(port, factory.turn)
    return port


def _not_listening(error: CannotListenError) -> FluxonError:
    where = f"{error.interface or 'port'}:{error.port}" if error.interface else f"port {error.port}"
    match getattr(error.socketError, "errno", None):
        case errno.EADDRINUSE:
            return Unavailable(
                f"{where} is in use: another program listens there, or this server runs already; end it, or choose "
                "another port (port=... in server.py)"
            )
        case errno.EACCES:
            return ConfigurationError(f"{where} is not for everybody: choose a port from 1024 on")
        case errno.EADDRNOTAVAIL:
            return ConfigurationError(f"{where} is no address of this machine: check host= in server.py")
    return Unavailable(f"nobody can listen on {where}: {error.socketError}")


def address_of(port: IListeningPort) -> str:
    """Where a port listens, for people: ``tcp 127.0.0.1:8080``."""
    address: Any = port.getHost()
    host, number = getattr(address, "host", None), getattr(address, "port", None)
    if host is None:
        return str(address)
    return f"{address.type.lower()} {f'[{host}]' if ':' in host else host}:{number}"
