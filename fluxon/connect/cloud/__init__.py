"""The clients of the cloud storage: ``CloudStorageConnector``, which blocks, and ``CloudClient``, for Twisted."""

from fluxon.connect.cloud.client import CloudClient, connect_cloud
from fluxon.connect.cloud.connector import CloudStorageConnector
from fluxon.connect.cloud.following import ANONYMOUS
from fluxon.connect.cloud.items import (
    CloudAction,
    CloudChange,
    CloudItem,
    CloudVersion,
    DeletedItem,
    RoleAssignment,
)
from fluxon.connect.cloud.leases import CloudLock
from fluxon.connect.cloud.watches import CloudWatch

__all__ = [
    "ANONYMOUS",
    "CloudAction",
    "CloudChange",
    "CloudClient",
    "CloudItem",
    "CloudLock",
    "CloudStorageConnector",
    "CloudVersion",
    "CloudWatch",
    "DeletedItem",
    "RoleAssignment",
    "connect_cloud",
]
