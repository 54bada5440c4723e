"""The clients: ``ConnectionInterface`` and ``CloudStorageConnector``, which block, for any program; ``connect`` and
``connect_cloud``, ``Client`` and ``CloudClient``, for Twisted's.
"""

from fluxon.connect.client import Client, connect
from fluxon.connect.cloud import ANONYMOUS, CloudClient, CloudStorageConnector, connect_cloud
from fluxon.connect.interface import ConnectionInterface

__all__ = [
    "ANONYMOUS",
    "Client",
    "CloudClient",
    "CloudStorageConnector",
    "ConnectionInterface",
    "connect",
    "connect_cloud",
]
