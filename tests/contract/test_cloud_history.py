"""Versions, deletions, locks and quotas of the storage, on every database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy
from cloud_cases import BEGIN, MySQLCloud, PostgreSQLCloud, SQLiteCloud

from fluxon.cloud import quotas
from fluxon.cloud.tables import ITEMS
from fluxon.errors import AlreadyExists, InvalidPayload, Locked, NotFound, PermissionDenied, ResourceExhausted

_DAY = 86_400
_COUNT = sqlalchemy.select(sqlalchemy.func.count().label("items")).select_from(ITEMS)


class History:
    """The suite; a class at the end joins it with a database."""

    def test_versions(self: Any) -> None:
        """Each content that was replaced is kept, up to a number, and says who wrote it when."""
        self.storage = self.make_storage(versions=2)
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        self.assign("/d", self.mike, "collaborator")
        for number, agent in enumerate((self.jane, self.mike, self.admin, self.jane), 1):
            self.clock.advance(60)
            self.storage.write(agent, "/d/f", b"x" * number)
        kept = self.storage.versions(self.jane, "/d/f")
        self.assertEqual(
            [(each.version, each.size, each.by) for each in kept], [(4, 4, "Jane"), (3, 3, None), (2, 2, "Mike")]
        )
        self.assertEqual(kept[1].at, BEGIN + timedelta(seconds=180))
        self.assertEqual(self.storage.read(self.jane, "/d/f", version=2), b"xx")
        self.refused(NotFound, self.storage.read, self.jane, "/d/f", version=1)
        self.assertEqual(self.objects_on_disk(), 3)
        restored = self.storage.restore_version(self.mike, "/d/f", 2)
        self.assertEqual((restored.version, self.storage.read(self.jane, "/d/f")), (5, b"xx"))
        self.refused(NotFound, self.storage.restore_version, self.mike, "/d/f", 2)
        self.assertEqual((self.objects_on_disk(), self.storage.check()), (3, []))

    def test_versions_go_with_time(self: Any) -> None:
        """After the days for which they are kept."""
        self.storage = self.make_storage(keep_days=1)
        for data in (b"1", b"22", b"333"):
            self.storage.write(self.admin, "/f", data)
            self.clock.advance(_DAY / 2)
        self.assertEqual(self.storage.purge(), 1)
        self.assertEqual([each.version for each in self.storage.versions(self.admin, "/f")], [3, 2])
        self.clock.advance(_DAY)
        self.assertEqual(self.storage.purge(), 1)
        self.assertEqual((self.objects_on_disk(), self.storage.read(self.admin, "/f")), (1, b"333"))

    def test_none_kept(self: Any) -> None:
        """0 keeps nothing: what is replaced or deleted is gone, and its bytes with it."""
        for options in ({"versions": 0}, {"keep_days": 0}):
            self.storage = self.make_storage(**options)
            self.storage.write(self.admin, "/d", b"1")
            self.storage.write(self.admin, "/d", b"2")
            self.assertEqual([each.version for each in self.storage.versions(self.admin, "/d")], [2])
            self.storage.delete(self.admin, "/d")
            self.storage.make_directory(self.admin, "/d/e", parents=True)
            for number in range(5):
                self.storage.write(self.admin, f"/d/e/{number}", b"x")
            self.storage.delete(self.admin, "/d")
            self.assertEqual((self.objects_on_disk(), self.storage.deleted(self.admin, "/").entries), (0, []))

    def test_deleted(self: Any) -> None:
        """What was deleted is listed, the newest first, and comes back with all that was in it and its roles."""
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        self.storage.make_directory(self.jane, "/d/e/f", parents=True)
        self.storage.write(self.jane, "/d/e/f/g", b"1")
        self.assign("/d/e", self.mike, "viewer")
        self.storage.write(self.jane, "/d/h", b"2")
        for path in ("/d/h", "/d/e"):
            self.clock.advance(60)
            self.storage.delete(self.jane, path)
        listed = self.storage.deleted(self.jane, "/d").entries
        self.assertEqual(
            [(each.path, each.type, each.deleted_by) for each in listed],
            [("/d/e", "directory", "Jane"), ("/d/h", "file", "Jane")],
        )
        self.assertEqual(listed[0].deleted_at, BEGIN + timedelta(seconds=120))
        first = self.storage.deleted(self.admin, "/", limit=1)
        second = self.storage.deleted(self.admin, "/", first.next, 1)
        self.assertEqual([*first.entries, *second.entries], listed)
        self.assertEqual(self.storage.deleted(self.admin, "/", second.next, 1).entries, [])
        self.storage.make_directory(self.jane, "/d/e")
        self.refused(AlreadyExists, self.storage.restore_deleted, self.jane, "/d/e", listed[0].id)
        self.refused(PermissionDenied, self.storage.restore_deleted, self.mike, "/d/x", listed[0].id)
        restored = self.storage.restore_deleted(self.jane, "/d/again", listed[0].id)
        self.assertEqual((restored.path, self.storage.read(self.mike, "/d/again/f/g")), ("/d/again", b"1"))
        self.refused(NotFound, self.storage.restore_deleted, self.jane, "/d/x", listed[0].id)
        self.refused(NotFound, self.storage.restore_deleted, self.jane, "/d/x", 17)
        self.refused(InvalidPayload, self.storage.restore_deleted, self.jane, "/d/x", "17")

    def test_who_sees_what_was_deleted(self: Any) -> None:
        """Those who could know of it while it was there."""
        self.storage.make_directory(self.admin, "/d")
        self.assign("/d", self.mike, "viewer")
        self.storage.write(self.admin, "/d/secret", b"")
        self.storage.delete(self.admin, "/d/secret")
        self.assertEqual(self.storage.deleted(self.mike, "/d").entries, [])
        (gone,) = self.storage.deleted(self.admin, "/d").entries
        self.assign("/d", self.mike, "owner")
        self.refused(NotFound, self.storage.restore_deleted, self.mike, "/d/secret", gone.id)
        self.refused(PermissionDenied, self.storage.deleted, self.stranger, "/d")

    def test_deleted_where_nobody_looks(self: Any) -> None:
        """What was in a directory that somebody may not look into is not listed to them when it is deleted."""
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        self.assign("/d", self.mike, "viewer")
        self.storage.make_directory(self.jane, "/d/box")
        self.storage.make_directory(self.jane, "/d/box/in")
        self.assign("/d/box", self.mike, "dropbox")
        for path in ("/d/box/application", "/d/box/in/other", "/d/shown"):
            self.storage.write(self.jane, path, b"x")
            self.storage.delete(self.jane, path)
        self.assertEqual([each.path for each in self.storage.tree(self.mike, "/d").entries], ["/d/box"])
        self.assertEqual([each.path for each in self.storage.deleted(self.mike, "/d").entries], ["/d/shown"])
        self.assertEqual(len(self.storage.deleted(self.jane, "/d").entries), 3)
        self.assertEqual(len(self.storage.deleted(self.jane, "/d/box").entries), 2)

    def test_no_rights_by_bringing_back(self: Any) -> None:
        """Who may delete something brings it back where they have no more rights at it, and not to where they have."""

        class Kept(self.model):  # type: ignore[misc, name-defined]
            class keeper(self.model.Role):  # type: ignore[misc, name-defined]
                permissions = [each for each in self.model.rules.roles["owner"] if each.value == "DELETE_FILE"]

        self.model = Kept
        self.storage = self.make_storage()
        for agent, path in ((self.jane, "/d"), (self.mike, "/m")):
            self.storage.make_directory(agent, path)
            self.assign(path, agent, "owner")
        self.storage.write(self.jane, "/d/f", b"not Mike's to read")
        self.assign("/d/f", self.mike, "keeper")
        self.storage.delete(self.mike, "/d/f")
        (gone,) = self.storage.deleted(self.jane, "/d").entries
        self.storage.make_directory(self.mike, "/m/box")
        self.refused(PermissionDenied, self.storage.restore_deleted, self.mike, "/d/f", gone.id)
        # A role at the file itself goes with it, and is all that he has there.
        self.storage.restore_deleted(self.mike, "/m/f", gone.id)
        self.refused(PermissionDenied, self.storage.read, self.mike, "/m/f")
        self.storage.move(self.admin, "/m/f", "/d/f")
        self.storage.unassign(self.admin, "/d/f", self.mike.user_id)
        self.assign("/d", self.mike, "keeper")
        self.storage.delete(self.mike, "/d/f")
        self.refused(PermissionDenied, self.storage.restore_deleted, self.mike, "/m/f", gone.id)
        self.assertEqual([each.id for each in self.storage.deleted(self.jane, "/d").entries], [gone.id])

    def test_back_by_a_longer_name(self: Any) -> None:
        """What would get paths that are too long does not come back, not into its own directory either."""
        deep = "/".join(["x" * 202] * 19)
        self.storage.make_directory(self.admin, f"/p/d/{deep}", parents=True)
        self.storage.delete(self.admin, "/p/d")
        (gone,) = self.storage.deleted(self.admin, "/p").entries
        self.refused(InvalidPayload, self.storage.restore_deleted, self.admin, f"/p/{'d' * 255}", gone.id)
        self.storage.move(self.admin, "/p", f"/{'p' * 255}")
        self.refused(InvalidPayload, self.storage.restore_deleted, self.admin, f"/{'p' * 255}/e", gone.id)
        self.storage.move(self.admin, f"/{'p' * 255}", "/q")
        self.storage.restore_deleted(self.admin, "/q/d", gone.id)
        self.assertEqual(self.storage.stat(self.admin, f"/q/d/{deep}").path, f"/q/d/{deep}")

    def test_deletions_go(self: Any) -> None:
        """After their days, or when a name has been deleted too often; with everything in them, and their bytes."""
        self.storage = self.make_storage(versions=2, keep_days=1)
        for number in range(4):
            self.storage.write(self.admin, "/f", b"x" * number)
            self.storage.delete(self.admin, "/f")
            self.clock.advance(1)
        self.assertEqual([each.size for each in self.storage.deleted(self.admin, "/").entries], [3, 2])
        self.assertEqual(self.storage.purge(), 2)
        self.assertEqual(self.objects_on_disk(), 2)
        self.storage.make_directory(self.admin, "/d/e/f", parents=True)
        self.storage.write(self.admin, "/d/e/g", b"1")
        self.storage.write(self.admin, "/d/e/g", b"2")
        self.storage.delete(self.admin, "/d/e/g")
        self.storage.write(self.admin, "/d/e/g", b"3")
        self.storage.delete(self.admin, "/d")
        (gone,) = [each for each in self.storage.deleted(self.admin, "/").entries if each.path == "/d"]
        self.clock.advance(_DAY)
        self.refused(NotFound, self.storage.restore_deleted, self.admin, "/d", gone.id)
        self.storage.sweep()
        self.assertEqual((self.objects_on_disk(), self.storage.check()), (0, []))
        rows = self.database.read_blocking(lambda connection: connection.rows(_COUNT))
        self.assertEqual(rows[0][0], 1)  # nothing but /

    def test_locks(self: Any) -> None:
        """The holder changes the file, nobody else does, until it ends; those who may read are told who it is."""
        self.storage.make_directory(self.admin, "/d")
        self.storage.write(self.admin, "/d/f", b"0")
        self.assign("/d/f", self.jane, "owner")
        self.assign("/d/f", self.mike, "collaborator")
        lease = self.storage.lock(self.jane, "/d/f", 60)
        self.assertEqual(lease.until, BEGIN + timedelta(seconds=60))
        error = self.refused(Locked, self.storage.write, self.mike, "/d/f", b"1")
        self.assertEqual(error.details, {"holder": "Jane", "until": lease.until})
        for agent in (self.jane, self.mike, self.admin):
            self.refused(Locked, self.storage.write, agent, "/d/f", b"1", lock="0" * 32)
            self.refused(Locked, self.storage.lock, agent, "/d/f", 60)
        self.refused(Locked, self.storage.delete, self.jane, "/d/f")
        self.refused(Locked, self.storage.delete, self.admin, "/d")
        self.refused(Locked, self.storage.move, self.admin, "/d", "/e")
        self.refused(Locked, self.storage.unlock, self.mike, "/d/f", "0" * 32)
        self.refused(Locked, self.storage.unlock, self.mike, "/d/f")
        self.assertEqual(self.storage.read(self.mike, "/d/f"), b"0")
        self.storage.write(self.jane, "/d/f", b"1", lock=lease.lock)
        self.clock.advance(50)
        self.assertEqual(self.storage.lock(self.jane, "/d/f", 60, lease.lock).lock, lease.lock)
        self.clock.advance(50)
        self.refused(Locked, self.storage.write, self.mike, "/d/f", b"2")
        self.clock.advance(10)
        self.storage.write(self.mike, "/d/f", b"2")
        self.storage.lock(self.jane, "/d/f", 60)
        self.storage.unlock(self.admin, "/d/f")
        self.storage.write(self.mike, "/d/f", b"3")
        lease = self.storage.lock(self.jane, "/d/f", 60)
        self.storage.delete(self.jane, "/d/f", lock=lease.lock)
        self.refused(InvalidPayload, self.storage.lock, self.admin, "/d", 60)

    def test_locked_in_what_was_deleted(self: Any) -> None:
        """A lock in a directory that its holder deleted keeps nobody from anything, until that comes back."""
        self.storage.make_directory(self.admin, "/d/e", parents=True)
        self.storage.write(self.admin, "/d/e/f", b"0")
        lease = self.storage.lock(self.admin, "/d/e/f", 60)
        self.storage.delete(self.admin, "/d/e", lock=lease.lock)
        self.storage.move(self.admin, "/d", "/g")
        (gone,) = self.storage.deleted(self.admin, "/g").entries
        self.storage.restore_deleted(self.admin, "/g/e", gone.id)
        self.refused(Locked, self.storage.delete, self.admin, "/g")
        self.storage.delete(self.admin, "/g/e", lock=lease.lock)
        self.storage.delete(self.admin, "/g")

    def test_holder_is_no_news_for_everybody(self: Any) -> None:
        """Who may only write learns that it is locked, and no more."""

        class Drop(self.model):  # type: ignore[misc, name-defined]
            class writer(self.model.Role):  # type: ignore[misc, name-defined]
                permissions = [each for each in self.model.rules.roles["owner"] if each.value == "WRITE_FILE"]

        self.model = Drop
        self.storage = self.make_storage()
        self.storage.write(self.admin, "/f", b"0")
        self.assign("/f", self.mike, "writer")
        self.storage.lock(self.admin, "/f", 60)
        error = self.refused(Locked, self.storage.write, self.mike, "/f", b"1")
        self.assertEqual((error.details, "Admin" in error.text), ({}, False))

    def test_quota_of_a_user(self: Any) -> None:
        """Everything that is kept of what they made counts, and comes back when it goes."""
        self.storage = self.make_storage(user_quota=10, versions=5, keep_days=1)
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        self.assign("/d", self.mike, "owner")
        self.storage.write(self.jane, "/d/f", b"12345")
        self.storage.write(self.jane, "/d/f", b"123")
        error = self.refused(ResourceExhausted, self.storage.write, self.jane, "/d/f", b"123")
        self.assertEqual(error.details, {"limit": 10, "used": 8, "versions": 5, "needed": 3})
        # Her file, whoever writes it; his own is his. And how much she keeps is not for him to know.
        error = self.refused(ResourceExhausted, self.storage.write, self.mike, "/d/f", b"123")
        self.assertEqual(error.details, {})
        self.refused(ResourceExhausted, self.storage.begin_upload, self.jane, "/d/g", size=3)
        self.refused(ResourceExhausted, self.storage.copy, self.jane, "/d/f", "/d/g")
        self.storage.write(self.mike, "/d/his", b"1234567")
        self.assertEqual(self.usage("Jane"), (8, 5, 10))
        self.storage.delete(self.jane, "/d/f")
        self.assertEqual(self.usage("Jane"), (8, 5, 10))
        self.clock.advance(_DAY)
        self.storage.purge()
        self.assertEqual(self.usage("Jane"), (0, 0, 10))
        self.storage.set_quota(self.admin, 20, user="Jane")
        self.storage.write(self.jane, "/d/f", b"x" * 20)
        self.storage.set_quota(self.admin, quotas.UNLIMITED, user="Jane")
        self.storage.write(self.jane, "/d/f", b"x" * 30)
        self.storage.set_quota(self.admin, None, user="Jane")
        self.refused(ResourceExhausted, self.storage.write, self.jane, "/d/f", b"x")
        self.refused(PermissionDenied, self.storage.set_quota, self.jane, 99, user="Jane")
        self.assertEqual(self.usage("Mike"), (7, 0, 10))

    def test_quota_of_a_directory(self: Any) -> None:
        """Everything in it and below counts, whoever made it, wherever it came from."""
        self.storage.make_directory(self.admin, "/d/e", parents=True)
        self.storage.write(self.admin, "/d/e/f", b"12345")
        self.storage.write(self.admin, "/d/e/f", b"12345")
        self.assertEqual(self.usage(path="/d"), (10, 5, None))
        self.storage.set_quota(self.admin, 16, path="/d")
        self.storage.set_quota(self.admin, 100, path="/d/e")
        self.storage.write(self.admin, "/d/g", b"123")
        self.assertEqual((self.usage(path="/d"), self.usage(path="/d/e")), ((13, 5, 16), (10, 5, 100)))
        self.refused(ResourceExhausted, self.storage.write, self.admin, "/d/e/h", b"1234")
        self.storage.write(self.admin, "/x", b"1234")
        self.refused(ResourceExhausted, self.storage.move, self.admin, "/x", "/d/x")
        self.refused(ResourceExhausted, self.storage.copy, self.admin, "/x", "/d/x")
        self.storage.move(self.admin, "/d/e/f", "/f")
        self.assertEqual((self.usage(path="/d"), self.usage(path="/d/e")), ((3, 0, 16), (0, 0, 100)))
        self.storage.move(self.admin, "/x", "/d/e/x")
        self.storage.delete(self.admin, "/d/e/x")
        self.assertEqual((self.usage(path="/d"), self.usage(path="/d/e")), ((7, 0, 16), (4, 0, 100)))
        (gone,) = self.storage.deleted(self.admin, "/d/e").entries
        self.storage.restore_deleted(self.admin, "/back", gone.id)
        self.assertEqual((self.usage(path="/d"), self.usage(path="/d/e")), ((3, 0, 16), (0, 0, 100)))
        # Each of them counts, whichever has less room.
        for path, limit in (("/d", 100), ("/d/e", 6), ("/d", 6), ("/d/e", 100)):
            self.storage.set_quota(self.admin, limit, path=path)
            if limit == 6:
                self.refused(ResourceExhausted, self.storage.write, self.admin, "/d/e/h", b"1234567")
        self.storage.set_quota(self.admin, None, path="/d")
        self.storage.write(self.admin, "/d/big", b"x" * 100)

    def test_how_much_is_kept_is_not_told(self: Any) -> None:
        """In figures to those only who may ask for the usage of that directory; to others that there is no room."""
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        self.storage.make_directory(self.jane, "/d/e")
        self.assign("/d/e", self.mike, "owner")
        self.storage.set_quota(self.admin, 10, path="/d")
        self.storage.write(self.jane, "/d/f", b"1234567")
        self.storage.make_directory(self.mike, "/m")
        self.assign("/m", self.mike, "owner")
        self.storage.write(self.mike, "/m/g", b"12345")
        for call in (
            lambda: self.storage.write(self.mike, "/d/e/g", b"12345"),
            lambda: self.storage.begin_upload(self.mike, "/d/e/g", size=5),
            lambda: self.storage.copy(self.mike, "/m/g", "/d/e/g"),
            lambda: self.storage.move(self.mike, "/m/g", "/d/e/g"),
        ):
            error = self.refused(ResourceExhausted, call)
            self.assertEqual((error.details, "7" in error.text, "10" in error.text), ({}, False, False))
        error = self.refused(ResourceExhausted, self.storage.write, self.jane, "/d/e/g", b"12345")
        self.assertEqual(error.details, {"limit": 10, "used": 7, "versions": 0, "needed": 5})

    def test_what_goes_is_not_counted_any_more(self: Any) -> None:
        """When a deleted file is purged, its bytes and its versions leave the directories that counted them."""
        self.storage = self.make_storage(versions=2, keep_days=1)
        self.storage.make_directory(self.admin, "/d/e", parents=True)
        self.storage.set_quota(self.admin, 100, path="/d")
        self.storage.write(self.admin, "/d/e/f", b"12345")
        self.storage.write(self.admin, "/d/e/f", b"123")
        self.storage.write(self.admin, "/d/g", b"12")
        self.storage.delete(self.admin, "/d/e/f")
        self.assertEqual(self.usage(path="/d"), (10, 5, 100))
        self.clock.advance(_DAY)
        self.storage.purge()
        self.assertEqual(self.usage(path="/d"), (2, 0, 100))
        # Deleted too often: its versions, which would be kept longer, go with it.
        for _ in range(3):
            self.storage.write(self.admin, "/d/e/f", b"12345")
            self.storage.write(self.admin, "/d/e/f", b"123")
            self.storage.delete(self.admin, "/d/e/f")
            self.clock.advance(1)
        self.assertEqual(self.usage(path="/d"), (26, 15, 100))
        self.assertEqual(self.storage.purge(), 1)
        self.assertEqual(self.usage(path="/d"), (18, 10, 100))
        self.assertEqual((self.objects_on_disk(), self.storage.check()), (5, []))

    def usage(self: Any, user: Any = None, path: Any = None) -> tuple[int, int, int | None]:
        found = self.storage.usage(self.admin, user=user, path=path)
        return found.used, found.versions, found.limit


class SQLiteHistory(History, SQLiteCloud):
    """On SQLite."""


class PostgreSQLHistory(History, PostgreSQLCloud):
    """On PostgreSQL."""


class MySQLHistory(History, MySQLCloud):
    """On MariaDB or MySQL."""
