"""What can be asked of the cloud: for each operation its command, its arguments, and what its answer means. Pure.

Both clients offer these; they differ in how they wait. Arguments are checked when they are given: what is wrong with
one is an ``InvalidPayload`` that says so, before anything is sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, time
from pathlib import PurePath
from typing import Any, Generic, TypeVar

from attrs import frozen

from fluxon.commands import Command, cloud
from fluxon.connect.cloud.items import (
    CloudAction,
    CloudItem,
    CloudVersion,
    DeletedItem,
    RoleAssignment,
    read,
)
from fluxon.errors import InvalidPayload

T = TypeVar("T")

CloudPath = str | PurePath

#: A user, by username or by id.
User = str | int


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

    def page(self, after: str | None, fetched: int) -> dict[str, Any]:
        """The arguments of the next page."""
        left = cloud.MAX_PAGE if self.limit is None else min(self.limit - fetched, cloud.MAX_PAGE)
        return {**self.arguments, "after": after, "limit": left}

    def read(self, answer: dict[str, Any]) -> list[T]:
        return [read(self.kind, each) for each in answer[self.field]]

    def is_over(self, after: str | None, fetched: int) -> bool:
        return after is None or (self.limit is not None and fetched >= self.limit)


# --- what is given ----------------------------------------------------------------------------------------------------


def path_of(path: object) -> str:
    """A path of the cloud, from its root on: with a leading slash or without one, as text or as a ``PurePath``."""
    if isinstance(path, PurePath):
        path = path.as_posix()
    if not isinstance(path, str):
        raise InvalidPayload(f"a path of the cloud is text, like '/a/b', not {type(path).__name__}")
    if "\0" in path:
        raise InvalidPayload("a path of the cloud has no NUL in it")
    return path if path.startswith("/") else f"/{path}"


def content_of(data: object) -> bytes:
    """``data`` of a file."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    if isinstance(data, str):
        raise InvalidPayload("data= is bytes: a text needs an encoding first, as in data=text.encode()")
    raise InvalidPayload(f"data= is bytes, not {type(data).__name__}")


def local_path_of(path: object) -> str:
    """A path of this machine."""
    try:
        return os.fsdecode(os.fspath(path))  # type: ignore[call-overload]
    except TypeError:
        raise InvalidPayload("local_path= is a path of this machine, as text or a pathlib.Path") from None


def user_of(user: object) -> dict[str, Any]:
    """Who is meant, by username or id."""
    if isinstance(user, str) and user:
        return {"id": None, "name": user}
    if isinstance(user, int) and not isinstance(user, bool):
        return {"id": user, "name": None}
    raise InvalidPayload("a user is named by the username, as text, or by the id, as a number")


def _time_of_day(name: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = time.fromisoformat(value)
        except ValueError:
            raise InvalidPayload(f"{name}= is a time of day, like 08:30") from None
    if not isinstance(value, time) or value.tzinfo is not None:
        raise InvalidPayload(f"{name}= is a time of day in UTC, like datetime.time(8, 30)")
    return value.strftime("%H:%M:%S")


def _moment(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidPayload(f"{name}= is an aware datetime, like datetime.now(UTC)")
    return value


def _limit(limit: int | None) -> int | None:
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidPayload("limit= is a number from 1 on, or None for everything")
    return limit


def item(answer: dict[str, Any]) -> CloudItem:
    """The item of an answer."""
    return read(CloudItem, answer["item"])  # type: ignore[no-any-return]


def _nothing(_: dict[str, Any]) -> None:
    return None


# --- the operations ---------------------------------------------------------------------------------------------------


def stat(path: CloudPath) -> Request[CloudItem]:
    return Request(cloud.Stat, {"path": path_of(path)}, item)


def list_directory(path: CloudPath, limit: int | None) -> Paged[CloudItem]:
    return Paged(cloud.List, {"path": path_of(path)}, "items", CloudItem, _limit(limit))


def tree(path: CloudPath, limit: int | None) -> Paged[CloudItem]:
    return Paged(cloud.Tree, {"path": path_of(path)}, "items", CloudItem, _limit(limit))


def find(path: CloudPath, pattern: str, limit: int | None) -> Paged[CloudItem]:
    return Paged(cloud.Find, {"path": path_of(path), "pattern": pattern}, "items", CloudItem, _limit(limit))


def create_directory(path: CloudPath, parents: bool) -> Request[CloudItem]:
    return Request(cloud.MakeDirectory, {"path": path_of(path), "parents": parents}, item)


def create_file(path: CloudPath) -> Request[CloudItem]:
    return Request(cloud.MakeFile, {"path": path_of(path)}, item)


def delete(path: CloudPath, kind: str, lock: str | None) -> Request[None]:
    return Request(cloud.Delete, {"path": path_of(path), "type": kind, "lock": lock}, _nothing)


def move(path: CloudPath, to: CloudPath) -> Request[CloudItem]:
    return Request(cloud.Move, {"path": path_of(path), "to": path_of(to)}, item)


def copy(path: CloudPath, to: CloudPath) -> Request[CloudItem]:
    return Request(cloud.Copy, {"path": path_of(path), "to": path_of(to)}, item)


def versions(path: CloudPath) -> Request[list[CloudVersion]]:
    def result(answer: dict[str, Any]) -> list[CloudVersion]:
        return [read(CloudVersion, each) for each in answer["versions"]]

    return Request(cloud.Versions, {"path": path_of(path)}, result)


def restore(path: CloudPath, version: int | None, deleted: int | None) -> Request[CloudItem]:
    if (version is None) == (deleted is None):
        raise InvalidPayload("restore either a version= of a file, or what was deleted= (its id)")
    return Request(cloud.Restore, {"path": path_of(path), "version": version, "deleted": deleted}, item)


def deleted(path: CloudPath, limit: int | None) -> Paged[DeletedItem]:
    return Paged(cloud.Deleted, {"path": path_of(path)}, "items", DeletedItem, _limit(limit))


def lock(path: CloudPath, seconds: int, held: str | None) -> Request[tuple[str, datetime]]:
    def result(answer: dict[str, Any]) -> tuple[str, datetime]:
        return answer["lock"], answer["until"]

    return Request(cloud.Lock, {"path": path_of(path), "seconds": seconds, "lock": held}, result)


def unlock(path: CloudPath, held: str) -> Request[None]:
    return Request(cloud.Unlock, {"path": path_of(path), "lock": held}, _nothing)


def assign_role(
    path: CloudPath,
    user: User,
    role: str,
    expires_at: datetime | None,
    valid_from: time | str | None,
    valid_until: time | str | None,
) -> Request[dict[str, Any]]:
    arguments = {
        "path": path_of(path),
        "user": user_of(user),
        "role": role,
        "expires_at": _moment("expires_at", expires_at),
        "valid_from": _time_of_day("valid_from", valid_from),
        "valid_until": _time_of_day("valid_until", valid_until),
    }
    return Request(cloud.Assign, arguments, dict)


def remove_role(path: CloudPath, user: User, role: str | None) -> Request[int]:
    def result(answer: dict[str, Any]) -> int:
        return int(answer["removed"])

    return Request(cloud.Unassign, {"path": path_of(path), "user": user_of(user), "role": role}, result)


def roles(path: CloudPath) -> Request[list[RoleAssignment]]:
    def result(answer: dict[str, Any]) -> list[RoleAssignment]:
        return [read(RoleAssignment, each) for each in answer["roles"]]

    return Request(cloud.Roles, {"path": path_of(path)}, result)


def permissions(path: CloudPath) -> Request[frozenset[str]]:
    def result(answer: dict[str, Any]) -> frozenset[str]:
        return frozenset(answer["permissions"])

    return Request(cloud.OwnPermissions, {"path": path_of(path)}, result)


def log(
    path: CloudPath, user: User | None, since: datetime | None, until: datetime | None, limit: int | None
) -> Paged[CloudAction]:
    arguments = {
        "path": path_of(path),
        "user": None if user is None else user_of(user),
        "since": _moment("since", since),
        "until": _moment("until", until),
    }
    return Paged(cloud.Log, arguments, "actions", CloudAction, _limit(limit))


def watch(path: CloudPath) -> Request[int]:
    def result(answer: dict[str, Any]) -> int:
        return int(answer["watch"])

    return Request(cloud.Watch, {"path": path_of(path)}, result)


def unwatch(number: int) -> Request[None]:
    return Request(cloud.Unwatch, {"watch": number}, _nothing)
