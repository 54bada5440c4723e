"""Fluxon itself: a generated project with an ``async def`` echo view, over its own wire (``docs/protocol.rst``)."""

from __future__ import annotations

from benchmarks.conversation import BINARY_TAG, PAYLOAD, Conversation, binary_tag, with_length
from benchmarks.listening import Listening

TLS = True
VERSIONS = ("twisted", "cbor2")


def serve(listening: Listening) -> None:
    raise NotImplementedError


def conversation(listening: Listening) -> Conversation:
    """Asks, as arrays: [0, tag, command, arguments, timeout, options]; answers: [1, tag, value]."""
    import cbor2

    def frame(tag: int, command: str, arguments: object) -> bytes:
        return with_length(b"\0" + cbor2.dumps([0, tag, command, arguments, None, {}]))

    request = frame(BINARY_TAG, "call", {"view": "echo", "payload": PAYLOAD})
    hello = frame(0, "hello", {"version": 1, "token": None, "seen": 0, "features": []})
    return Conversation(
        framing="length4",
        hellos=(hello,),
        request=request,
        tag=binary_tag(request),
        match=(1, b"\x83\x01"),
    )
