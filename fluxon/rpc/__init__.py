"""Remote calls over Twisted, both ways at once on one connection."""

from fluxon.rpc.direct import send_directly
from fluxon.rpc.factory import ClientFactory, PeerFactory, ServerFactory
from fluxon.rpc.load import Load
from fluxon.rpc.peer import Peer
from fluxon.rpc.protocol import PeerProtocol
from fluxon.rpc.responders import Responder, Responders

__all__ = [
    "ClientFactory",
    "Load",
    "Peer",
    "PeerFactory",
    "PeerProtocol",
    "Responder",
    "Responders",
    "ServerFactory",
    "send_directly",
]
