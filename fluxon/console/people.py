"""Users, sessions and connections, as an operator names them.

Rules of this module: of a user's row only the key and the name are ever shown; a row has passwords and addresses.
"""

from __future__ import annotations

from typing import Any

from fluxon.console.served import Served, ServedPort
from fluxon.database.authentication import LOGIN_NAMES
from fluxon.errors import NotFound
from fluxon.rpc import Peer
from fluxon.sessions import Session


def name_field(user_model: Any) -> str | None:
    """The column that a user is called by: ``username`` or ``email``, if it is unique."""
    fields = user_model.declaration.fields
    return next((each for each in LOGIN_NAMES if each in fields and fields[each].unique), None)


def name_of(row: Any) -> str:
    """What a user is called: their name, or else their number."""
    for each in LOGIN_NAMES:
        name = getattr(row, each, None)
        if name:
            return str(name)
    return str(getattr(row, "id", row))


async def find_user(served: Served, who: str) -> Any:
    """The row of a user, by name or by number, with its key as ``id``. ``NotFound`` otherwise."""
    database = served.database
    if database is None or database.user_model is None:
        raise NotFound("this server has no users: its setup has no model of them")
    model = database.user_model
    field = name_field(model)
    key: Any = int(who) if who.isascii() and who.isdigit() and len(who) < 19 else None
    if field is not None:
        rows = await model.Check(getattr(model, field) == who, fetch=1)
        if rows:
            key = getattr(rows[0], model.declaration.key.name)
    row = None if key is None else await database.load_user(key)
    if row is None:
        raise NotFound(f"there is no user {who!r}; give a name or a number")
    return row


def peers(served: Served) -> list[tuple[ServedPort, Peer]]:
    """Every connection of every port, the oldest first."""
    found = [(port, peer) for port in served.ports for peer in port.factory.peers]
    return sorted(found, key=lambda each: each[1].number)


def find_peer(served: Served, number: int) -> Peer | None:
    """The connection of this number."""
    return next((peer for _, peer in peers(served) if peer.number == number), None)


def find_session(served: Served, name: str) -> Session | None:
    """The connected session of this public name, or of a name that begins so and is the only one."""
    connected = served.sessions.connected()
    found = [each for each in connected if each.public_id == name]
    if not found and len(name) >= 4:
        found = [each for each in connected if each.public_id.startswith(name)]
    return found[0] if len(found) == 1 else None


def address_of(peer: Peer) -> str:
    """Where a connection comes from."""
    transport = peer.protocol.transport
    address: Any = transport.getPeer() if transport is not None else None
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    return "this machine" if host is None else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
