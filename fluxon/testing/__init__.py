"""Tests of applications: a server in memory, its clients, its clock, and links that fail when they are told to."""

from fluxon.testing.calling import NoAnswer
from fluxon.testing.client import MemoryClient, ReceivedCall
from fluxon.testing.clock import Clock
from fluxon.testing.cloud import MemoryCloud
from fluxon.testing.link import Direction, Link
from fluxon.testing.server import MemoryServer

__all__ = [
    "Clock",
    "Direction",
    "Link",
    "MemoryClient",
    "MemoryCloud",
    "MemoryServer",
    "NoAnswer",
    "ReceivedCall",
]
