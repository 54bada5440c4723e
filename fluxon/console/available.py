"""Which commands the console of one server has: those of the table that its setup allows, then the project's own."""

from __future__ import annotations

from fluxon.console.command import Command
from fluxon.console.served import Served
from fluxon.console.table import COMMANDS


def available(served: Served) -> list[Command]:
    """In the order in which ``help`` shows them."""
    built_in = [each for each in COMMANDS if not each.python or served.setup.console_python]
    return [*built_in, *served.own]
