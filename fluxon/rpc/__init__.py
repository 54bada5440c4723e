"""Remote calls over Twisted, both ways at once on one connection."""

from fluxon.rpc.counting import Counted, Counting
from fluxon.rpc.direct import send_directly
from fluxon.rpc.direct_tls import tls_around
from fluxon.rpc.factory import ClientFactory, PeerFactory, ServerFactory
from fluxon.rpc.load import Load
from fluxon.rpc.opening import Opening
from fluxon.rpc.outgoing import FileSource, Outgoing, Source
from fluxon.rpc.peer import Peer
from fluxon.rpc.protocol import PeerProtocol
from fluxon.rpc.responders import Responder, Responders
from fluxon.rpc.streams import Incoming, Sink, Stream

__all__ = [
    "ClientFactory",
    "Counted",
    "Counting",
    "FileSource",
    "Incoming",
    "Load",
    "Opening",
    "Outgoing",
    "Peer",
    "PeerFactory",
    "PeerProtocol",
    "Responder",
    "Responders",
    "ServerFactory",
    "Sink",
    "Source",
    "Stream",
    "send_directly",
    "tls_around",
]
