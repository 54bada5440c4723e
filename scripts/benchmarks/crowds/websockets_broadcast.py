"""websockets on uvloop, without compression, with the ``broadcast`` that its documentation has for this."""

from __future__ import annotations

import json

from benchmarks.crowds import Speech, autobahn_prepared
from benchmarks.listening import HOST, Listening

TLS = True
VERSIONS = ("websockets", "uvloop")


def serve(listening: Listening) -> None:
    import ssl

    import uvloop
    from websockets.asyncio.server import ServerConnection, broadcast
    from websockets.asyncio.server import serve as listen

    async def run() -> None:
        async def converse(connection: ServerConnection) -> None:
            async for text in connection:
                request = json.loads(text)
                message = json.dumps({"hear": request["payload"]})
                if request["view"] == "shout":
                    broadcast(server.connections, message)
                else:
                    await connection.send(message)

        context = None
        if listening.tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(listening.certificate, listening.key)
        async with listen(converse, HOST, listening.port, compression=None, ssl=context, backlog=1024) as server:
            await server.serve_forever()

    uvloop.run(run())


def speech(listening: Listening) -> Speech:
    return autobahn_prepared.speech(listening)
