"""The clients: ``ConnectionInterface``, which blocks, for any program; ``connect`` and ``Client`` for Twisted's."""

from fluxon.connect.client import Client, connect
from fluxon.connect.interface import ConnectionInterface

__all__ = ["Client", "ConnectionInterface", "connect"]
