"""The storage on every database: items, contents and rights."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from typing import Any

from cloud_cases import BEGIN, MySQLCloud, PostgreSQLCloud, SQLiteCloud

from fluxon.cloud import paths
from fluxon.errors import (
    AlreadyExists,
    Conflict,
    InvalidPayload,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)


class Items:
    """The suite; a class at the end joins it with a database."""

    def test_walk_through(self: Any) -> None:
        """What the seed shows: Jane makes a directory, owns it, writes a file, and Mike may read it."""
        made = self.storage.make_directory(self.jane, "/janes_dir")
        self.assertEqual((made.path, made.type, made.creator_name, made.size), ("/janes_dir", "directory", "Jane", 0))
        self.refused(PermissionDenied, self.storage.make_file, self.jane, "/janes_dir/some_file.txt")
        self.assign("/janes_dir", self.jane, "owner")
        self.storage.make_file(self.jane, "/janes_dir/some_file.txt")
        written = self.storage.write(self.jane, "/janes_dir/some_file.txt", b"some text")
        self.assertEqual((written.size, written.version), (9, 2))
        self.assertEqual(written.sha256, hashlib.sha256(b"some text").hexdigest())
        self.refused(PermissionDenied, self.storage.read, self.mike, "/janes_dir/some_file.txt")
        self.assign("/janes_dir/some_file.txt", self.mike, "viewer")
        self.assertEqual(self.storage.read(self.mike, "/janes_dir/some_file.txt"), b"some text")
        error = self.refused(PermissionDenied, self.storage.write, self.mike, "/janes_dir/some_file.txt", b"")
        self.assertEqual(error.details, {"permission": "WRITE_FILE"})
        self.refused(PermissionDenied, self.storage.listing, self.mike, "/janes_dir")

    def test_times_and_names(self: Any) -> None:
        """An item says when it was made and changed, by the storage's clock, and keeps its name as it was given."""
        self.storage.make_directory(self.admin, "/Stra\u00dfe")
        self.clock.advance(90)
        self.storage.write(self.admin, "/strasse/Cafe\u0301.txt", b"1")
        self.clock.advance(90)
        self.storage.write(self.admin, "/STRASSE/CAF\u00c9.TXT", b"22")
        entry = self.storage.stat(self.admin, "/strasse/caf\u00e9.txt")
        self.assertEqual(entry.path, "/Stra\u00dfe/Caf\u00e9.txt")
        self.assertEqual(entry.created_at, BEGIN + timedelta(seconds=90))
        self.assertEqual(entry.modified_at, BEGIN + timedelta(seconds=180))
        self.assertIsNone(entry.creator_name)
        self.refused(AlreadyExists, self.storage.make_directory, self.admin, "/STRASSE")
        self.refused(AlreadyExists, self.storage.make_file, self.admin, "/stra\u00dfe/CAFE\u0301.txt")

    def test_longer_as_given(self: Any) -> None:
        """Where case makes names shorter, no path is too long as it was given: the log and news are about paths."""
        given, asked = "\u1e9e" * 85, "ss" * 85
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        top = f"/d/{'/'.join([given] * 14)}"
        self.storage.make_directory(self.jane, top, parents=True)
        short = f"/d/{'/'.join([asked] * 14)}"
        self.storage.make_directory(self.jane, f"{short}/{given}")
        self.storage.write(self.jane, "/d/f", b"x")
        for call in (
            lambda: self.storage.make_directory(self.jane, f"{short}/{asked}/{given}"),
            lambda: self.storage.make_directory(self.jane, f"{short}/{asked}/{given}", parents=True),
            lambda: self.storage.make_file(self.jane, f"{short}/{asked}/{given}"),
            lambda: self.storage.write(self.jane, f"{short}/{asked}/{given}", b"x"),
            lambda: self.storage.move(self.jane, "/d/f", f"{short}/{asked}/{given}"),
            lambda: self.storage.copy(self.jane, "/d/f", f"{short}/{asked}/{given}"),
        ):
            self.refused(InvalidPayload, call)
        self.refused(NotFound, self.storage.read, self.jane, f"{short}/{asked}/{given}")
        (last,) = self.storage.log(self.admin, limit=1).entries
        self.assertEqual(len(paths.parse(last.path)), 17)
        deepest = list(self.storage.tree(self.jane, "/d").entries)[-2]
        self.assertEqual(self.storage.stat(self.jane, deepest.path), deepest)

    def test_root(self: Any) -> None:
        """``/`` is there from the beginning, and stays."""
        self.assertEqual(self.storage.stat(self.admin, "/").type, "directory")
        self.refused(InvalidPayload, self.storage.delete, self.admin, "/")
        self.refused(InvalidPayload, self.storage.move, self.admin, "/", "/x")
        self.refused(AlreadyExists, self.storage.make_directory, self.admin, "/")
        self.refused(InvalidPayload, self.storage.write, self.admin, "/", b"")
        self.assertEqual(self.storage.make_directory(self.admin, "/", parents=True).path, "/")

    def test_directories_with_their_parents(self: Any) -> None:
        """``parents`` makes what is missing, and takes what is there; a file on the way is in the way."""
        self.assertEqual(self.storage.make_directory(self.admin, "/a/b/c", parents=True).path, "/a/b/c")
        self.assertEqual(self.storage.make_directory(self.admin, "/A/B", parents=True).path, "/a/b")
        self.refused(NotFound, self.storage.make_directory, self.admin, "/x/y")
        self.storage.make_file(self.admin, "/a/f")
        for path in ("/a/f", "/a/f/g"):
            self.refused((AlreadyExists, InvalidPayload), self.storage.make_directory, self.admin, path, parents=True)
        # Jane may make a directory in /, but that gives her no right to make one in it.
        self.refused(PermissionDenied, self.storage.make_directory, self.jane, "/j/k", parents=True)
        self.assertEqual(self.names(self.admin, "/"), ["a"])

    def test_kinds(self: Any) -> None:
        """What is done to files is not done to directories, nor the other way round."""
        self.storage.make_directory(self.admin, "/d")
        self.storage.write(self.admin, "/f", b"x")
        for call in (
            lambda: self.storage.read(self.admin, "/d"),
            lambda: self.storage.write(self.admin, "/d", b""),
            lambda: self.storage.versions(self.admin, "/d"),
            lambda: self.storage.listing(self.admin, "/f"),
            lambda: self.storage.write(self.admin, "/f/x", b""),
            lambda: self.storage.delete(self.admin, "/f", type="directory"),
            lambda: self.storage.delete(self.admin, "/d", type="file"),
        ):
            self.refused(InvalidPayload, call)
        self.refused(NotFound, self.storage.read, self.admin, "/f/x")

    def test_contents(self: Any) -> None:
        """Bytes come back as they were written; parts of them too; empty ones as well."""
        data = os.urandom(300_000)
        self.storage.write(self.admin, "/f", data)
        self.assertEqual(self.storage.read(self.admin, "/f"), data)
        self.assertEqual(self.storage.read(self.admin, "/f", offset=299_990, length=100), data[-10:])
        self.assertEqual(self.storage.read(self.admin, "/f", offset=300_000), b"")
        self.refused(InvalidPayload, self.storage.read, self.admin, "/f", offset=300_001)
        self.storage.write(self.admin, "/f", memoryview(b""))
        self.assertEqual(self.storage.read(self.admin, "/f"), b"")
        self.storage.make_file(self.admin, "/g")
        self.assertEqual(self.storage.read(self.admin, "/g"), b"")
        self.assertEqual(self.storage.check(), [])

    def test_a_reader_keeps_what_it_opened(self: Any) -> None:
        """Whatever becomes of the file."""
        self.storage = self.make_storage(versions=0)
        self.storage.write(self.admin, "/f", b"old")
        opened = self.storage.open_read(self.admin, "/f")
        self.storage.write(self.admin, "/f", b"newer")
        self.storage.delete(self.admin, "/f")
        self.assertEqual(os.pread(opened.descriptor, opened.length, opened.offset), b"old")
        os.close(opened.descriptor)
        self.assertEqual(self.objects_on_disk(), 0)

    def test_only_if_unchanged(self: Any) -> None:
        """``if_version`` refuses to overwrite what changed since; 0 is for what must not be there."""
        self.storage.write(self.admin, "/f", b"1", if_version=0)
        self.storage.write(self.admin, "/f", b"2", if_version=1)
        error = self.refused(Conflict, self.storage.write, self.admin, "/f", b"3", if_version=1)
        self.assertEqual(error.details, {"expected": 1, "version": 2})
        error = self.refused(Conflict, self.storage.write, self.admin, "/f", b"3", if_version=0)
        self.assertEqual(error.details, {"expected": 0, "version": 2})
        error = self.refused(Conflict, self.storage.write, self.admin, "/g", b"3", if_version=1)
        self.assertEqual(error.details, {"expected": 1, "version": 0})
        self.refused(NotFound, self.storage.write, self.admin, "/g", b"3", create=False)
        self.assertEqual(self.storage.read(self.admin, "/f"), b"2")
        # What was refused has left no bytes: the present content and the one before it.
        self.assertEqual(self.objects_on_disk(), 2)

    def test_delete(self: Any) -> None:
        """What is deleted has no path any more, and its name is free; a tree goes as one."""
        self.storage.make_directory(self.admin, "/d/e", parents=True)
        self.storage.write(self.admin, "/d/e/f", b"x")
        self.storage.delete(self.admin, "/d")
        for path in ("/d", "/d/e", "/d/e/f"):
            self.refused(NotFound, self.storage.stat, self.admin, path)
        self.storage.write(self.admin, "/d", b"a file now")
        self.assertEqual(self.names(self.admin, "/"), ["d"])

    def test_delete_needs_the_right_at_everything(self: Any) -> None:
        """One item below that is not the actor's to delete, and nothing is deleted."""
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        self.storage.make_directory(self.jane, "/d/e/f", parents=True)
        self.storage.write(self.jane, "/d/e/f/g", b"x")
        self.assign("/d/e/f", self.jane, "viewer")
        self.refused(PermissionDenied, self.storage.delete, self.jane, "/d")
        self.refused(PermissionDenied, self.storage.move, self.jane, "/d/e", "/d/x")
        self.assign("/d/e/f/g", self.jane, "owner")
        self.refused(PermissionDenied, self.storage.delete, self.jane, "/d")  # f is still a viewer's
        self.storage.write(self.admin, "/d/admins", b"")
        self.assign("/d/e/f", self.jane, "owner")
        self.refused(PermissionDenied, self.storage.delete, self.jane, "/d")  # what Admin made is closed
        self.storage.delete(self.jane, "/d/e")
        self.assertEqual(self.names(self.admin, "/d"), ["admins"])

    def test_move(self: Any) -> None:
        """One item gets another path, with all that is in it; names may change case."""
        self.storage.make_directory(self.admin, "/a/b", parents=True)
        self.storage.write(self.admin, "/a/b/f", b"x")
        self.storage.make_directory(self.admin, "/c")
        self.assertEqual(self.storage.move(self.admin, "/a/b", "/C/moved").path, "/c/moved")
        self.assertEqual(self.storage.read(self.admin, "/c/moved/f"), b"x")
        self.assertEqual(self.storage.move(self.admin, "/c", "/C").name, "C")
        self.refused(AlreadyExists, self.storage.move, self.admin, "/a", "/c")
        self.refused(NotFound, self.storage.move, self.admin, "/a", "/x/y")
        for path in ("/c/moved/c", "/C/d", "/c/moved/f/x"):
            self.refused(InvalidPayload, self.storage.move, self.admin, "/c", path)

    def test_move_is_no_grant(self: Any) -> None:
        """Nobody gets more rights at something by taking it elsewhere."""
        self.storage.make_directory(self.jane, "/hers")
        self.assign("/hers", self.jane, "owner")
        self.storage.make_directory(self.mike, "/his")
        self.assign("/his", self.mike, "owner")
        self.storage.write(self.mike, "/his/f", b"x")

        class Mover(self.model):  # type: ignore[misc, name-defined]
            class mover(self.model.Role):  # type: ignore[misc, name-defined]
                permissions = [each for each in self.model.rules.roles["owner"] if each.value in ("MOVE", "READ_FILE")]

        self.model = Mover
        self.storage = self.make_storage()
        self.assign("/his", self.jane, "mover")
        self.refused(PermissionDenied, self.storage.move, self.jane, "/his/f", "/hers/f")
        self.assign("/his/f", self.jane, "mover")  # of its own, so it has the same there
        self.storage.move(self.jane, "/his/f", "/hers/f")
        self.refused(PermissionDenied, self.storage.write, self.jane, "/hers/f", b"y")

    def test_paths_stay_within_bounds(self: Any) -> None:
        """A move does not make paths that nobody could name."""
        deep = "/" + "/".join("d" * 40)
        self.storage.make_directory(self.admin, deep, parents=True)
        self.storage.make_directory(self.admin, "/" + "/".join("e" * 30), parents=True)
        self.refused(InvalidPayload, self.storage.move, self.admin, "/e", deep + "/e")
        self.storage.move(self.admin, "/e/e/e/e/e/e/e", deep + "/e")
        long = "/" + "/".join(["x" * 250] * 15)
        self.storage.make_directory(self.admin, long, parents=True)
        self.storage.make_directory(self.admin, "/" + "/".join(["y" * 200] * 3), parents=True)
        self.refused(InvalidPayload, self.storage.move, self.admin, "/" + "y" * 200, long + "/y")

    def test_copy(self: Any) -> None:
        """A copy is whole, is its maker's, and has bytes of its own."""
        self.storage.make_directory(self.admin, "/a/b", parents=True)
        self.storage.write(self.admin, "/a/b/f", b"one")
        self.storage.write(self.admin, "/a/g", b"")
        copied = self.storage.copy(self.admin, "/a", "/z")
        self.storage.write(self.admin, "/a/b/f", b"two")
        self.assertEqual((copied.path, self.storage.read(self.admin, "/z/b/f")), ("/z", b"one"))
        self.assertEqual(self.storage.read(self.admin, "/z/g"), b"")
        self.storage.make_directory(self.jane, "/hers")
        self.assign("/hers", self.jane, "owner")
        self.assign("/a", self.jane, "viewer")
        # b is Admin's, and closed.
        self.refused(PermissionDenied, self.storage.copy, self.jane, "/a", "/hers/a")
        self.assign("/a/b", self.jane, "viewer")
        self.refused(PermissionDenied, self.storage.copy, self.jane, "/a", "/hers/a")
        for path in ("/a/b/f", "/a/g"):
            self.assign(path, self.jane, "viewer")
        before = self.objects_on_disk()
        self.assertEqual(self.storage.copy(self.jane, "/a", "/hers/a").creator_name, "Jane")
        self.assertEqual(self.storage.read(self.jane, "/hers/a/b/f"), b"two")
        self.assertEqual(self.objects_on_disk(), before + 1)
        self.refused(AlreadyExists, self.storage.copy, self.jane, "/a/g", "/hers/a/g")
        self.assertEqual(self.storage.check(), [])

    def test_lists(self: Any) -> None:
        """By name without case, in pages, and only what the asker may know of."""
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        for name in ("b", "A", "\u00e9", "c/x", "c/Y/z"):
            self.storage.make_directory(self.jane, f"/d/{name}", parents=True)
        self.storage.write(self.admin, "/d/hidden", b"")
        self.assertEqual(self.names(self.jane, "/d"), ["A", "b", "c", "\u00e9"])
        self.assertEqual(self.names(self.admin, "/d"), ["A", "b", "c", "hidden", "\u00e9"])
        page, seen = self.storage.listing(self.jane, "/d", limit=3), []
        seen += [entry.name for entry in page.entries]
        page = self.storage.listing(self.jane, "/d", page.next, 3)
        self.assertEqual((seen, [entry.name for entry in page.entries], page.next), (["A", "b", "c"], ["\u00e9"], None))
        everything = ["/d/A", "/d/b", "/d/c", "/d/c/x", "/d/c/Y", "/d/c/Y/z", "/d/\u00e9"]
        for limit in (1, 2, 3, 1_000):
            found, after = [], None
            while True:
                page = self.storage.tree(self.jane, "/d", after, limit)
                found += [entry.path for entry in page.entries]
                after = page.next
                if after is None:
                    break
            self.assertEqual(found, everything)
        self.assertEqual([entry.path for entry in self.storage.find(self.jane, "/d", "q*").entries], [])
        self.assertEqual([entry.path for entry in self.storage.find(self.admin, "/", "[yz]").entries], [])
        self.assertEqual([entry.path for entry in self.storage.find(self.jane, "/d", "?").entries], everything)
        self.assertEqual([entry.path for entry in self.storage.find(self.jane, "/d", "y*").entries], ["/d/c/Y"])

    def test_users_deleted(self: Any) -> None:
        """What they made is the administration's; others keep what they were given at it."""
        self.storage.make_directory(self.jane, "/d")
        self.assign("/d", self.jane, "owner")
        self.storage.write(self.jane, "/d/f", b"x")
        self.assign("/d/f", self.mike, "viewer")
        self.assertEqual(self.User.Delete(self.User.username == "Jane"), 1)
        entry = self.storage.stat(self.admin, "/d/f")
        self.assertEqual((entry.creator_id, entry.creator_name), (None, None))
        self.assertEqual(self.storage.read(self.mike, "/d/f"), b"x")
        for call in (self.storage.read, self.storage.stat, self.storage.make_directory):
            self.refused(Unauthenticated, call, self.jane, "/d/f")
        self.refused(Unauthenticated, self.storage.write, self.jane, "/d/f", b"")
        self.storage.write(self.admin, "/d/f", b"y")


class SQLiteItems(Items, SQLiteCloud):
    """On SQLite."""


class PostgreSQLItems(Items, PostgreSQLCloud):
    """On PostgreSQL."""


class MySQLItems(Items, MySQLCloud):
    """On MariaDB or MySQL."""
