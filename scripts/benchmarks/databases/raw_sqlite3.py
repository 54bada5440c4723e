"""The standard library's module by hand: a connection for each thread, prepared by its own cache of statements.

What it answers are plain tuples, the fastest that there is: this is what the others are measured against.
"""

from __future__ import annotations

import sqlite3
import threading
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.databases import Calls, InThreads

VERSIONS = ()

_COLUMNS = "id, name, team, score, rating, motto"


def open_calls(path: Path) -> Calls:
    return _Raw(path)


class _Raw(InThreads):
    key_of = staticmethod(itemgetter(0))

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._own = threading.local()

    def _connection(self) -> sqlite3.Connection:
        try:
            return self._own.connection  # type: ignore[no-any-return]
        except AttributeError:
            # One statement is one transaction; a writer waits its turn inside SQLite.
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._own.connection = connection
            return connection

    def select_key(self, key: int) -> Any:
        return self._connection().execute(f"SELECT {_COLUMNS} FROM player WHERE id = ?", (key,)).fetchone()

    def select_list(self, team: int) -> Any:
        return self._connection().execute(f"SELECT {_COLUMNS} FROM player WHERE team = ?", (team,)).fetchall()

    def insert(self, name: str, team: int) -> Any:
        text = "INSERT INTO player (name, team, score, rating, motto) VALUES (?, ?, ?, ?, ?)"
        return self._connection().execute(text, (name, team, 0, 0.5, "none")).lastrowid

    def update(self, key: int, score: int) -> Any:
        return self._connection().execute("UPDATE player SET score = ? WHERE id = ?", (score, key)).rowcount

    def durability(self) -> tuple[str, int]:
        ask = self._connection().execute
        return ask("PRAGMA journal_mode").fetchone()[0], ask("PRAGMA synchronous").fetchone()[0]

    def thread_done(self) -> None:
        self._connection().close()
        del self._own.connection
