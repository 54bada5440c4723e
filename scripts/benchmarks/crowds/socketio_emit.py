"""python-socketio as an ASGI application on uvicorn with uvloop; ``emit`` without a room is to everybody."""

from __future__ import annotations

import json

from benchmarks.conversation import PAYLOAD
from benchmarks.crowds import Speech, websocket_answers
from benchmarks.listening import HOST, Listening

TLS = True
VERSIONS = ("python-socketio", "uvicorn", "uvloop", "httptools", "websockets")


def serve(listening: Listening) -> None:
    import socketio
    import uvicorn

    server = socketio.AsyncServer(async_mode="asgi")

    @server.event
    async def shout(sid: str, payload: object) -> None:
        await server.emit("hear", payload)

    files = {"ssl_certfile": str(listening.certificate), "ssl_keyfile": str(listening.key)} if listening.tls else {}
    uvicorn.run(
        socketio.ASGIApp(server),
        host=HOST,
        port=listening.port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_level="warning",
        **files,
    )


def _masked(text: str) -> bytes:
    body = text.encode()
    head = bytes([0x80 | len(body)]) if len(body) < 126 else b"\xfe" + len(body).to_bytes(2, "big")
    return b"\x81" + head + bytes(4) + body


def _answers(data: bytes) -> bytes:
    # Engine.IO has pings of its own: a text frame "2", to be answered with "3".
    return websocket_answers(data) + (_masked("3") if b"\x81\x012" in data else b"")


def speech(listening: Listening) -> Speech:
    """Engine.IO 4 over a websocket from the start: its open packet, then "40" to connect and "42" for events."""
    upgrade = (
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    steps = ((upgrade.encode(), b"pingTimeout"), (_masked("40"), b'40{"sid"'))
    return Speech(steps=steps, shout=_masked("42" + json.dumps(["shout", PAYLOAD])), answers=_answers)
