"""websockets on uvloop with JSON, without compression, as its documentation advises for small messages."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.conversation import DECIMAL_TAG, PAYLOAD, Conversation, websocket
from benchmarks.listening import HOST, Listening

TLS = True
VERSIONS = ("websockets", "uvloop")


def serve(listening: Listening) -> None:
    import ssl

    import uvloop
    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as listen

    async def echo(payload: Any) -> Any:
        return payload

    handlers = {"echo": echo}

    async def converse(connection: ServerConnection) -> None:
        async for message in connection:
            request = json.loads(message)
            result = await handlers[request["view"]](request["payload"])
            await connection.send(json.dumps({"id": request["id"], "result": result}))

    async def run() -> None:
        context = None
        if listening.tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(listening.certificate, listening.key)
        async with listen(converse, HOST, listening.port, compression=None, ssl=context, backlog=1024) as server:
            await server.serve_forever()

    uvloop.run(run())


def conversation(listening: Listening) -> Conversation:
    return websocket(json.dumps({"id": DECIMAL_TAG, "view": "echo", "payload": PAYLOAD}))
