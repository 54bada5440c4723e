"""Pyro5's proxy."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.conversation import TEXT
from benchmarks.listening import HOST, Listening
from benchmarks.servers.pyro5_daemon import OBJECT, SERIALIZER

SERVER = "pyro5"
VERSIONS = ("pyro5",)


def connect(listening: Listening) -> Callable[[], str]:
    import Pyro5.api

    Pyro5.config.SERIALIZER = SERIALIZER
    proxy = Pyro5.api.Proxy(f"PYRO:{OBJECT}@{HOST}:{listening.port}")

    def call() -> str:
        text: str = proxy.echo(TEXT)
        return text

    return call
