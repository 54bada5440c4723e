"""What the storage says when it does not do what it was asked.

Rules kept here:

- A ``Refused`` carries the error that the caller gets. Whoever raises it has changed nothing in the transaction, so
  that the audit log's row can be written and committed before the error is raised outside.
- What may not be known and what is not there are told in the same words.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fluxon.cloud.permissions import Permissions
from fluxon.errors import (
    AlreadyExists,
    Conflict,
    FluxonError,
    InvalidPayload,
    Locked,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)


class Refused(Exception):
    """Not done; ``error`` says why. ``outcome`` is what the audit log says of it: the error's code, unless told."""

    def __init__(self, error: FluxonError, outcome: str | None = None) -> None:
        super().__init__(error.text)
        self.error = error
        self.outcome = error.code if outcome is None else outcome


def missing(is_hidden: bool) -> Refused:
    """For one who may see what is in the directory: nothing is, or something ``is_hidden``, as only the log says."""
    error = NotFound("there is nothing at this path that you may know of")
    return Refused(error, PermissionDenied.code if is_hidden else None)


def hidden() -> Refused:
    """For one who may not."""
    return Refused(PermissionDenied("you may not do this at this path"))


def denied(*permissions: Permissions) -> Refused:
    """For one who may know of the item."""
    names = " or ".join(each.value for each in permissions)
    return Refused(PermissionDenied(f"this needs {names} at this path", details={"permission": permissions[0].value}))


def denied_below() -> Refused:
    """Something in a directory stands in the way."""
    return Refused(PermissionDenied("something in this directory is not yours to do this with"))


def taken() -> Refused:
    """The name, with or without the same case."""
    return Refused(AlreadyExists("there is something of this name already (names are the same whatever their case)"))


def no_directory() -> Refused:
    """A path that leads through a file, or ends at one."""
    return Refused(InvalidPayload("this is a file, not a directory"))


def no_file() -> Refused:
    """A directory has no content."""
    return Refused(InvalidPayload("this is a directory, not a file"))


def too_long() -> Refused:
    """A path whose names are longer as they were given than as they were asked for."""
    return Refused(InvalidPayload("with the names as they were given the path would be too long"))


def changed(expected: int, version: int) -> Refused:
    """``if_version`` does not hold."""
    return Refused(
        Conflict(
            f"the file has version {version}, not {expected}; read it again",
            details={"expected": expected, "version": version},
        )
    )


def locked(holder: str | None = None, until: datetime | None = None) -> Refused:
    """Another's lock. ``holder`` and ``until`` are for those who may read the file."""
    if holder is None or until is None:
        return Refused(Locked("it is locked by another; try again later"))
    moment = until.isoformat(timespec="seconds")
    return Refused(Locked(f"it is locked by {holder} until {moment}", details={"holder": holder, "until": until}))


def over_quota(whose: str, limit: int, used: int, replaced: int, more: int) -> Refused:
    """No room left of what was allowed."""
    details: dict[str, Any] = {"limit": limit, "used": used, "versions": replaced, "needed": more}
    return Refused(
        ResourceExhausted(
            f"the quota of {whose} is {limit} bytes and {used} are used, {replaced} of them by older versions; "
            f"{more} more do not fit",
            details=details,
        )
    )


def over_other_quota(whose: str) -> Refused:
    """The same, for one who may not know how much is kept there."""
    return Refused(ResourceExhausted(f"the quota of {whose} has no room for this"))


def gain() -> Refused:
    """A move that would give the mover more rights at what they move."""
    return Refused(PermissionDenied("you would have more rights at it there than here, and rights are only assigned"))
