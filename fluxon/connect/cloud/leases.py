"""``CloudLock``: a file that nobody else changes, for a while. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any

from fluxon.errors import InvalidPayload


class CloudLock:
    """A lock of a file, until ``until``: what ``lock=`` of other calls takes.

    As a context manager it is unlocked at the end: ``with`` for the blocking client, ``async with`` for Twisted's.
    """

    __slots__ = ("_unlock", "id", "path", "until")

    def __init__(self, path: str, held: str, until: datetime, unlock: Callable[[CloudLock], Any]) -> None:
        self._unlock = unlock
        self.path = path
        #: What proves that it is ours: who knows it may change the file.
        self.id = held
        self.until = until

    def __repr__(self) -> str:
        return f"<lock of {self.path!r} until {self.until:%H:%M:%S} UTC>"

    def __enter__(self) -> CloudLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._unlock(self)

    async def __aenter__(self) -> CloudLock:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._unlock(self)


def lock_id(lock: object) -> str | None:
    """What the server knows a lock by."""
    found = getattr(lock, "id", lock)
    if found is not None and not isinstance(found, str):
        raise InvalidPayload("lock= is what lock() gave")
    return found
