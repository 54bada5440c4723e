"""The clients: ``ConnectionInterface``, which blocks, for any program."""

from fluxon.connect.interface import ConnectionInterface

__all__ = ["ConnectionInterface"]
