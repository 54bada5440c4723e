"""Servers as Twisted services, and running one: all wiring happens in this room."""

from fluxon.endpoint.background import run_in_background
from fluxon.endpoint.cloud_server import CloudStorageServer
from fluxon.endpoint.run import run_server
from fluxon.endpoint.server import AsyncServer

__all__ = ["AsyncServer", "CloudStorageServer", "run_in_background", "run_server"]
