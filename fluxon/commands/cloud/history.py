"""Commands for what was: older contents, deleted items, and the log of what was done."""

from __future__ import annotations

from fluxon.commands.arguments import Boolean, Integer, ListOf, Moment, Optional, Structure, Text
from fluxon.commands.cloud.common import COUNT, CURSOR, ITEM, MAX_PAGE, PAGE, PATH, SHA256, USER, CloudCommand

VERSION = Structure(
    {"version": COUNT, "size": COUNT, "sha256": SHA256, "at": Moment(), "by": Optional(Text(max_bytes=1_024))}
)

DELETED = Structure(
    {
        "id": Integer(),
        "path": Text(max_bytes=4_096),
        "type": Text(max_bytes=16),
        "size": COUNT,
        "deleted_at": Moment(),
        "deleted_by": Optional(Text(max_bytes=1_024)),
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


class Versions(CloudCommand):
    """The contents of a file that are kept, the newest first; the first is the present one."""

    name = "cloud.versions"
    arguments = {"path": PATH}
    response = {"versions": ListOf(VERSION, max_items=10_000)}


class Restore(CloudCommand):
    """Make an older version the content of a file again, or bring a deleted item back."""

    name = "cloud.restore"
    arguments = {"path": PATH, "version": Optional(COUNT), "deleted": Optional(Integer())}
    response = {"item": ITEM}


class Deleted(CloudCommand):
    """What was deleted below a directory and is still kept, the newest first."""

    name = "cloud.deleted"
    arguments = {"path": PATH, **PAGE}
    response = {"items": ListOf(DELETED, max_items=MAX_PAGE), "next": Optional(CURSOR)}


class Log(CloudCommand):
    """What was done, the newest first, at a path and below it; for those who may assign roles there."""

    name = "cloud.log"
    arguments = {
        "path": PATH,
        "user": Optional(USER),
        "since": Optional(Moment()),
        "until": Optional(Moment()),
        **PAGE,
    }
    response = {"actions": ListOf(ACTION, max_items=MAX_PAGE), "next": Optional(CURSOR)}
