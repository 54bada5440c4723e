"""requests with a session, so that the connection is kept."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.conversation import PAYLOAD
from benchmarks.listening import HOST, Listening

SERVER = "fastapi-uvicorn"
VERSIONS = ("requests", "fastapi", "uvicorn")


def connect(listening: Listening) -> Callable[[], str]:
    import requests

    session = requests.Session()
    address = f"http://{HOST}:{listening.port}/echo"

    def call() -> str:
        text: str = session.post(address, json=PAYLOAD).json()["text"]
        return text

    return call
