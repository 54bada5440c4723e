"""Commands about who may do what."""

from __future__ import annotations

from fluxon.commands.arguments import ListOf, Moment, Optional, Structure, Text
from fluxon.commands.cloud.common import COUNT, NAME, PATH, USER, CloudCommand

ASSIGNMENT = Structure(
    {
        "path": Text(max_bytes=4_096),
        "user": Text(max_bytes=1_024),
        "role": NAME,
        "expires_at": Optional(Moment()),
        # Times of day in UTC, "HH:MM:SS".
        "valid_from": Optional(Text(max_bytes=8)),
        "valid_until": Optional(Text(max_bytes=8)),
    }
)


class Assign(CloudCommand):
    """Give a user a role at a path, as somebody who holds it there and may assign roles."""

    name = "cloud.assign"
    arguments = {
        "path": PATH,
        "user": USER,
        "role": NAME,
        "expires_at": Optional(Moment()),
        "valid_from": Optional(Text(max_bytes=8)),
        "valid_until": Optional(Text(max_bytes=8)),
    }
    response = {
        "user_assigned": Text(max_bytes=2_048),
        "cloud_relative_path": Text(max_bytes=4_096),
        "role": NAME,
        "status": Text(max_bytes=1_024),
    }


class Unassign(CloudCommand):
    """Take a role at a path from a user; every one that is assigned there without ``role``."""

    name = "cloud.unassign"
    arguments = {"path": PATH, "user": USER, "role": Optional(NAME)}
    response = {"removed": COUNT}


class Roles(CloudCommand):
    """The assignments at a path, for those who may assign roles there."""

    name = "cloud.roles"
    arguments = {"path": PATH}
    response = {"roles": ListOf(ASSIGNMENT, max_items=10_000)}


class OwnPermissions(CloudCommand):
    """What the asker may do at a path, by the names of permissions."""

    name = "cloud.permissions"
    arguments = {"path": PATH}
    response = {"permissions": ListOf(Text(max_bytes=64), max_items=64)}
