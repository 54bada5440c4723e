"""Servers as Twisted services, and running one: all wiring happens in this room."""

from fluxon.endpoint.run import run_server
from fluxon.endpoint.server import AsyncServer

__all__ = ["AsyncServer", "run_server"]
