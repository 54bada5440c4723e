"""The command that carries an application: a view of the server's, or a function of the client's, by name."""

from __future__ import annotations

from fluxon.commands.arguments import Anything, Text
from fluxon.commands.base import Command
from fluxon.errors import FluxonError
from fluxon.limits import MAX_NAME


class Call(Command):
    """Either way: run ``view`` with ``payload`` and answer what it returns."""

    name = "call"
    arguments = {"view": Text(max_bytes=MAX_NAME, min_bytes=1), "payload": Anything()}
    response = Anything()
    # A view chooses its errors itself.
    errors = (FluxonError,)
