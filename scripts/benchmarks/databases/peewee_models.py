"""peewee: its database keeps a connection for each thread; statements of its query builder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.databases import Calls, InThreads

VERSIONS = ("peewee",)


def open_calls(path: Path) -> Calls:
    import peewee

    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database = peewee.SqliteDatabase(path, pragmas=pragmas, timeout=30)

    class Player(peewee.Model):  # type: ignore[misc]
        name = peewee.CharField(max_length=100)
        team = peewee.IntegerField(index=True)
        score = peewee.IntegerField()
        rating = peewee.FloatField()
        motto = peewee.TextField()

        class Meta:
            table_name = "player"

    Player.bind(database)

    class Peewee(InThreads):
        def select_key(self, key: int) -> Any:
            return Player.get_by_id(key)

        def select_list(self, team: int) -> Any:
            return list(Player.select().where(Player.team == team))

        def insert(self, name: str, team: int) -> Any:
            return Player.insert(name=name, team=team, score=0, rating=0.5, motto="none").execute()

        def update(self, key: int, score: int) -> Any:
            return Player.update(score=score).where(Player.id == key).execute()

        def durability(self) -> tuple[str, int]:
            return database.pragma("journal_mode"), database.pragma("synchronous")

        def thread_done(self) -> None:
            database.close()

    return Peewee()
