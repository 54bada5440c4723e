"""Commands of the cloud storage: what a client may ask about files, and how it is told of changes.

Rules kept here: paths are texts of the cloud (``/a/b``), checked by the server; bytes of more than ``INLINE`` travel as
a stream, whose tag the answer names; what is listed comes in pages, each with where the next one begins.
"""

from __future__ import annotations

from fluxon.commands.arguments import (
    Binary,
    Boolean,
    Field,
    Integer,
    ListOf,
    Moment,
    Optional,
    Structure,
    Text,
)
from fluxon.commands.base import Command
from fluxon.errors import (
    AlreadyExists,
    Conflict,
    InvalidPayload,
    Locked,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)

#: Bytes of a file that are sent within an answer or an ask; a round trip saved for most files, and no stream made.
INLINE = 256 * 1024

#: Entries of one page.
MAX_PAGE = 1_000

_PATH = Text(max_bytes=4_096, min_bytes=1)
_NAME = Text(max_bytes=255, min_bytes=1)
_COUNT = Integer(0)
_STREAM = Integer(0, 2**32 - 1)
_SHA256 = Text(max_bytes=64, min_bytes=64)
_UPLOAD = Text(max_bytes=64, min_bytes=16)
#: Where the next page begins; whatever the server gave, unread by the client.
_CURSOR = Text(max_bytes=8_192)
_PAGE: dict[str, Field] = {"after": Optional(_CURSOR), "limit": Integer(1, MAX_PAGE)}
#: A user, by name or by id.
_USER = Structure({"id": Optional(Integer()), "name": Optional(Text(max_bytes=1_024))})

ITEM = Structure(
    {
        "name": Text(max_bytes=255),
        "path": Text(max_bytes=4_096),
        "type": Text(max_bytes=16),
        "size": _COUNT,
        # Counts the contents that a file has had; 0 for a directory.
        "version": _COUNT,
        "sha256": Optional(_SHA256),
        # The username, or null: the administration, or somebody who is no longer a user.
        "creator": Optional(Text(max_bytes=1_024)),
        "created_at": Moment(),
        "modified_at": Moment(),
    }
)

VERSION = Structure(
    {"version": _COUNT, "size": _COUNT, "sha256": _SHA256, "at": Moment(), "by": Optional(Text(max_bytes=1_024))}
)

DELETED = Structure(
    {
        "id": Integer(),
        "path": Text(max_bytes=4_096),
        "type": Text(max_bytes=16),
        "size": _COUNT,
        "deleted_at": Moment(),
        "deleted_by": Optional(Text(max_bytes=1_024)),
    }
)

ASSIGNMENT = Structure(
    {
        "path": Text(max_bytes=4_096),
        "user": Text(max_bytes=1_024),
        "role": _NAME,
        "expires_at": Optional(Moment()),
        # Times of day in UTC, "HH:MM:SS".
        "valid_from": Optional(Text(max_bytes=8)),
        "valid_until": Optional(Text(max_bytes=8)),
    }
)

ACTION = Structure(
    {
        "user": Text(max_bytes=1_024),
        "path": Text(max_bytes=4_096),
        "action_type": Text(max_bytes=32),
        "allowed": Boolean(),
        "outcome": Text(max_bytes=64),
        "address": Optional(Text(max_bytes=64)),
        "details": Optional(Text(max_bytes=8_192)),
        "timestamp": Moment(),
    }
)


class CloudCommand(Command):
    """What all of them may raise."""

    errors = (
        AlreadyExists,
        Conflict,
        InvalidPayload,
        Locked,
        NotFound,
        OutcomeUnknown,
        PermissionDenied,
        ResourceExhausted,
        Unauthenticated,
        Unavailable,
    )


class Stat(CloudCommand):
    """What is known of an item."""

    name = "cloud.stat"
    arguments = {"path": _PATH}
    response = {"item": ITEM}


class List(CloudCommand):
    """What lies in a directory, by name, as far as the asker may know of it."""

    name = "cloud.list"
    arguments = {"path": _PATH, **_PAGE}
    response = {"items": ListOf(ITEM, max_items=MAX_PAGE), "next": Optional(_CURSOR)}


class Tree(CloudCommand):
    """What lies below a directory, at any depth, parents before what is in them."""

    name = "cloud.tree"
    arguments = {"path": _PATH, **_PAGE}
    response = {"items": ListOf(ITEM, max_items=MAX_PAGE), "next": Optional(_CURSOR)}


class Find(CloudCommand):
    """Items below a directory whose name fits ``pattern`` (``*`` and ``?``), without regard to case."""

    name = "cloud.find"
    arguments = {"path": _PATH, "pattern": _NAME, **_PAGE}
    response = {"items": ListOf(ITEM, max_items=MAX_PAGE), "next": Optional(_CURSOR)}


class MakeDirectory(CloudCommand):
    """Make a directory, and those above it that are missing if ``parents``."""

    name = "cloud.mkdir"
    arguments = {"path": _PATH, "parents": Boolean()}
    response = {"item": ITEM}


class MakeFile(CloudCommand):
    """Make an empty file."""

    name = "cloud.create"
    arguments = {"path": _PATH}
    response = {"item": ITEM}


class Write(CloudCommand):
    """Make ``data`` the content of a file in one step; for small contents.

    ``create``: whether the file is made if it is missing. ``if_version``: only if the file has that version, 0 for
    one that must not be there yet.
    """

    name = "cloud.write"
    arguments = {
        "path": _PATH,
        "data": Binary(max_bytes=INLINE),
        "create": Boolean(),
        "if_version": Optional(_COUNT),
        "lock": Optional(_UPLOAD),
    }
    response = {"item": ITEM}


class Upload(CloudCommand):
    """Begin a new content of a file, or go on with an upload that was interrupted: send from ``offset`` on.

    The content comes as the stream of the answer; ``Commit`` makes it the file's.
    """

    name = "cloud.upload"
    arguments = {
        "path": _PATH,
        "size": Optional(_COUNT),
        "create": Boolean(),
        "if_version": Optional(_COUNT),
        "lock": Optional(_UPLOAD),
        "upload": Optional(_UPLOAD),
    }
    response = {"upload": _UPLOAD, "offset": _COUNT, "stream": _STREAM}


class Commit(CloudCommand):
    """All of an upload was sent: ``size`` bytes with this hash. Answered when the file has them, durably.

    Asked again, it answers what it answered before.
    """

    name = "cloud.commit"
    arguments = {"upload": _UPLOAD, "size": _COUNT, "sha256": _SHA256}
    response = {"item": ITEM}


class Discard(CloudCommand):
    """Give an upload up."""

    name = "cloud.discard"
    arguments = {"upload": _UPLOAD}


class Read(CloudCommand):
    """A file's content from ``offset`` on, ``length`` bytes at most: in ``data``, or as a stream.

    ``version`` names an older content. ``item`` is what the file is at that moment; what was opened stays what it is.
    """

    name = "cloud.read"
    arguments = {"path": _PATH, "offset": _COUNT, "length": Optional(_COUNT), "version": Optional(_COUNT)}
    response = {
        "item": ITEM,
        "offset": _COUNT,
        "length": _COUNT,
        "data": Optional(Binary(max_bytes=INLINE)),
        "stream": Optional(_STREAM),
    }


class Delete(CloudCommand):
    """Delete a file, or a directory with all that is in it."""

    name = "cloud.delete"
    arguments = {"path": _PATH, "lock": Optional(_UPLOAD)}


class Move(CloudCommand):
    """Give an item another path."""

    name = "cloud.move"
    arguments = {"path": _PATH, "to": _PATH}
    response = {"item": ITEM}


class Copy(CloudCommand):
    """Make a copy of an item, and of all that is in it, at another path."""

    name = "cloud.copy"
    arguments = {"path": _PATH, "to": _PATH}
    response = {"item": ITEM}


class Versions(CloudCommand):
    """The contents of a file that are kept, the newest first; the first is the present one."""

    name = "cloud.versions"
    arguments = {"path": _PATH}
    response = {"versions": ListOf(VERSION, max_items=10_000)}


class Restore(CloudCommand):
    """Make an older version the content of a file again, or bring a deleted item back."""

    name = "cloud.restore"
    arguments = {"path": _PATH, "version": Optional(_COUNT), "deleted": Optional(Integer())}
    response = {"item": ITEM}


class Deleted(CloudCommand):
    """What was deleted below a directory and is still kept, the newest first."""

    name = "cloud.deleted"
    arguments = {"path": _PATH, **_PAGE}
    response = {"items": ListOf(DELETED, max_items=MAX_PAGE), "next": Optional(_CURSOR)}


class Assign(CloudCommand):
    """Give a user a role at a path, as somebody who holds it there and may assign roles."""

    name = "cloud.assign"
    arguments = {
        "path": _PATH,
        "user": _USER,
        "role": _NAME,
        "expires_at": Optional(Moment()),
        "valid_from": Optional(Text(max_bytes=8)),
        "valid_until": Optional(Text(max_bytes=8)),
    }
    response = {
        "user_assigned": Text(max_bytes=2_048),
        "cloud_relative_path": Text(max_bytes=4_096),
        "role": _NAME,
        "status": Text(max_bytes=1_024),
    }


class Unassign(CloudCommand):
    """Take a role at a path from a user; every one that is assigned there without ``role``."""

    name = "cloud.unassign"
    arguments = {"path": _PATH, "user": _USER, "role": Optional(_NAME)}
    response = {"removed": _COUNT}


class Roles(CloudCommand):
    """The assignments at a path, for those who may assign roles there."""

    name = "cloud.roles"
    arguments = {"path": _PATH}
    response = {"roles": ListOf(ASSIGNMENT, max_items=10_000)}


class OwnPermissions(CloudCommand):
    """What the asker may do at a path, by the names of permissions."""

    name = "cloud.permissions"
    arguments = {"path": _PATH}
    response = {"permissions": ListOf(Text(max_bytes=64), max_items=64)}


class Log(CloudCommand):
    """What was done, the newest first, at a path and below it; for those who may assign roles there."""

    name = "cloud.log"
    arguments = {
        "path": _PATH,
        "user": Optional(_USER),
        "since": Optional(Moment()),
        "until": Optional(Moment()),
        **_PAGE,
    }
    response = {"actions": ListOf(ACTION, max_items=MAX_PAGE), "next": Optional(_CURSOR)}


class Lock(CloudCommand):
    """Keep others from changing a file for ``seconds``, or until ``Unlock``; again with ``lock`` for longer."""

    name = "cloud.lock"
    arguments = {"path": _PATH, "seconds": Integer(1, 86_400), "lock": Optional(_UPLOAD)}
    response = {"lock": _UPLOAD, "until": Moment()}


class Unlock(CloudCommand):
    """End a lock."""

    name = "cloud.unlock"
    arguments = {"path": _PATH, "lock": _UPLOAD}


class Watch(CloudCommand):
    """From now on be asked ``Changed`` when something at ``path`` or below it changes."""

    name = "cloud.watch"
    arguments = {"path": _PATH}
    response = {"watch": _STREAM}


class Unwatch(CloudCommand):
    """End a watch."""

    name = "cloud.unwatch"
    arguments = {"watch": _STREAM}


class Changed(Command):
    """Server to client: something changed that the client watches, and may read."""

    name = "cloud.changed"
    arguments = {
        "watch": _STREAM,
        # "create", "write", "delete", "move", "restore", "assign_role", …
        "action": Text(max_bytes=32),
        "path": Text(max_bytes=4_096),
        # Where it came from, for a move whose origin the client may know of.
        "source": Optional(Text(max_bytes=4_096)),
        "type": Text(max_bytes=16),
        "user": Text(max_bytes=1_024),
        "at": Moment(),
    }
