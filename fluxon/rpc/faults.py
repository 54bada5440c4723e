"""From an exception to what a stranger may know of it.

Rules of this room: a declared error crosses as it is; everything else crosses as ``Internal`` with an incident id, and
its traceback stays in the log under that id.
"""

from __future__ import annotations

import secrets

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.commands import Command
from fluxon.errors import Cancelled, FluxonError, Internal, of_program

_log = Logger(namespace="fluxon.rpc")


def to_error(failure: Failure, command: type[Command], what: str, cancelled: bool = False) -> FluxonError:
    """The error to send for a responder's ``failure``.

    ``what`` names the request in the log (a command or view); ``cancelled``: whether it was told to stop.
    """
    value = failure.value
    if isinstance(value, command.errors) and isinstance(value, FluxonError) and _make_presentable(value):
        return of_program(value)
    if cancelled and isinstance(value, CancelledError):
        return Cancelled()
    return to_internal(failure, what)


def to_internal(failure: Failure, what: str) -> Internal:
    """What of a ``failure`` that nobody declared may be sent; the log has the rest."""
    # 64 bits: found again by searching the log, guessed by nobody, collides never.
    incident = secrets.token_hex(8)
    _log.failure("incident {incident} in {what}", failure, incident=incident, what=what)
    text = f"the server failed on this request; its log says why, under incident {incident}"
    return Internal(text, details={"incident": incident})


def _make_presentable(error: FluxonError) -> bool:
    """See to it that ``error`` has a text and details that can be sent, whatever the application made it with."""
    try:
        text = getattr(error, "text", None)
        if type(text) is not str:  # a subclass that never called __init__, or a number, a dict: NotFound(17)
            error.text = error.default_text if text is None else str(text)
        if not isinstance(getattr(error, "details", None), dict):
            error.details = {}
        return type(error.code) is str and error.code.isascii()
    except Exception:  # a property, or a __str__, of the application's
        return False
