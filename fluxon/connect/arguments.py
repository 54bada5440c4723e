"""What both clients are given, checked. Pure; a wrong argument is told when it is given, not when it is used."""

from __future__ import annotations

import inspect
import os
import re
from typing import Any

import attrs

from fluxon.arguments import check_flag, check_function, check_path, is_host, shown
from fluxon.errors import ConfigurationError, InvalidPayload
from fluxon.wire.messages import MAX_TIMEOUT

DEFAULT_PORT = 8080

DEFAULT_CLOUD_PORT = 8888

#: "name:port", "1.2.3.4:port", "[::1]:port", or any of them without the port.
_PLACE = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\[\]\s/]+))(?::(?P<port>\d{1,5}))?")


@attrs.frozen
class Address:
    """Where a server listens. ``str`` is how a person writes it."""

    host: str
    #: None where ``host`` is the description of an endpoint.
    port: int | None

    def __str__(self) -> str:
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def checked_address(host: object, port: object) -> Address:
    """Raises ``ConfigurationError`` for what can be no host and port."""
    if not isinstance(host, str) or not is_host(host.strip()):
        raise ConfigurationError(f"host= is a name or an address, as text; not {shown(host)}")
    if (found := _PLACE.fullmatch(host.strip())) and found["host"] and found["port"]:
        raise ConfigurationError(f"host= is the name alone: host={found['host']!r}, port={found['port']}")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65_536:
        raise ConfigurationError(f"port= is a number from 1 to 65535, not {shown(port)}")
    return Address(host.strip(), port)


def parsed_address(text: str, default_port: int = DEFAULT_PORT) -> Address | None:
    """``host``, ``host:port`` or ``[address]:port``; None for anything else."""
    found = _PLACE.fullmatch(text.strip())
    if found is None:
        return None
    return checked_address(found["six"] or found["host"], int(found["port"] or default_port))


def check_trust(trust: str | os.PathLike[str] | None, secure: bool) -> None:
    """Raises ``ConfigurationError`` for what would leave a connection unprotected, or trust nobody."""
    check_flag("secure=", secure)
    if trust is None:
        return
    check_path("trust=", trust, "trust='certificate.pem'", "the path of a PEM file")
    if not secure:
        raise ConfigurationError("trust= is for TLS: pass secure=True with it")


def checked_patience(timeout: float) -> float:
    """``timeout`` as a client's default. Raises ``ConfigurationError``."""
    try:
        return checked_timeout(timeout)
    except InvalidPayload as error:
        raise ConfigurationError(f"{error.text}, not {shown(timeout)}") from None


def check_heartbeat(heartbeat: float | None) -> None:
    """Raises ``ConfigurationError`` unless ``heartbeat`` is None or a number of seconds."""
    if heartbeat is None:
        return
    if isinstance(heartbeat, bool) or not isinstance(heartbeat, (int, float)) or not heartbeat >= 0:
        raise ConfigurationError(f"heartbeat= is a number of seconds (0: never), or None; not {shown(heartbeat)}")


def check_events(waiting_allowed: bool, **functions: Any) -> None:
    """Raises ``ConfigurationError`` unless each is a function or None; ``async def`` only where it can be awaited."""
    for name, function in functions.items():
        check_function(f"{name}=", function)
        if inspect.iscoroutinefunction(function) and not waiting_allowed:
            raise ConfigurationError(
                f"{name}= is an async function, and a blocking client has no loop to run it in: "
                "write it with plain def, or use fluxon.connect.connect"
            )


def checked_wait(seconds: float) -> float:
    """``seconds`` for which a server may be waited for. Raises ``ConfigurationError``."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= MAX_TIMEOUT:
        raise ConfigurationError(
            f"wait_for_server= is a number of seconds, from 0 to {MAX_TIMEOUT:,.0f}, not {shown(seconds)}"
        )
    return float(seconds)


def checked_timeout(timeout: float) -> float:
    """Raises ``InvalidPayload`` unless ``timeout`` is a number of seconds that the wire takes."""
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= MAX_TIMEOUT:
        raise InvalidPayload(f"timeout= is a number of seconds, more than 0 and at most {MAX_TIMEOUT:,.0f}")
    return float(timeout)
