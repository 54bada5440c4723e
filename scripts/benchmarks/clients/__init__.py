"""The blocking clients under test, one file each: ``connect`` gives a function that makes one call.

Rules of this room: a module imports what it measures inside ``connect``; the function sends the payload of
benchmarks/conversation.py and returns the text that came back.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Protocol, cast

from benchmarks.listening import Listening

__all__ = ["CLIENTS", "Client", "client"]

#: Every client of ``bench blocking`` by its name in the report, and its module here.
CLIENTS = {
    "fluxon": "fluxon_interface",
    "rpyc": "rpyc_connection",
    "pyro5": "pyro5_proxy",
    "grpc-sync": "grpc_stub",
    "requests": "requests_session",
    "http.client": "http_client",
    "websockets-sync": "websockets_sync",
}


class Client(Protocol):
    """What a module of this room has; ``SERVER`` is the name of the server it is measured against."""

    SERVER: str
    VERSIONS: tuple[str, ...]

    @staticmethod
    def connect(listening: Listening) -> Callable[[], str]: ...


def client(name: str) -> Client:
    """The module of the client called so in the report."""
    return cast(Client, importlib.import_module(f"benchmarks.clients.{CLIENTS[name]}"))
