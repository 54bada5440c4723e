"""The same project, whose ``server.broadcast`` nobody acknowledges: as the broadcasts of others."""

from __future__ import annotations

from benchmarks.conversation import PAYLOAD
from benchmarks.crowds import Speech, fluxon_broadcast
from benchmarks.listening import Listening
from benchmarks.servers import fluxon_engine

TLS = True
VERSIONS = fluxon_engine.VERSIONS

VIEW = '''

async def shout(request):
    """Tell everybody what was sent: how many it was sent to."""
    told = await request.server.broadcast("hear", request.payload, acknowledge=False)
    return f"sent to {told.count('sent')}"
'''


def serve(listening: Listening) -> None:
    fluxon_engine.serve(listening, VIEW)


def speech(listening: Listening) -> Speech:
    hello, shout = fluxon_broadcast.hello("tell"), fluxon_broadcast.call("shout", PAYLOAD)
    return Speech(steps=((hello, b"heartbeat"),), shout=shout, done=b"sent to ", answers=fluxon_broadcast.answers)
