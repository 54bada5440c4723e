"""What the cloud's commands have in common: types of arguments, and the errors that all may raise."""

from __future__ import annotations

from fluxon.commands.arguments import Field, Integer, Moment, Optional, Structure, Text
from fluxon.commands.base import Command
from fluxon.errors import (
    AlreadyExists,
    Conflict,
    DeadlineExceeded,
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

PATH = Text(max_bytes=4_096, min_bytes=1)
NAME = Text(max_bytes=255, min_bytes=1)
COUNT = Integer(0)
STREAM = Integer(0, 2**32 - 1)
SHA256 = Text(max_bytes=64, min_bytes=64)
#: The name of an upload or of a lock: random, made by the server; whoever knows it has it.
UPLOAD = Text(max_bytes=64, min_bytes=16)
#: Where the next page begins; whatever the server gave, unread by the client.
CURSOR = Text(max_bytes=8_192)
PAGE: dict[str, Field] = {"after": Optional(CURSOR), "limit": Integer(1, MAX_PAGE)}
#: A user, by name or by id.
USER = Structure({"id": Optional(Integer()), "name": Optional(Text(max_bytes=1_024))})

ITEM = Structure(
    {
        "name": Text(max_bytes=255),
        "path": Text(max_bytes=4_096),
        "type": Text(max_bytes=16),
        "size": COUNT,
        # Counts the contents that a file has had; 0 for a directory.
        "version": COUNT,
        "sha256": Optional(SHA256),
        # The username, or null: the administration, or somebody who is no longer a user.
        "creator": Optional(Text(max_bytes=1_024)),
        "created_at": Moment(),
        "modified_at": Moment(),
    }
)


class CloudCommand(Command):
    """What all of them may raise."""

    errors = (
        AlreadyExists,
        Conflict,
        DeadlineExceeded,
        InvalidPayload,
        Locked,
        NotFound,
        OutcomeUnknown,
        PermissionDenied,
        ResourceExhausted,
        Unauthenticated,
        Unavailable,
    )
