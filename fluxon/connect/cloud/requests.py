"""What can be asked of the cloud: for each operation its command, its arguments, and what its answer means. Pure.

Both clients offer these (``calls``), with the arguments and the text that they have here; they differ in how they wait.
Arguments are checked when they are given: what is wrong with one is an ``InvalidPayload``, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from typing import Any, Generic, TypeVar

from attrs import frozen

from fluxon.commands import Command, cloud
from fluxon.connect.cloud.given import CloudPath, User, limit_of, moment, path_of, time_of_day, user_of
from fluxon.connect.cloud.items import (
    CloudAction,
    CloudItem,
    CloudVersion,
    DeletedItem,
    RoleAssignment,
    read,
)
from fluxon.connect.cloud.leases import CloudLock, lock_id
from fluxon.errors import InvalidPayload, ProtocolError

T = TypeVar("T")


@frozen
class Request(Generic[T]):
    """One command, and what its answer means."""

    command: type[Command]
    arguments: dict[str, Any]
    result: Callable[[dict[str, Any]], T]


@frozen
class Paged(Generic[T]):
    """A command that answers in pages. ``limit`` bounds what is fetched in all; None for everything."""

    command: type[Command]
    arguments: dict[str, Any]
    field: str
    kind: type[T]
    limit: int | None

    def pages(self) -> Pages[T]:
        """To fetch them all."""
        return Pages(self)


class Pages(Generic[T]):
    """The pages of one listing, as they come. One that goes in circles, or is too large, is a broken server's."""

    def __init__(self, paged: Paged[T]) -> None:
        self.command = paged.command
        #: What has come.
        self.found: list[T] = []
        self.over = False
        self._paged = paged
        self._after: str | None = None
        self._begun_after: set[str | None] = {None}

    def arguments(self) -> dict[str, Any]:
        """Of the command that fetches the next page."""
        return {**self._paged.arguments, "after": self._after, "limit": self._wanted()}

    def take(self, answer: dict[str, Any]) -> None:
        """The next page."""
        page = answer[self._paged.field]
        if len(page) > self._wanted():
            raise ProtocolError("the server listed more than it was asked for")
        self.found += [read(self._paged.kind, each) for each in page]
        limit, self._after = self._paged.limit, answer["next"]
        self.over = self._after is None or (limit is not None and len(self.found) >= limit)
        if not self.over:
            if self._after in self._begun_after:
                raise ProtocolError("the server lists the same page again and again")
            self._begun_after.add(self._after)

    def _wanted(self) -> int:
        limit = self._paged.limit
        return cloud.MAX_PAGE if limit is None else min(limit - len(self.found), cloud.MAX_PAGE)


def item(answer: dict[str, Any]) -> CloudItem:
    """The item of an answer."""
    return read(CloudItem, answer["item"])  # type: ignore[no-any-return]


def _nothing(_: dict[str, Any]) -> None:
    return None


# --- items ------------------------------------------------------------------------------------------------------------


def stat(relative_path: CloudPath) -> Request[CloudItem]:
    """What is known of an item."""
    return Request(cloud.Stat, {"path": path_of(relative_path)}, item)


def list_directory(relative_path: CloudPath = "/", *, limit: int | None = None) -> Paged[CloudItem]:
    """What lies in a directory, by name, as far as this user may know of it; the first ``limit`` items of it."""
    return Paged(cloud.List, {"path": path_of(relative_path)}, "items", CloudItem, limit_of(limit))


def read_tree_directory(relative_path: CloudPath = "/", *, limit: int | None = None) -> Paged[CloudItem]:
    """What lies below a directory, at any depth, directories before what is in them."""
    return Paged(cloud.Tree, {"path": path_of(relative_path)}, "items", CloudItem, limit_of(limit))


def find(relative_path: CloudPath, pattern: str, *, limit: int | None = None) -> Paged[CloudItem]:
    """What lies below a directory and has a name like ``pattern`` (``*`` and ``?``, without regard to case)."""
    arguments = {"path": path_of(relative_path), "pattern": pattern}
    return Paged(cloud.Find, arguments, "items", CloudItem, limit_of(limit))


def create_directory(relative_path: CloudPath, *, parents: bool = False) -> Request[CloudItem]:
    """Make a directory; with ``parents`` those above it, too, and none of them need be new."""
    return Request(cloud.MakeDirectory, {"path": path_of(relative_path), "parents": parents}, item)


def create_file(relative_path: CloudPath) -> Request[CloudItem]:
    """Make an empty file."""
    return Request(cloud.MakeFile, {"path": path_of(relative_path)}, item)


def delete_file(relative_path: CloudPath, *, lock: CloudLock | str | None = None) -> Request[None]:
    """Delete a file. ``InvalidPayload`` for a directory."""
    return Request(cloud.Delete, {"path": path_of(relative_path), "type": "file", "lock": lock_id(lock)}, _nothing)


def delete_directory(relative_path: CloudPath) -> Request[None]:
    """Delete a directory and all that is in it. ``InvalidPayload`` for a file."""
    return Request(cloud.Delete, {"path": path_of(relative_path), "type": "directory", "lock": None}, _nothing)


def move(relative_path: CloudPath, new_path: CloudPath) -> Request[CloudItem]:
    """Give an item another path, or name."""
    return Request(cloud.Move, {"path": path_of(relative_path), "to": path_of(new_path)}, item)


def copy(relative_path: CloudPath, new_path: CloudPath) -> Request[CloudItem]:
    """Make a copy of an item, and of all that is in it, at another path."""
    return Request(cloud.Copy, {"path": path_of(relative_path), "to": path_of(new_path)}, item)


# --- history ----------------------------------------------------------------------------------------------------------


def versions(relative_path: CloudPath) -> Request[list[CloudVersion]]:
    """The contents of a file that are kept, the present one first."""

    def result(answer: dict[str, Any]) -> list[CloudVersion]:
        return [read(CloudVersion, each) for each in answer["versions"]]

    return Request(cloud.Versions, {"path": path_of(relative_path)}, result)


def restore(relative_path: CloudPath, *, version: int | None = None, deleted: int | None = None) -> Request[CloudItem]:
    """Make an older version the content again, or bring back to this path what was ``deleted`` (its id)."""
    if (version is None) == (deleted is None):
        raise InvalidPayload("restore either a version= of a file, or what was deleted= (its id)")
    return Request(cloud.Restore, {"path": path_of(relative_path), "version": version, "deleted": deleted}, item)


def deleted(relative_path: CloudPath = "/", *, limit: int | None = None) -> Paged[DeletedItem]:
    """What was deleted below a directory and is still kept, the newest first."""
    return Paged(cloud.Deleted, {"path": path_of(relative_path)}, "items", DeletedItem, limit_of(limit))


def log(
    relative_path: CloudPath = "/",
    *,
    user: User | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = 1_000,
) -> Paged[CloudAction]:
    """What was done at a path and below it, the newest first, allowed or not; ``limit=None`` for all of it."""
    arguments = {
        "path": path_of(relative_path),
        "user": None if user is None else user_of(user),
        "since": moment("since", since),
        "until": moment("until", until),
    }
    return Paged(cloud.Log, arguments, "actions", CloudAction, limit_of(limit))


# --- roles ------------------------------------------------------------------------------------------------------------


def assign_role(
    relative_path: CloudPath,
    user: User,
    role: str,
    *,
    expires_at: datetime | None = None,
    valid_from: time | str | None = None,
    valid_until: time | str | None = None,
) -> Request[dict[str, Any]]:
    """Give ``user`` (a username or an id) a role at a path and below it; a summary of what happened.

    ``PermissionDenied`` unless this user may assign roles there, and holds what the role permits.
    """
    arguments = {
        "path": path_of(relative_path),
        "user": user_of(user),
        "role": role,
        "expires_at": moment("expires_at", expires_at),
        "valid_from": time_of_day("valid_from", valid_from),
        "valid_until": time_of_day("valid_until", valid_until),
    }
    return Request(cloud.Assign, arguments, dict)


def remove_role(relative_path: CloudPath, user: User, role: str | None = None) -> Request[int]:
    """Take a role at a path from ``user``, or every one that is assigned there; how many were."""

    def result(answer: dict[str, Any]) -> int:
        return int(answer["removed"])

    return Request(cloud.Unassign, {"path": path_of(relative_path), "user": user_of(user), "role": role}, result)


def roles(relative_path: CloudPath) -> Request[list[RoleAssignment]]:
    """The roles that are assigned at a path."""

    def result(answer: dict[str, Any]) -> list[RoleAssignment]:
        return [read(RoleAssignment, each) for each in answer["roles"]]

    return Request(cloud.Roles, {"path": path_of(relative_path)}, result)


def permissions(relative_path: CloudPath) -> Request[frozenset[str]]:
    """What this user may do at a path: names of ``Permissions``."""

    def result(answer: dict[str, Any]) -> frozenset[str]:
        return frozenset(answer["permissions"])

    return Request(cloud.OwnPermissions, {"path": path_of(relative_path)}, result)


# --- locks and watches: what a client makes of them is its own --------------------------------------------------------


def lock(path: CloudPath, seconds: int, held: str | None) -> Request[tuple[str, datetime]]:
    def result(answer: dict[str, Any]) -> tuple[str, datetime]:
        return answer["lock"], answer["until"]

    return Request(cloud.Lock, {"path": path_of(path), "seconds": seconds, "lock": held}, result)


def unlock(lock: CloudLock) -> Request[None]:
    """End a lock."""
    return Request(cloud.Unlock, {"path": path_of(lock.path), "lock": lock.id}, _nothing)


def watch(path: CloudPath) -> Request[int]:
    def result(answer: dict[str, Any]) -> int:
        return int(answer["watch"])

    return Request(cloud.Watch, {"path": path_of(path)}, result)


def unwatch(number: int) -> Request[None]:
    return Request(cloud.Unwatch, {"watch": number}, _nothing)
