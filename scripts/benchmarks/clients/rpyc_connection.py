"""RPyC's client; the remote method is looked up once, as its users do in a loop."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.conversation import TEXT
from benchmarks.listening import HOST, Listening

SERVER = "rpyc"
VERSIONS = ("rpyc",)


def connect(listening: Listening) -> Callable[[], str]:
    import rpyc

    echo = rpyc.connect(HOST, listening.port).root.echo

    def call() -> str:
        text: str = echo(TEXT)
        return text

    return call
