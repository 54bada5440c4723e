"""Many at once on one storage, on every database: no cycle, no second item of a name, no lost write, no wrong count."""

from __future__ import annotations

import os
import random
import threading
from functools import partial
from typing import Any

import sqlalchemy
from cloud_cases import MySQLCloud, PostgreSQLCloud, SQLiteCloud

from fluxon.cloud.tables import ITEMS, VERSIONS
from fluxon.errors import AlreadyExists, Conflict, InvalidPayload, Locked, NotFound

_ALL = sqlalchemy.select(ITEMS.c.id, ITEMS.c.parent_id, ITEMS.c.name_key, ITEMS.c.size, ITEMS.c.creator_id)
_VERSIONS = sqlalchemy.select(VERSIONS.c.size)

#: Threads that race; more only wait longer on two processors.
_MANY = 6


class Races:
    """The suite; a class at the end joins it with a database."""

    def test_one_name(self: Any) -> None:
        """Of many who make one thing, one does, and the others are told that it is there."""
        for name in ("file", "directory"):
            make = self.storage.make_file if name == "file" else self.storage.make_directory
            outcomes = self.together(
                *(partial(make, self.admin, f"/{name.upper() if odd % 2 else name}") for odd in range(_MANY))
            )
            self.assertEqual(sum(isinstance(each, AlreadyExists) for each in outcomes), _MANY - 1, outcomes)
        self.assertEqual(len(self.names(self.admin, "/")), 2)

    def test_different_names(self: Any) -> None:
        """Those who do not meet do not fail."""
        outcomes = self.together(
            *(
                lambda thread=thread: [self.storage.write(self.admin, f"/{thread}-{each}", b"x") for each in range(5)]
                for thread in range(_MANY)
            )
        )
        self.assertEqual([each for each in outcomes if isinstance(each, Exception)], [])
        self.assertEqual(len(self.names(self.admin, "/")), 5 * _MANY)

    def test_last_complete_write_wins(self: Any) -> None:
        """Each content is one writer's, whole; every one of them is kept, in the order of versions."""
        contents = [bytes([65 + number]) * 50_000 for number in range(_MANY)]
        outcomes = self.together(*(partial(self.storage.write, self.admin, "/f", data) for data in contents))
        self.assertEqual(sorted(each.version for each in outcomes), list(range(1, _MANY + 1)))
        winner = max(range(_MANY), key=lambda number: outcomes[number].version)
        self.assertEqual(self.storage.read(self.admin, "/f"), contents[winner])
        for number, entry in enumerate(outcomes):
            self.assertEqual(self.storage.read(self.admin, "/f", version=entry.version), contents[number])

    def test_only_one_has_seen_the_latest(self: Any) -> None:
        """``if_version`` lets one of many through, and tells the others both versions."""
        self.storage.write(self.admin, "/f", b"0")
        outcomes = self.together(
            *(partial(self.storage.write, self.admin, "/f", b"x", if_version=1) for _ in range(_MANY))
        )
        conflicts = [each for each in outcomes if isinstance(each, Conflict)]
        self.assertEqual([each.details for each in conflicts], [{"expected": 1, "version": 2}] * (_MANY - 1))
        self.assertEqual((self.objects_on_disk(), self.storage.check()), (2, []))

    def test_one_lock(self: Any) -> None:
        """Of many who lock a file, one has it."""
        self.storage.write(self.admin, "/f", b"0")
        outcomes = self.together(*(partial(self.storage.lock, self.admin, "/f", 60) for _ in range(_MANY)))
        self.assertEqual(sum(isinstance(each, Locked) for each in outcomes), _MANY - 1, outcomes)

    def test_no_cycle(self: Any) -> None:
        """Two that are moved into each other at once: one of them is."""
        for number in range(4):
            for name in "ab":
                self.storage.make_directory(self.admin, f"/{name}{number}")
            outcomes = self.together(
                partial(self.storage.move, self.admin, f"/a{number}", f"/b{number}/x"),
                partial(self.storage.move, self.admin, f"/b{number}", f"/a{number}/x"),
            )
            failed = [each for each in outcomes if isinstance(each, Exception)]
            self.assertEqual([type(each) for each in failed], [NotFound], outcomes)
        self.must_be_a_tree()

    def test_into_what_is_deleted(self: Any) -> None:
        """What is made in a directory that is deleted at that moment is there and goes with it, or is not made."""
        for number in range(4):
            self.storage.make_directory(self.admin, f"/d{number}")
            made, gone = self.together(
                partial(self.storage.write, self.admin, f"/d{number}/f", b"x"),
                partial(self.storage.delete, self.admin, f"/d{number}"),
            )
            self.assertIsNone(gone)
            if isinstance(made, Exception):
                self.assertIsInstance(made, NotFound)
            self.refused(NotFound, self.storage.stat, self.admin, f"/d{number}/f")
        self.must_be_a_tree()

    def test_quota_holds(self: Any) -> None:
        """However many write at once, no more is kept than is allowed."""
        self.storage = self.make_storage(user_quota=100, versions=0)
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        outcomes = self.together(
            *(partial(self.storage.write, self.jane, f"/d/{number}", b"x" * 40) for number in range(_MANY))
        )
        self.assertEqual(sum(not isinstance(each, Exception) for each in outcomes), 2, outcomes)
        self.assertEqual(self.storage.usage(self.admin, user="Jane").used, 80)
        self.assertEqual(self.objects_on_disk(), 2)

    def test_readers_beside_writers(self: Any) -> None:
        """Whoever reads gets a whole content, also where nothing old is kept."""
        self.storage = self.make_storage(versions=0)
        sizes = {10_000 + number for number in range(_MANY)}
        self.storage.write(self.admin, "/f", os.urandom(10_000))
        done = threading.Event()

        def write() -> None:
            try:
                for size in sorted(sizes) * 2:
                    self.storage.write(self.admin, "/f", bytes([size % 256]) * size)
            finally:
                done.set()

        def read() -> set[int]:
            seen = set()
            while not done.is_set():
                data = self.storage.read(self.admin, "/f")
                seen.add(len(data))
                if len(data) != 10_000:
                    self.assertEqual(set(data), {len(data) % 256})
            return seen

        _, *seen = self.together(write, read, read)
        for each in seen:
            self.assertIsInstance(each, set, each)
            self.assertLessEqual(each, sizes)
        self.assertEqual(self.objects_on_disk(), 1)

    def test_anything_at_once(self: Any) -> None:
        """Random changes of a small tree by many: only refusals that say so, and a tree at the end."""
        for name in "abc":
            self.storage.make_directory(self.jane, f"/{name}")
            self.assign(f"/{name}", self.jane, "owner")
        allowed = (AlreadyExists, NotFound, InvalidPayload, Conflict)

        def change(thread: int) -> None:
            chance = random.Random(thread)

            def path() -> str:
                return "/" + "/".join(chance.choice("abc") for _ in range(chance.randint(2, 4)))

            for _ in range(25):
                call = chance.choice(
                    [
                        lambda: self.storage.make_directory(self.jane, path()),
                        lambda: self.storage.write(self.jane, path(), b"x" * chance.randint(0, 9)),
                        lambda: self.storage.move(self.jane, path(), path()),
                        lambda: self.storage.copy(self.jane, path(), path()),
                        lambda: self.storage.delete(self.jane, path()),
                        lambda: self.storage.tree(self.jane, "/a"),
                    ]
                )
                try:
                    call()
                except allowed:
                    continue

        outcomes = self.together(*(partial(change, thread) for thread in range(4)))
        self.assertEqual(outcomes, [None] * 4)
        self.must_be_a_tree()
        rows, versions = self.rows()
        kept = sum(row.size for row in rows if row.creator_id is not None) + sum(row.size for row in versions)
        self.assertEqual(self.storage.usage(self.admin, user="Jane").used, kept)
        self.assertEqual(self.storage.check(), [])

    def rows(self: Any) -> tuple[list[Any], list[Any]]:
        return self.database.read_blocking(  # type: ignore[no-any-return]
            lambda connection: (connection.rows(_ALL), connection.rows(_VERSIONS))
        )

    def must_be_a_tree(self: Any) -> None:
        """Every item leads up to ``/``, and no two of one directory share a name."""
        rows = self.rows()[0]
        parents = {row.id: row.parent_id for row in rows}
        for item in parents:
            seen = set()
            while item != 1:
                self.assertNotIn(item, seen)
                seen.add(item)
                item = parents[item]
        names = [(row.parent_id, row.name_key) for row in rows if row.name_key is not None]
        self.assertEqual(len(names), len(set(names)))


class SQLiteRaces(Races, SQLiteCloud):
    """On SQLite."""


class PostgreSQLRaces(Races, PostgreSQLCloud):
    """On PostgreSQL."""


class MySQLRaces(Races, MySQLCloud):
    """On MariaDB or MySQL."""
