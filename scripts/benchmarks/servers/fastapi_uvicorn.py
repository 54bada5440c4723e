"""FastAPI on uvicorn with uvloop and httptools: a POST of a typed JSON body over HTTP/1.1 keep-alive.

Several requests in flight on one connection are pipelined, which is kinder to the server than as many connections.
"""

from __future__ import annotations

import json

from benchmarks.conversation import PAYLOAD, Conversation
from benchmarks.listening import HOST, Listening

TLS = False
VERSIONS = ("fastapi", "uvicorn", "uvloop", "httptools")


def serve(listening: Listening) -> None:
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Message(BaseModel):
        text: str

    application = FastAPI()

    # FastAPI reads the annotations; text ones it could not resolve inside a function.
    async def echo(message):  # type: ignore[no-untyped-def]
        return message

    echo.__annotations__ = {"message": Message, "return": Message}
    application.post("/echo")(echo)
    uvicorn.run(
        application,
        host=HOST,
        port=listening.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


def conversation(listening: Listening) -> Conversation:
    body = json.dumps(PAYLOAD).encode()
    head = f"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return Conversation(framing="http1", request=head.encode() + b"\r\n" + body)
