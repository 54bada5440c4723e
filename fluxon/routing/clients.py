"""The clients that can be called, by whose they are.

Rules of this module: a client is a connection that has functions to be called, once it has a session; one to the
cloud's port shares its session, and has none.
"""

from __future__ import annotations

from fluxon.commands import Call
from fluxon.rpc import Peer, ServerFactory
from fluxon.sessions import Session, Sessions


def clients_of(session: Session) -> list[Peer]:
    """The clients of a session, in the order in which they came."""
    return [each for each in session.connections if isinstance(each, Peer) and has_functions(each)]


def has_functions(peer: Peer) -> bool:
    """Whether the other side can be called."""
    return peer.protocol.factory.responders.find(Call.name) is not None


class Clients:
    """All clients of a main server: the connections of ``factory``, with what ``sessions`` says of them."""

    def __init__(self, sessions: Sessions, factory: ServerFactory) -> None:
        self.sessions = sessions
        self._factory = factory

    def everybody(self) -> list[Peer]:
        """All of them."""
        return [peer for peer in self._factory.peers if peer.session is not None]

    def connected(self) -> list[Session]:
        """The sessions that have one."""
        return [each for each in self.sessions.connected() if clients_of(each)]

    def sessions_of(self, user_id: int) -> list[Session]:
        """Those of a user."""
        return [each for each in self.sessions.of_user(user_id) if not each.ended and clients_of(each)]
