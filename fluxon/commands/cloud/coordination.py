"""Commands by which clients keep out of each other's way: locks, and news of changes."""

from __future__ import annotations

from fluxon.commands.arguments import Integer, Moment, Optional, Text
from fluxon.commands.base import Command
from fluxon.commands.cloud.common import PATH, STREAM, UPLOAD, CloudCommand


class Lock(CloudCommand):
    """Keep others from changing a file for ``seconds``, or until ``Unlock``; again with ``lock`` for longer."""

    name = "cloud.lock"
    arguments = {"path": PATH, "seconds": Integer(1, 86_400), "lock": Optional(UPLOAD)}
    response = {"lock": UPLOAD, "until": Moment()}


class Unlock(CloudCommand):
    """End a lock."""

    name = "cloud.unlock"
    arguments = {"path": PATH, "lock": UPLOAD}


class Watch(CloudCommand):
    """From now on be asked ``Changed`` when something at ``path`` or below it changes."""

    name = "cloud.watch"
    arguments = {"path": PATH}
    response = {"watch": STREAM}


class Unwatch(CloudCommand):
    """End a watch."""

    name = "cloud.unwatch"
    arguments = {"watch": STREAM}


class Changed(Command):
    """Server to client: something changed that the client watches, and may read."""

    name = "cloud.changed"
    arguments = {
        "watch": STREAM,
        # "create", "write", "delete", "move", "restore", "assign_role", …
        "action": Text(max_bytes=32),
        "path": Text(max_bytes=4_096),
        # Where it came from, for a move whose origin the client may know of.
        "source": Optional(Text(max_bytes=4_096)),
        "type": Text(max_bytes=16),
        "user": Text(max_bytes=1_024),
        "at": Moment(),
    }
