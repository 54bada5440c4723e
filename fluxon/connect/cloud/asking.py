"""How a transfer that blocks asks the cloud.

Rules of this module: what a server answers is checked before it is used, so that a broken one is a ``ProtocolError``.
"""

from __future__ import annotations

from typing import Any

from fluxon.commands import Command
from fluxon.connect.cloud.transfers import check_answer
from fluxon.connect.line import Line
from fluxon.connect.link import Link


def asked(line: Line, command: type[Command], arguments: dict[str, Any], seconds: float) -> Any:
    """The answer to ``command``."""
    answer = line.ask(command.name, arguments, seconds, command.name)
    check_answer(command, answer)
    return answer


def opened(line: Line, command: type[Command], arguments: dict[str, Any], seconds: float) -> tuple[Link, Any]:
    """The answer to ``command``, and the connection on which it may name a stream."""
    link, answer = line.open(command.name, arguments, seconds, command.name)
    check_answer(command, answer)
    return link, answer
