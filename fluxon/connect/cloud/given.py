"""What a program gives to a call of the cloud, as the wire has it; ``InvalidPayload`` says what is wrong. Pure."""

from __future__ import annotations

import os
from datetime import datetime, time
from pathlib import PurePath
from typing import Any

from fluxon.errors import InvalidPayload

CloudPath = str | PurePath

#: A user, by username or by id.
User = str | int


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
        local = os.fsdecode(os.fspath(path))  # type: ignore[call-overload]
    except TypeError:
        raise InvalidPayload("local_path= is a path of this machine, as text or a pathlib.Path") from None
    if "\0" in local:
        raise InvalidPayload("local_path= has a NUL in it, which no file's name has")
    return local


def user_of(user: object) -> dict[str, Any]:
    """Who is meant, by username or id."""
    if isinstance(user, str) and user:
        return {"id": None, "name": user}
    if isinstance(user, int) and not isinstance(user, bool):
        return {"id": user, "name": None}
    raise InvalidPayload("a user is named by the username, as text, or by the id, as a number")


def time_of_day(name: str, value: object) -> str | None:
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


def moment(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidPayload(f"{name}= is an aware datetime, like datetime.now(UTC)")
    return value


def limit_of(limit: int | None) -> int | None:
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidPayload("limit= is a number from 1 on, or None for everything")
    return limit
