"""The servers under test, one file each: ``serve`` runs in a process of its own, ``conversation`` is what it is asked.

Rules of this room: a module imports what it measures inside ``serve``, so that naming a server loads nothing;
each is set up as its own documentation advises for speed; every one echoes the same payload through what its
users would write: a handler found by name, JSON or the codec of its own.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from benchmarks.conversation import Conversation
from benchmarks.listening import Listening

__all__ = ["BLOCKING_ONLY", "PARTS", "SERVERS", "Server", "server"]

#: Every server of ``bench rpc`` by its name in the report, and its module here.
SERVERS = {
    "fluxon": "fluxon_engine",
    "twisted-int32-cbor2": "twisted_int32",
    "twisted-amp": "twisted_amp",
    "websockets-uvloop": "websockets_uvloop",
    "autobahn": "autobahn_twisted",
    "grpc-aio": "grpc_aio",
    "rpyc": "rpyc_threaded",
    "fastapi-uvicorn": "fastapi_uvicorn",
}

#: Measured only when named: parts of Fluxon, which are neither peers nor baselines.
PARTS = {"fluxon-rpc": "fluxon_rpc", "fluxon-untold": "fluxon_untold"}

#: Servers that only a blocking client of their own is measured against.
BLOCKING_ONLY = {"grpc-sync": "grpc_sync", "pyro5": "pyro5_daemon"}


class Server(Protocol):
    """What a module of this room has."""

    TLS: bool
    VERSIONS: tuple[str, ...]

    @staticmethod
    def serve(listening: Listening) -> None: ...

    @staticmethod
    def conversation(listening: Listening) -> Conversation: ...


def server(name: str) -> Server:
    """The module of the server called so in the report."""
    module = {**SERVERS, **PARTS, **BLOCKING_ONLY}[name]
    return cast(Server, importlib.import_module(f"benchmarks.servers.{module}"))
