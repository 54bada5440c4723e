"""The commands that carry an application: a view of the server's, or a function of the client's, by name.

What is to be done once and is asked again is a command of its own: a peer that does not know it says so, where an
option of ``call`` would be ignored and the work done twice.
"""

from __future__ import annotations

from fluxon.commands.arguments import Anything, Integer, Text
from fluxon.commands.base import Command
from fluxon.errors import FluxonError
from fluxon.limits import MAX_KEY, MAX_NAME


class Call(Command):
    """Either way: run ``view`` with ``payload`` and answer what it returns."""

    name = "call"
    arguments = {"view": Text(max_bytes=MAX_NAME, min_bytes=1), "payload": Anything()}
    response = Anything()
    # A view chooses its errors itself.
    errors = (FluxonError,)


class CallOnce(Command):
    """Client to server: as ``call``, and carried out once for all asks of one ``key`` in the session.

    Asked again, it is answered what the first one was; one that comes while the first is under way waits for it.
    ``Conflict`` when the key was used for another view or payload; ``OutcomeUnknown`` when it was carried out and the
    answer is no longer kept.
    """

    name = "call_once"
    arguments = {**Call.arguments, "key": Text(max_bytes=MAX_KEY, min_bytes=1)}
    response = Anything()
    errors = (FluxonError,)


class Deliver(Command):
    """Server to client: as ``call``, kept by the server until it is answered, or ``seen`` in a hello.

    Numbers grow within a session, with gaps. One that was carried out comes again when its answer was lost: it is then
    answered, with anything, and not carried out.
    """

    name = "deliver"
    arguments = {**Call.arguments, "number": Integer(1)}
    response = Anything()
    errors = (FluxonError,)
