"""websockets' blocking client, uncompressed, with JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count

from benchmarks.conversation import PAYLOAD
from benchmarks.listening import HOST, Listening

SERVER = "websockets-uvloop"
VERSIONS = ("websockets", "uvloop")


def connect(listening: Listening) -> Callable[[], str]:
    from websockets.sync.client import connect as open_connection

    connection = open_connection(f"ws://{HOST}:{listening.port}", compression=None)
    numbers = count()

    def call() -> str:
        connection.send(json.dumps({"id": next(numbers), "view": "echo", "payload": PAYLOAD}))
        text: str = json.loads(connection.recv())["result"]["text"]
        return text

    return call
