"""Fluxon's blocking client, as the file that a new project starts with uses it."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.conversation import PAYLOAD
from benchmarks.listening import HOST, Listening

SERVER = "fluxon"
VERSIONS: tuple[str, ...] = ()


def connect(listening: Listening) -> Callable[[], str]:
    from fluxon.connect import ConnectionInterface

    connection = ConnectionInterface(host=HOST, port=listening.port, secure=False)

    def call() -> str:
        text: str = connection.send_request("echo", PAYLOAD)["text"]
        return text

    return call
