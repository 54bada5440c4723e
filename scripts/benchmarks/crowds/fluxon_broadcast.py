"""Fluxon itself: a generated project with one view more, whose ``server.broadcast`` waits for every acknowledgement."""

from __future__ import annotations

from benchmarks.conversation import PAYLOAD, with_length
from benchmarks.crowds import Speech
from benchmarks.listening import Listening
from benchmarks.servers import fluxon_engine

TLS = True
VERSIONS = fluxon_engine.VERSIONS

VIEW = '''

async def shout(request):
    """Tell everybody what was sent: how many heard it."""
    told = await request.server.broadcast("hear", request.payload)
    return f"heard by {told.count('handled')}"
'''


def serve(listening: Listening) -> None:
    fluxon_engine.serve(listening, VIEW)


def _frame(*fields: object) -> bytes:
    import cbor2

    return with_length(b"\0" + cbor2.dumps(list(fields)))


def hello(*features: str) -> bytes:
    """What a client says first."""
    arguments = {"version": 1, "token": None, "seen": 0, "features": list(features)}
    return _frame(0, 0, "hello", arguments, None, {})


def call(view: str, payload: object) -> bytes:
    """A request."""
    return _frame(0, 1, "call", {"view": view, "payload": payload}, None, {})


def speech(listening: Listening) -> Speech:
    shout = call("shout", PAYLOAD)
    return Speech(steps=((hello(), b"heartbeat"),), shout=shout, done=b"heard by ", answers=answers)


def answers(data: bytes) -> bytes:
    """Null to each ask, a pong to each ping, of whole frames."""
    said, place = b"", 0
    while place + 12 <= len(data):
        # Length, flags, array head, kind, and the head of a tag that has four bytes, always.
        size, kind, tag = int.from_bytes(data[place : place + 4], "big"), data[place + 6], data[place + 7 : place + 12]
        if kind == 0:
            said += b"\0\0\0\x09\0\x83\x01" + tag + b"\xf6"
        elif kind == 6:
            said += b"\0\0\0\x08\0\x82\x07" + tag
        place += 4 + size
    return said
