"""What an address of a client says: whether it is of this machine, and whom it is counted with.

Rules of this module: pure. An address is text as Twisted's addresses have it in ``host``; None for a Unix socket.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_LOOPBACK = ("127.", "::ffff:127.")


def is_local(address: str | None) -> bool:
    """Whether it is an address of the machine itself, or none at all."""
    return address is None or address == "::1" or address.startswith(_LOOPBACK)


@lru_cache(maxsize=4_096)
def network_of(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 address: whoever has one of those has all of its addresses."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)
