"""Fluxon itself: a generated project with one view more, started as its README says, asked over its own wire.

Session, routing, codec and limits are all as a new user gets them; nothing is set for the benchmark. The wire is
``docs/protocol.rst``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.conversation import BINARY_TAG, PAYLOAD, Conversation, binary_tag, with_length
from benchmarks.listening import HOST, Listening

TLS = True
VERSIONS = ("twisted", "cbor2", "lz4", "pyopenssl")

VIEW = '''

async def echo(request):
    """Answer what was sent."""
    return request.payload
'''


def serve(listening: Listening, more: str = "") -> None:
    """``more`` goes into the project's views.py, behind the view."""
    project = listening.folder / "project"
    subprocess.run([sys.executable, "-m", "fluxon.startproject", "AsyncServer", str(project)], check=True)
    with (project / "views.py").open("a") as views:
        views.write(VIEW + more)
    os.chdir(project)
    twistd = Path(sys.executable).with_name("twistd")
    command = [sys.executable, str(twistd), "--nodaemon", "--pidfile=", "fluxon", "--config", "router.py"]
    command += ["--port", f"tcp:{listening.port}:interface={HOST}"]
    if listening.tls:
        command.append("--secure")
    # The same process goes on as twistd: its id is the one whose CPU time is read.
    os.execv(sys.executable, command)


def conversation(listening: Listening) -> Conversation:
    """Asks are arrays of [0, tag, command, arguments, timeout, options], answers of [1, tag, value]."""
    import cbor2

    def frame(tag: int, command: str, arguments: object) -> bytes:
        return with_length(b"\0" + cbor2.dumps([0, tag, command, arguments, None, {}]))

    request = frame(BINARY_TAG, "call", {"view": "echo", "payload": PAYLOAD})
    hello = frame(0, "hello", {"version": 1, "token": None, "seen": 0, "features": []})
    # Behind the flags, an array of three that starts with 1: pings and asks of the server are something else.
    match = (1, b"\x83\x01")
    return Conversation(framing="length4", hellos=(hello,), request=request, tag=binary_tag(request), match=match)
