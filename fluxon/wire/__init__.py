"""The wire: bytes to messages and back, without I/O, clock or framework.

``Conversation`` is the whole of it for a driver (a Twisted protocol, a socket with a thread): feed it what arrived,
act on the messages it returns, send what is in its ``output``. The rules are those of ``docs/protocol.rst``.
"""

from fluxon.wire.conversation import Conversation
from fluxon.wire.decoding import decode, decode_all
from fluxon.wire.encoding import CrossesAs, Encoded, encode
from fluxon.wire.frames import COMPRESSED, RAW, Splitter, frame
from fluxon.wire.messages import Answer, Ask, Cancel, Chunk, Credit, End, Failed, Message, Tell
from fluxon.wire.shared import SharedAsk, SharedTell
from fluxon.wire.streams import Flow, Streams
from fluxon.wire.templates import Templates

__all__ = [
    "COMPRESSED",
    "RAW",
    "Answer",
    "Ask",
    "Cancel",
    "Chunk",
    "Conversation",
    "Credit",
    "CrossesAs",
    "Encoded",
    "End",
    "Failed",
    "Flow",
    "Message",
    "SharedAsk",
    "SharedTell",
    "Splitter",
    "Streams",
    "Tell",
    "Templates",
    "decode",
    "decode_all",
    "encode",
    "frame",
]
