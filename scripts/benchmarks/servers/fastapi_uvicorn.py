"""FastAPI on uvicorn with uvloop and httptools: a POST of a typed JSON body over HTTP/1.1 keep-alive.

Several requests in flight on one connection are pipelined, which is kinder to the server than as many connections.
FastAPI resolves the view's annotations, so they are not put off in this file.
"""

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

    @application.post("/echo")
    async def echo(message: Message) -> Message:
        return message

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
    head = (
        f"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    )
    return Conversation(framing="http1", request=head.encode() + b"\r\n" + body)
