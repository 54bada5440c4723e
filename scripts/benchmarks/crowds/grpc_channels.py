"""gRPC's asyncio server and clients that have made one call each. It sends nothing to anybody unasked."""

from __future__ import annotations

from benchmarks.crowds import Speech
from benchmarks.listening import Listening
from benchmarks.servers import grpc_aio

TLS = False
VERSIONS = grpc_aio.VERSIONS

serve = grpc_aio.serve


def speech(listening: Listening) -> Speech:
    from benchmarks.conversation import TEXT

    (hello,) = grpc_aio.conversation(listening).hellos
    return Speech(steps=((hello, TEXT.encode()),))
