"""Django's ORM: its plain calls in threads, its ``a…`` calls under asyncio.

Django keeps a connection for each thread; ``init_command`` and ``transaction_mode`` are what its notes on SQLite
advise for production.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.databases import Calls, InThreads

VERSIONS = ("django",)


def open_calls(path: Path) -> Calls:
    import django
    from django.conf import settings

    options = {
        "timeout": 30,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
    }
    engine = "django.db.backends.sqlite3"
    settings.configure(
        DEBUG=False, USE_TZ=True, DATABASES={"default": {"ENGINE": engine, "NAME": path, "OPTIONS": options}}
    )
    django.setup()
    from django.db import connection, models

    class Player(models.Model):  # type: ignore[misc]
        name = models.CharField(max_length=100)
        team = models.IntegerField(db_index=True)
        score = models.IntegerField()
        rating = models.FloatField()
        motto = models.TextField()

        class Meta:
            app_label = "bench"
            db_table = "player"

    players = Player.objects

    class Django(InThreads):
        def select_key(self, key: int) -> Any:
            return players.get(pk=key)

        def select_list(self, team: int) -> Any:
            return list(players.filter(team=team))

        def insert(self, name: str, team: int) -> Any:
            return players.create(name=name, team=team, score=0, rating=0.5, motto="none").pk

        def update(self, key: int, score: int) -> Any:
            return players.filter(pk=key).update(score=score)

        def durability(self) -> tuple[str, int]:
            with connection.cursor() as cursor:
                mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
                return mode, cursor.execute("PRAGMA synchronous").fetchone()[0]

        async def select_key_async(self, key: int) -> Any:
            return await players.aget(pk=key)

        async def select_list_async(self, team: int) -> Any:
            return [each async for each in players.filter(team=team)]

        async def insert_async(self, name: str, team: int) -> Any:
            return (await players.acreate(name=name, team=team, score=0, rating=0.5, motto="none")).pk

        async def update_async(self, key: int, score: int) -> Any:
            return await players.filter(pk=key).aupdate(score=score)

        def thread_done(self) -> None:
            connection.close()

    return Django()
