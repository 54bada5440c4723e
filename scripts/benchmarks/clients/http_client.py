"""The standard library's HTTP client on a kept connection."""

from __future__ import annotations

import json
from collections.abc import Callable

from benchmarks.conversation import PAYLOAD
from benchmarks.listening import HOST, Listening

SERVER = "fastapi-uvicorn"
VERSIONS = ("fastapi", "uvicorn")


def connect(listening: Listening) -> Callable[[], str]:
    from http.client import HTTPConnection

    connection = HTTPConnection(HOST, listening.port)
    headers = {"Content-Type": "application/json"}

    def call() -> str:
        connection.request("POST", "/echo", json.dumps(PAYLOAD), headers)
        text: str = json.loads(connection.getresponse().read())["text"]
        return text

    return call
