"""Servers with thousands of clients that mostly wait, one file each: for what one waiting client costs, and how soon a
message reaches all of them.

Rules of this room: a module imports what it measures inside ``serve``; each is set up as its own documentation advises;
``shout`` has the server send one message to everybody by the call that its own documentation names for that; keep-alive
is whatever it is by default.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from benchmarks.listening import Listening

__all__ = ["CROWDS", "Crowd", "Speech", "crowd", "websocket_answers"]

#: Every server by its name in the report, and its module here.
CROWDS = {
    "fluxon": "fluxon_broadcast",
    "fluxon-unacknowledged": "fluxon_told",
    "twisted-int32-cbor2": "twisted_loop",
    "twisted-bare": "twisted_bare",
    "autobahn": "autobahn_prepared",
    "websockets-uvloop": "websockets_broadcast",
    "socketio-uvicorn": "socketio_emit",
    "grpc-aio": "grpc_channels",
}


@dataclass(frozen=True, kw_only=True)
class Speech:
    """What a client says: bytes only, no sockets."""

    #: Said in turn, each with what must have come back before the next: then it is one of those who wait.
    steps: Sequence[tuple[bytes, bytes]]
    #: Has the server send its message to all; empty where it cannot. What comes back to whoever asked when that is done
    #: holds ``done``; empty where nothing does.
    shout: bytes = b""
    done: bytes = b""
    #: What must be said to what came: acknowledgements, answers to pings.
    answers: Callable[[bytes], bytes] = lambda data: b""


class Crowd(Protocol):
    """What a module of this room has."""

    TLS: bool
    VERSIONS: tuple[str, ...]

    @staticmethod
    def serve(listening: Listening) -> None: ...

    @staticmethod
    def speech(listening: Listening) -> Speech: ...


def crowd(name: str) -> Crowd:
    """The module of the server called so in the report."""
    return cast(Crowd, importlib.import_module(f"benchmarks.crowds.{CROWDS[name]}"))


def websocket_answers(data: bytes) -> bytes:
    """Pongs to the pings among whole frames without masks."""
    answers, place = b"", 0
    while place + 2 <= len(data):
        size, start = data[place + 1] & 0x7F, place + 2
        if size == 126:
            size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
        if data[place] == 0x89:
            # Masked with zeros, which changes nothing.
            answers += b"\x8a" + bytes([0x80 | size]) + bytes(4) + data[start : start + size]
        place = start + size
    return answers
