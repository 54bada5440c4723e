"""SQLAlchemy's ORM: a Session for each unit of work, in threads; an AsyncSession on aiosqlite under asyncio.

No ``from __future__ import annotations`` here: the mapping is read from the annotations inside the function.
"""

from pathlib import Path
from typing import Any

from benchmarks.databases import Calls, InThreads

VERSIONS = ("sqlalchemy", "aiosqlite")


def open_calls(path: Path) -> Calls:
    import sqlalchemy
    from sqlalchemy import event, orm
    from sqlalchemy.ext import asyncio

    class Base(orm.DeclarativeBase):
        pass

    class Player(Base):
        __tablename__ = "player"
        id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
        name: orm.Mapped[str] = orm.mapped_column(sqlalchemy.String(100))
        team: orm.Mapped[int] = orm.mapped_column(index=True)
        score: orm.Mapped[int]
        rating: orm.Mapped[float]
        motto: orm.Mapped[str]

    def configure(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    patience = {"timeout": 30}
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", connect_args=patience)
    # aiosqlite has a thread for each connection: with one of them it is faster than with more.
    async_engine = asyncio.create_async_engine(
        f"sqlite+aiosqlite:///{path}", connect_args=patience, pool_size=1, max_overflow=0
    )
    event.listen(engine, "connect", configure)
    event.listen(async_engine.sync_engine, "connect", configure)
    # What was written is not read again after its commit.
    session = orm.sessionmaker(engine, expire_on_commit=False)
    async_session = asyncio.async_sessionmaker(async_engine, expire_on_commit=False)

    def of_team(team: int) -> Any:
        return sqlalchemy.select(Player).where(Player.team == team)

    def scored(key: int, score: int) -> Any:
        # No object of the session has to follow: it is empty.
        changed = sqlalchemy.update(Player).where(Player.id == key).values(score=score)
        return changed.execution_options(synchronize_session=False)

    class SQLAlchemy(InThreads):
        def select_key(self, key: int) -> Any:
            with session() as work:
                return work.get(Player, key)

        def select_list(self, team: int) -> Any:
            with session() as work:
                return work.scalars(of_team(team)).all()

        def insert(self, name: str, team: int) -> Any:
            with session.begin() as work:
                player = Player(name=name, team=team, score=0, rating=0.5, motto="none")
                work.add(player)
            return player.id

        def update(self, key: int, score: int) -> Any:
            with session.begin() as work:
                return work.execute(scored(key, score)).rowcount

        def durability(self) -> tuple[str, int]:
            with engine.connect() as connection:
                ask = connection.exec_driver_sql
                return ask("PRAGMA journal_mode").scalar_one(), ask("PRAGMA synchronous").scalar_one()

        async def select_key_async(self, key: int) -> Any:
            async with async_session() as work:
                return await work.get(Player, key)

        async def select_list_async(self, team: int) -> Any:
            async with async_session() as work:
                return (await work.scalars(of_team(team))).all()

        async def insert_async(self, name: str, team: int) -> Any:
            async with async_session.begin() as work:
                player = Player(name=name, team=team, score=0, rating=0.5, motto="none")
                work.add(player)
            return player.id

        async def update_async(self, key: int, score: int) -> Any:
            async with async_session.begin() as work:
                return (await work.execute(scored(key, score))).rowcount

        def run(self, main: Any, callers: int) -> None:
            async def once() -> None:
                try:
                    await main()
                finally:
                    self._running -= 1
                    if not self._running:  # connections belong to the loop that opened them
                        await async_engine.dispose()

            self._running = callers
            super().run(once, callers)

        def thread_done(self) -> None:
            pass

    return SQLAlchemy()
