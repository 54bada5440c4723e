"""The ways to an SQLite file under test, one file each.

Rules of this room: a module imports what it measures inside ``open_calls``; each is written as its own documentation
advises for speed, and answers rows whose columns have names; who has no asynchronous API of its own is called through
asyncio's thread pool, as asyncio's documentation says.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol, cast

__all__ = ["DATABASES", "Calls", "Database", "InThreads", "database"]

#: Every contender by its name in the report, and its module here.
DATABASES = {
    "fluxon": "fluxon_models",
    "raw-sqlite3": "raw_sqlite3",
    "django": "django_orm",
    "sqlalchemy": "sqlalchemy_orm",
    "peewee": "peewee_models",
}

#: Threads of asyncio's pool for those without an asynchronous API: more of them are slower on two cores.
POOL_THREADS = 4


class Calls(Protocol):
    """What is measured. The plain functions are called in threads, the others by many coroutines at once."""

    #: The key of an answered row.
    key_of: Callable[[Any], int]

    def select_key(self, key: int) -> Any:
        """The row with this key."""

    def select_list(self, team: int) -> Sequence[Any]:
        """The rows of a team."""

    def insert(self, name: str, team: int) -> int:
        """Add a row; its key. It is on the disk."""

    def update(self, key: int, score: int) -> int:
        """Set a row's score; how many rows that were. It is on the disk."""

    def durability(self) -> tuple[str, int]:
        """The journal mode and ``synchronous`` of the connection that this thread writes with."""

    async def select_key_async(self, key: int) -> Any: ...
    async def select_list_async(self, team: int) -> Sequence[Any]: ...
    async def insert_async(self, name: str, team: int) -> int: ...
    async def update_async(self, key: int, score: int) -> int: ...

    def run(self, main: Callable[[], Coroutine[Any, Any, None]], callers: int) -> None:
        """Run ``main()`` that often at once on the event loop; raises what one of them raised."""

    def thread_done(self) -> None:
        """A thread that called ends now: let go of what it has."""


class InThreads:
    """Coroutines by way of asyncio's threads; rows are objects."""

    key_of = staticmethod(attrgetter("id"))

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(POOL_THREADS)

    async def select_key_async(self: Any, key: int) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.select_key, key)

    async def select_list_async(self: Any, team: int) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.select_list, team)

    async def insert_async(self: Any, name: str, team: int) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.insert, name, team)

    async def update_async(self: Any, key: int, score: int) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.update, key, score)

    def run(self, main: Callable[[], Coroutine[Any, Any, None]], callers: int) -> None:
        async def everybody() -> None:
            await asyncio.gather(*(main() for _ in range(callers)))

        asyncio.run(everybody())


class Database(Protocol):
    """What a module of this room has."""

    VERSIONS: tuple[str, ...]

    @staticmethod
    def open_calls(path: Path) -> Calls: ...


def database(name: str) -> Database:
    """The module of the contender called so in the report."""
    return cast(Database, importlib.import_module(f"benchmarks.databases.{DATABASES[name]}"))
