"""Fluxon: a model, the same calls in threads and on the reactor."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from operator import attrgetter
from pathlib import Path
from typing import Any

from benchmarks.databases import Calls

VERSIONS = ("twisted", "sqlalchemy")


def open_calls(path: Path) -> Calls:
    from twisted.internet import defer, reactor
    from twisted.python.failure import Failure

    from fluxon.database import models
    from fluxon.database.apis import SQLiteDatabase
    from fluxon.database.query import where

    class Player(models.Model):
        name = models.CharField(max_length=100)
        team = models.IntegerField(db_index=True)
        score = models.IntegerField()
        rating = models.FloatField()
        motto = models.TextField()

    database = SQLiteDatabase(path, models=[Player])

    class Fluxon:
        key_of = staticmethod(attrgetter("id"))

        def select_key(self, key: int) -> Any:
            return Player.Get(key)

        def select_list(self, team: int) -> Any:
            return Player.Check(where[Player.team == team])

        def insert(self, name: str, team: int) -> Any:
            return Player.Insert(name=name, team=team, score=0, rating=0.5, motto="none")

        def update(self, key: int, score: int) -> Any:
            return Player.Update({"score": score}, where[Player.id == key])

        def durability(self) -> tuple[str, int]:
            def ask(connection: Any) -> tuple[str, int]:
                mode, level = (connection.raw.execute(f"PRAGMA {each}") for each in ("journal_mode", "synchronous"))
                return mode.fetchone()[0], level.fetchone()[0]

            return database.write_blocking(ask)

        async def select_key_async(self, key: int) -> Any:
            return await Player.Get(key)

        async def select_list_async(self, team: int) -> Any:
            return await Player.Check(where[Player.team == team])

        async def insert_async(self, name: str, team: int) -> Any:
            return await Player.Insert(name=name, team=team, score=0, rating=0.5, motto="none")

        async def update_async(self, key: int, score: int) -> Any:
            return await Player.Update({"score": score}, where[Player.id == key])

        def run(self, main: Callable[[], Coroutine[Any, Any, None]], callers: int) -> None:
            problems: list[Failure] = []

            def begin() -> None:
                everybody = [defer.Deferred.fromCoroutine(main()) for _ in range(callers)]
                done = defer.gatherResults(everybody, consumeErrors=True)
                done.addErrback(problems.append)
                done.addBoth(lambda _: reactor.crash())  # type: ignore[attr-defined]

            reactor.callWhenRunning(begin)  # type: ignore[attr-defined]
            # Signals stay the caller's, and crash() lets it run again for the next measurement.
            reactor.run(installSignalHandlers=False)  # type: ignore[attr-defined]
            if problems:
                problems[0].raiseException()

        def thread_done(self) -> None:
            pass

    return Fluxon()
