"""Commands that carry what is in files."""

from __future__ import annotations

from fluxon.commands.arguments import Binary, Boolean, Optional
from fluxon.commands.cloud.common import COUNT, INLINE, ITEM, PATH, SHA256, STREAM, UPLOAD, CloudCommand


class Write(CloudCommand):
    """Make ``data`` the content of a file in one step; for small contents.

    ``create``: whether the file is made if it is missing. ``if_version``: only if the file has that version, 0 for
    one that must not be there yet.
    """

    name = "cloud.write"
    arguments = {
        "path": PATH,
        "data": Binary(max_bytes=INLINE),
        "create": Boolean(),
        "if_version": Optional(COUNT),
        "lock": Optional(UPLOAD),
    }
    response = {"item": ITEM}


class Upload(CloudCommand):
    """Begin a new content of a file, or go on with an upload that was interrupted: send from ``offset`` on.

    The content comes as the stream of the answer; ``Commit`` makes it the file's.
    """

    name = "cloud.upload"
    opens = True
    arguments = {
        "path": PATH,
        "size": Optional(COUNT),
        "create": Boolean(),
        "if_version": Optional(COUNT),
        "lock": Optional(UPLOAD),
        "upload": Optional(UPLOAD),
    }
    response = {"upload": UPLOAD, "offset": COUNT, "stream": STREAM}


class Commit(CloudCommand):
    """All of an upload was sent: ``size`` bytes with this hash. Answered when the file has them, durably.

    Asked again, it answers what it answered before.
    """

    name = "cloud.commit"
    arguments = {"upload": UPLOAD, "size": COUNT, "sha256": SHA256}
    response = {"item": ITEM}


class Discard(CloudCommand):
    """Give an upload up."""

    name = "cloud.discard"
    arguments = {"upload": UPLOAD}


class Read(CloudCommand):
    """A file's content from ``offset`` on, ``length`` bytes at most: in ``data``, or as a stream.

    ``version`` names an older content. ``item`` is what the file is at that moment; what was opened stays what it is.
    """

    name = "cloud.read"
    opens = True
    arguments = {"path": PATH, "offset": COUNT, "length": Optional(COUNT), "version": Optional(COUNT)}
    response = {
        "item": ITEM,
        "offset": COUNT,
        "length": COUNT,
        "data": Optional(Binary(max_bytes=INLINE)),
        "stream": Optional(STREAM),
    }
