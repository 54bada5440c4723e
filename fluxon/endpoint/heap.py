"""The heap of a process whose purpose is a server.

Rules kept here:

- What is there when the server is ready stays until its end, and is not looked at again (``gc.freeze``). Python's
  collector goes through all objects now and then, and everybody waits: 30 to 60 ms for 90,000 of modules, models and
  statements, 2 to 4 for what came afterwards.
- Only whoever runs the process may do so; a server inside another application leaves that application's heap alone.
"""

from __future__ import annotations

import gc
from typing import Any

from twisted.python.failure import Failure

from fluxon.endpoint.service import ServerService


def settle_when_ready(server: ServerService[Any]) -> None:
    """Have the collector leave alone what there is when ``server`` listens for the first time."""
    server.when_ready().addCallbacks(_settle, _never_ready)


def _settle(_: object) -> None:
    gc.collect()  # garbage must not stay, too
    gc.freeze()


def _never_ready(_: Failure) -> None:
    """Whoever runs it is told elsewhere why."""
