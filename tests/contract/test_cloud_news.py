"""What has changed in a cloud storage, as the audit log tells it to those who watch, on every database."""

from __future__ import annotations

from typing import Any

from cloud_cases import MySQLCloud, PostgreSQLCloud, SQLiteCloud

from fluxon.cloud.agent import Agent
from fluxon.cloud.objects import Objects
from fluxon.cloud.serving import news as news_module
from fluxon.cloud.serving.news import News, place_of
from fluxon.cloud.storage import Storage


class Changes:
    """The suite; a class at the end joins it with a database. Jane owns /d, and Mike may see it."""

    def begin(self: Any) -> News:
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        self.assign("/d", self.mike, "viewer")
        news = News(self.storage, self.clock.seconds)
        news.begin()
        return news

    def told(self: Any, news: News, agent: Agent, watched: str = "/d", thorough: bool = True) -> list[tuple[str, str]]:
        """Actions and paths of what an agent is told."""
        seen = news.as_seen([(agent, place_of(watched), event) for event in news.read(thorough)])
        return [(each["action"], each["path"]) for each in seen if each is not None]

    def test_each_once(self: Any) -> None:
        """What was before the beginning is no news, and what was told is not told again."""
        news = self.begin()
        self.storage.write(self.jane, "/d/f", b"1")
        self.storage.read(self.mike, "/d/f")
        self.storage.write(self.jane, "/d/f", b"2")
        self.assertEqual(self.told(news, self.mike), [("write", "/d/f"), ("write", "/d/f")])
        self.assertEqual(self.told(news, self.mike), [])
        self.clock.advance(60)
        self.storage.delete(self.jane, "/d/f")
        self.assertEqual(self.told(news, self.mike), [("delete", "/d/f")])
        self.clock.advance(60)
        self.assertEqual(self.told(news, self.mike), [])
        self.assertEqual(len(news._told), 0)

    def test_committed_late(self: Any) -> None:
        """A row whose key is older than one that was told is found by the next thorough look."""
        news = self.begin()
        late = Storage(self.database, Objects(self.folder / "late"), self.model, clock=lambda: self.clock.seconds() - 4)
        late.open()
        self.addCleanup(late.close)
        self.storage.write(self.jane, "/d/first", b"1")
        self.assertEqual(self.told(news, self.mike, thorough=False), [("write", "/d/first")])
        late.make_file(self.jane, "/d/late")
        self.assertEqual(self.told(news, self.mike, thorough=False), [])
        self.assertEqual(self.told(news, self.mike), [("create", "/d/late")])

    def test_many(self: Any) -> None:
        """More than one statement answers."""
        news = self.begin()
        self.patch(news_module, "_PAGE", 3)
        self.patch(news_module, "_AFTER", news_module._AFTER.limit(3))
        for number in range(7):
            self.storage.make_file(self.jane, f"/d/{number}")
        self.assertEqual(self.told(news, self.mike), [("create", f"/d/{number}") for number in range(7)])

    def test_gone_for_good(self: Any) -> None:
        """Of what was purged before it was told nobody but the administration may be told: no right is left at it."""
        self.storage = self.make_storage(versions=0, keep_days=0)
        news = self.begin()
        self.storage.make_file(self.jane, "/d/f")
        self.storage.delete(self.jane, "/d/f")
        self.storage.purge()
        events = news.read(True)
        self.assertEqual([event.action for event in events], ["create", "delete"])
        self.assertEqual(news.as_seen([(self.mike, place_of("/d"), event) for event in events]), [None, None])

    def test_who_may_know(self: Any) -> None:
        """Items that are closed, deleted or gone elsewhere, for those who may and may not know of them."""
        news = self.begin()
        self.storage.make_directory(self.jane, "/p")
        self.assign("/p", self.jane, "owner")
        self.storage.make_file(self.jane, "/d/f")
        self.storage.make_file(self.admin, "/d/closed")
        self.storage.make_file(self.jane, "/p/secret")
        self.storage.move(self.jane, "/d/f", "/p/f")
        self.storage.move(self.jane, "/p/secret", "/d/shown")
        self.storage.copy(self.jane, "/d/shown", "/d/copy")
        self.storage.copy(self.jane, "/d/shown", "/p/copy")
        self.storage.delete(self.jane, "/d/copy")
        events = news.read(True)
        seen = news.as_seen([(self.mike, place_of("/d"), event) for event in events])
        told = [(each["action"], each["path"], each["source"]) for each in seen if each is not None]
        # Of /d/f only that it is gone; of /p/secret not where it was; a copy that is deleted again is found by no path.
        expected = [("delete", "/d/f", None), ("move", "/d/shown", None), ("delete", "/d/copy", None)]
        self.assertEqual(told, expected)
        self.assertEqual(news.as_seen([(self.stranger, (), event) for event in events]), [None] * len(events))
        everything = news.as_seen([(self.admin, (), event) for event in events])
        self.assertEqual([each is None for each in everything], [False] * 6 + [True, False, False])


class SQLiteChanges(Changes, SQLiteCloud):
    """On SQLite."""


class PostgreSQLChanges(Changes, PostgreSQLCloud):
    """On PostgreSQL."""


class MySQLChanges(Changes, MySQLCloud):
    """On MariaDB or MySQL."""
