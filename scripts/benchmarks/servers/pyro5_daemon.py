"""Pyro5's daemon, for its blocking client; marshal is the serializer that its documentation calls the fastest."""

from __future__ import annotations

from benchmarks.conversation import Conversation
from benchmarks.listening import HOST, Listening

TLS = False
VERSIONS = ("pyro5",)
SERIALIZER = "marshal"
OBJECT = "echo"


def serve(listening: Listening) -> None:
    import Pyro5.api

    @Pyro5.api.expose
    class Echo:
        def echo(self, text: str) -> str:
            return text

    with Pyro5.api.Daemon(host=HOST, port=listening.port) as daemon:
        daemon.register(Echo(), OBJECT)
        daemon.requestLoop()


def conversation(listening: Listening) -> Conversation:
    raise NotImplementedError("measured with its own client only")
