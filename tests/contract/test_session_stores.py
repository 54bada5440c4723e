"""One contract for every session store: what ``fluxon.sessions.store`` promises, in memory and on real databases."""

import os
import shutil
import tempfile
from typing import Any

import database_servers
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from fluxon.database.apis import MySQLDatabase, PostgreSQLDatabase, SQLiteDatabase
from fluxon.sessions import MemoryStore, SessionRecord, SQLStore


def record(name: str, user_id: int = 1, created: float = 1_000.5, used: float | None = None) -> SessionRecord:
    """A record whose key is easy to tell; the times have fractions, which a store has to keep."""
    return SessionRecord(
        name.encode().ljust(32, b"."), user_id, created, created if used is None else used, b"\x00digest\xff"
    )


class StoreContract:
    """The contract. A store's test case says how to make it."""

    store: Any

    async def test_saved_is_loaded(self) -> None:
        """A record comes back whole, whatever its bytes and times."""
        kept = record("a", user_id=2**63 - 1, created=1_764_000_000.123456, used=1_764_000_001.654321)
        await self.store.save(kept)
        self.assertEqual(await self.store.load(kept.key), kept)

    async def test_unknown_is_none(self) -> None:
        """A key that nobody saved is no record, and no error."""
        self.assertIsNone(await self.store.load(b"?" * 32))

    async def test_save_replaces(self) -> None:
        """Saving under a known key replaces the whole record, its user included."""
        await self.store.save(record("a", user_id=1))
        await self.store.save(record("a", user_id=2, created=7.0))
        self.assertEqual(await self.store.load(record("a").key), record("a", user_id=2, created=7.0))
        self.assertEqual(await self.store.list_user(1), [])
        self.assertEqual(await self.store.delete_user(2), 1)

    async def test_touch_moves_forward_only(self) -> None:
        """``touch`` notes a later use and ignores an earlier one, as two processes may report out of order."""
        kept = record("a", used=2_000.0)
        await self.store.save(kept)
        await self.store.touch(kept.key, 3_000.25)
        self.assertEqual((await self.store.load(kept.key)).used, 3_000.25)
        await self.store.touch(kept.key, 2_500.0)
        self.assertEqual((await self.store.load(kept.key)).used, 3_000.25)

    async def test_touch_revives_nothing(self) -> None:
        """A use noted after a deletion does not bring a revoked session back."""
        kept = record("a")
        await self.store.save(kept)
        await self.store.delete(kept.key)
        await self.store.touch(kept.key, 9_000.0)
        self.assertIsNone(await self.store.load(kept.key))

    async def test_delete(self) -> None:
        """``delete`` takes one record, and says whether there was one."""
        await self.store.save(record("a"))
        await self.store.save(record("b"))
        self.assertIs(await self.store.delete(record("a").key), True)
        self.assertIs(await self.store.delete(record("a").key), False)
        self.assertIsNone(await self.store.load(record("a").key))
        self.assertIsNotNone(await self.store.load(record("b").key))

    async def test_delete_user(self) -> None:
        """All devices of one user go, but the excepted one, and nobody else's."""
        for name, user_id in (("a", 1), ("b", 1), ("c", 1), ("other", 2)):
            await self.store.save(record(name, user_id))
        self.assertEqual(await self.store.delete_user(1, except_key=record("b").key), 2)
        self.assertEqual([each.key for each in await self.store.list_user(1)], [record("b").key])
        self.assertIsNotNone(await self.store.load(record("other").key))
        self.assertEqual(await self.store.delete_user(1), 1)
        self.assertEqual(await self.store.delete_user(1), 0)

    async def test_exception_of_another_user_protects_nothing(self) -> None:
        """An excepted key of another user saves none of this one's records."""
        await self.store.save(record("a", 1))
        await self.store.save(record("b", 2))
        self.assertEqual(await self.store.delete_user(1, except_key=record("b").key), 1)
        self.assertEqual(await self.store.list_user(1), [])

    async def test_replace(self) -> None:
        """After ``replace`` the old key is gone and the new one is there."""
        await self.store.save(record("old", 1))
        self.assertIs(await self.store.replace(record("old").key, record("new", 2)), True)
        self.assertIsNone(await self.store.load(record("old").key))
        self.assertEqual(await self.store.load(record("new").key), record("new", 2))
        self.assertEqual(await self.store.list_user(1), [])

    async def test_replace_of_what_is_gone(self) -> None:
        """A record that was deleted a moment ago has no successor: revocation cannot be outrun."""
        self.assertIs(await self.store.replace(record("old").key, record("new")), False)
        self.assertIsNone(await self.store.load(record("new").key))

    async def test_one_of_two_replacements_wins(self) -> None:
        """Of replacements of one record that race, one is kept and the other told."""
        await self.store.save(record("old"))
        told = await gatherResults([self.store.replace(record("old").key, record(name)) for name in ("x", "y")])
        self.assertEqual(sorted(told), [False, True])
        self.assertEqual(len(await self.store.list_user(1)), 1)

    async def test_never_both_and_never_neither(self) -> None:
        """Whoever lists a user's sessions while they are rotated sees exactly one, at every moment."""
        await self.store.save(record("0"))
        for step in range(20):
            rotating = self.store.replace(record(str(step)).key, record(str(step + 1)))
            replaced, *seen = await gatherResults([rotating, *(self.store.list_user(1) for _ in range(3))])
            self.assertIs(replaced, True)
            self.assertEqual([len(listed) for listed in seen], [1, 1, 1])

    async def test_list_is_latest_first(self) -> None:
        """A user's sessions come with the one used last in front."""
        for name, used in (("a", 5.0), ("b", 9.0), ("c", 7.0)):
            await self.store.save(record(name, created=1.0, used=used))
        self.assertEqual([each.used for each in await self.store.list_user(1)], [9.0, 7.0, 5.0])
        self.assertEqual(await self.store.list_user(3), [])

    async def test_purge(self) -> None:
        """What was unused for too long, or is too old, goes; what is a moment short of either stays."""
        await self.store.save(record("idle", created=500.0, used=900.0))
        await self.store.save(record("not quite idle", created=500.0, used=900.5))
        await self.store.save(record("old", created=0.0, used=999.0))
        await self.store.save(record("not quite old", created=0.5, used=999.0))
        self.assertEqual(await self.store.purge(1_000.0, idle=100.0, absolute=1_000.0), 2)
        left = {each.key.rstrip(b".") for each in await self.store.list_user(1)}
        self.assertEqual(left, {b"not quite idle", b"not quite old"})
        self.assertEqual(await self.store.purge(1_000.0, idle=100.0, absolute=1_000.0), 0)


class MemoryStoreTests(StoreContract, TestCase):
    """The contract, in memory."""

    def setUp(self) -> None:
        self.store = MemoryStore(100)


class DatabaseStoreContract(StoreContract):
    """The contract, in a database, through the engine's threads; and what only a database can keep."""

    def new_database(self: Any) -> str:
        """What names a new, empty database."""
        raise NotImplementedError

    def connect(self: Any, path: str) -> Any:
        """The adapter on it."""
        raise NotImplementedError

    async def setUp(self: Any) -> None:
        self.path = self.new_database()
        self.database = await self.opened()
        self.store = SQLStore(self.database)

    async def opened(self: Any) -> Any:
        database = self.connect(self.path)
        SQLStore(database)
        await database.start(reactor)
        self.addCleanup(database.stop)
        return database

    async def test_outlives_the_process(self: Any) -> None:
        """What was saved is there for whoever opens the file next; a restart logs nobody out."""
        await self.store.save(record("a"))
        await self.database.stop()
        self.assertEqual(await SQLStore(await self.opened()).load(record("a").key), record("a"))

    async def test_is_shared(self: Any) -> None:
        """Two processes' stores on one database see each other's answered calls at once."""
        other = SQLStore(await self.opened())
        await self.store.save(record("a"))
        self.assertEqual(await other.load(record("a").key), record("a"))
        self.assertIs(await other.delete(record("a").key), True)
        self.assertIsNone(await self.store.load(record("a").key))

    def test_strangers_do_not_write(self: Any) -> None:
        """An anonymous record is refused before the database hears of it."""
        with self.assertRaises(ValueError):
            self.store.save(SessionRecord(b"k" * 32, None, 1.0, 1.0))


class SQLiteStoreTests(DatabaseStoreContract, TestCase):
    """The contract, in an SQLite file."""

    def new_database(self) -> str:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        return os.path.join(folder, "project.db")

    def connect(self, path: str) -> SQLiteDatabase:
        return SQLiteDatabase(path)


class PostgreSQLStoreTests(DatabaseStoreContract, TestCase):
    """The contract, on a PostgreSQL server."""

    def new_database(self) -> str:
        return database_servers.postgresql()

    def connect(self, path: str) -> PostgreSQLDatabase:
        return PostgreSQLDatabase(path)


class MySQLStoreTests(DatabaseStoreContract, TestCase):
    """The contract, on a MariaDB or MySQL server."""

    def new_database(self) -> str:
        return database_servers.mysql()

    def connect(self, path: str) -> MySQLDatabase:
        return MySQLDatabase(path)
