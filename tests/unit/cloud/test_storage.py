"""What the storage does when something fails under it, and what it tells others."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import Any
from unicodedata import is_normalized

from cloud_cases import Model, SQLiteCloud

from fluxon.cloud import audit, cursors, moving, paths, reading, snapshots
from fluxon.cloud.agent import Agent
from fluxon.cloud.authorization_models import Permissions, RoleBasedAccessControl
from fluxon.cloud.cursors import Cursors
from fluxon.cloud.patterns import matches
from fluxon.errors import (
    Conflict,
    DeadlineExceeded,
    FluxonError,
    InvalidPayload,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)


class Failing(SQLiteCloud):
    """The database fails at a certain moment."""

    def failing(self, error: Exception, commits: bool) -> None:
        """From now on the database fails with ``error``, having committed or not."""
        write = self.database.write_all_blocking

        def fail(works: Sequence[Any]) -> list[Any]:
            if commits:
                write(works)
            return [(None, error)] * len(works)

        self.database.write_all_blocking = fail

    def test_outcome_unknown(self) -> None:
        """Bytes that may be a file's are kept; if it turns out that they are not, the next sweep has them."""
        self.storage.write(self.admin, "/f", b"1")
        for commits in (True, False):
            self.failing(OutcomeUnknown(), commits)
            for call in (
                lambda: self.storage.write(self.admin, "/f", b"2"),
                lambda commits=commits: self.storage.copy(self.admin, "/f", f"/{commits}"),
                lambda: self.storage.restore_version(self.admin, "/f", 1),
            ):
                try:
                    call()
                except OutcomeUnknown:
                    continue
            del self.database.write_all_blocking
            self.assertEqual(self.storage.check(), [])
        self.storage.close()
        self.storage = self.make_storage()
        self.storage.sweep()
        self.assertEqual(self.storage.check(), [])
        versions = len(self.storage.versions(self.admin, "/f"))
        self.assertEqual(self.objects_on_disk(), versions + 1)

    def test_undone(self) -> None:
        """What a transaction replaces stays on the disk until it is committed: here it is undone at its very end."""
        self.storage = self.make_storage(versions=0)
        self.storage.write(self.admin, "/f", b"1")
        real, wrong = audit.write, [DeadlineExceeded(), None]

        def write(connection: Any, rows: Any) -> None:
            real(connection, rows)
            if rows[0]["action"] == "write" and (error := wrong.pop(0)) is not None:
                raise error

        self.patch(audit, "write", write)
        self.assertRaises(DeadlineExceeded, self.storage.write, self.admin, "/f", b"2")
        self.assertEqual(self.storage.read(self.admin, "/f"), b"1")
        self.storage.write(self.admin, "/f", b"3")
        self.assertEqual((self.storage.read(self.admin, "/f"), self.objects_on_disk()), (b"3", 1))

    def test_certain_failure(self) -> None:
        """Bytes that certainly are nobody's are removed at once."""
        self.storage.write(self.admin, "/f", b"1")
        self.failing(DeadlineExceeded(), commits=False)
        self.assertRaises(DeadlineExceeded, self.storage.write, self.admin, "/f", b"2")
        self.assertRaises(DeadlineExceeded, self.storage.copy, self.admin, "/f", "/g")
        self.assertEqual(self.objects_on_disk(), 1)

    def test_an_object_that_somebody_cut_off(self) -> None:
        """Its first bytes are not answered as if they were all."""
        self.storage.write(self.admin, "/f", b"123456")
        for path in (self.folder / "cloud" / "objects").glob("*/*"):
            os.truncate(path, 3)
        self.assertRaises(Unavailable, self.storage.read, self.admin, "/f")
        self.assertEqual(self.storage.read(self.admin, "/f", length=3), b"123")

    def test_lost_object(self) -> None:
        """A content that the disk has lost is told as such, and found by the check."""
        self.storage.write(self.admin, "/f", b"1")
        for path in (self.folder / "cloud" / "objects").glob("*/*"):
            path.unlink()
        self.assertRaises(Unavailable, self.storage.read, self.admin, "/f")
        self.assertEqual(len(self.storage.check()), 1)


class WrongArguments(SQLiteCloud):
    """What no item, page, lock or quota can be is told, and changes nothing."""

    def test_pages(self) -> None:
        """Their size and their patterns have bounds, and what comes after is what a page said."""
        for limit in (0, -1, reading.MAX_PAGE + 1, "10", None):
            for call in (self.storage.listing, self.storage.tree, self.storage.deleted):
                self.assertRaises(InvalidPayload, call, self.admin, "/", None, limit)
        for pattern in ("", "x" * 256, "\u00e9" * 128, b"*"):
            self.assertRaises(InvalidPayload, self.storage.find, self.admin, "/", pattern)
        for after in ("x", "1", "9" * 41, "9" * 39, 7):
            self.assertRaises(InvalidPayload, self.storage.deleted, self.admin, "/", after)

    def test_locks(self) -> None:
        """For how long, and whose."""
        self.storage.write(self.admin, "/f", b"1")
        for seconds in (0, -1, float("inf"), float("nan"), "60", True, None):
            self.assertRaises(InvalidPayload, self.storage.lock, self.admin, "/f", seconds)
        for token in ("", "x", "x" * 1_000, 7):
            self.assertRaises(InvalidPayload, self.storage.lock, self.admin, "/f", 60, token)

    def test_versions(self) -> None:
        """A number that is none, and a directory, which has none."""
        self.storage.make_directory(self.admin, "/d")
        for version in (-1, 2**63, "1", True, None, 1.0):
            self.assertRaises(InvalidPayload, self.storage.restore_version, self.admin, "/d", version)
        self.assertRaises(InvalidPayload, self.storage.restore_version, self.admin, "/d", 1)

    def test_agents(self) -> None:
        """The administration is nobody's account."""
        self.assertRaises(ValueError, Agent, 1, "Jane", admin=True)

    def test_quotas(self) -> None:
        """Of bytes, for one user or one directory, who exist."""
        for limit in (-2, 2**63, 1.5, "10", True):
            self.assertRaises(InvalidPayload, self.storage.set_quota, self.admin, limit, user="Jane")
        for of in ({}, {"user": "Jane", "path": "/"}):
            self.assertRaises(InvalidPayload, self.storage.set_quota, self.admin, 10, **of)
            self.assertRaises(InvalidPayload, self.storage.usage, self.admin, **of)
        for user in ("Nobody", 99):
            self.assertRaises(NotFound, self.storage.usage, self.admin, user=user)
            self.assertRaises(NotFound, self.storage.set_quota, self.admin, 10, user=user)

    def test_a_quota_that_is_changed(self) -> None:
        """What is kept stays counted."""
        self.storage.make_directory(self.admin, "/d")
        self.storage.write(self.admin, "/d/f", b"x" * 7)
        for limit in (100, 50):
            usage = self.storage.set_quota(self.admin, limit, path="/d")
            self.assertEqual((usage.used, usage.limit), (7, limit))
            self.assertEqual(self.storage.usage(self.admin, path="/d"), usage)


class Writers(Model):
    """With a role that may write what it may not read."""

    class writer(RoleBasedAccessControl.Role):
        permissions = [Permissions.WRITE_FILE, Permissions.READ_TREE_DIRECTORY]


class Copies(SQLiteCloud):
    """Copies, and versions that come back, of what changes or may not be read."""

    model = Writers

    def setUp(self) -> None:
        super().setUp()
        self.storage.make_directory(self.admin, "/d")
        self.storage.write(self.admin, "/d/f", b"1")
        self.storage.write(self.admin, "/d/f", b"2")

    def test_a_version_for_who_may_not_read(self) -> None:
        """Whoever may write alone does not bring back what they could not see."""
        self.assign("/d/f", self.jane, "writer")
        self.assertRaises(PermissionDenied, self.storage.restore_version, self.jane, "/d/f", 1)
        self.assign("/d/f", self.jane, "owner")
        self.assertEqual(self.storage.restore_version(self.jane, "/d/f", 1).version, 3)

    def test_too_many_at_once(self) -> None:
        """A copy has a bound, and beyond it leaves no object."""
        self.patch(moving, "MAX_COPIED", 2)
        self.assertEqual(self.storage.copy(self.admin, "/d", "/two").name, "two")
        before = self.objects_on_disk()
        self.storage.make_directory(self.admin, "/d/e")
        self.assertRaises(ResourceExhausted, self.storage.copy, self.admin, "/d", "/three")
        self.assertEqual((self.names(self.admin, "/"), self.objects_on_disk()), (["d", "two"], before))

    def test_where_one_may_not_make_what_is_in_it(self) -> None:
        """A directory with files is not copied to where its copier could make the directory alone."""
        for path in ("/d", "/d/f"):
            self.assign(path, self.jane, "viewer")
        self.assertRaises(PermissionDenied, self.storage.copy, self.jane, "/d", "/copy")
        self.storage.delete(self.admin, "/d/f")
        self.assertEqual(self.storage.copy(self.jane, "/d", "/copy").name, "copy")

    def test_what_changes_meanwhile(self) -> None:
        """A copy is of one moment: the one that would mix two is told to begin again, and leaves nothing."""
        copy, before = self.storage.objects.copy, self.objects_on_disk()

        def copy_and_change(name: str) -> Any:
            copied = copy(name)
            self.storage.make_file(self.admin, "/d/new")
            return copied

        self.patch(self.storage.objects, "copy", copy_and_change)
        self.assertRaises(Conflict, self.storage.copy, self.admin, "/d", "/copy")
        self.assertEqual((self.names(self.admin, "/"), self.objects_on_disk()), (["d"], before))


class Telling(SQLiteCloud):
    """What happens after a commit."""

    def test_changes(self) -> None:
        """Whoever listens is told of each change, and of nothing else; one that fails harms nobody."""
        told: list[Any] = []
        self.storage.changed += [lambda change: 1 / 0, told.append]
        self.storage.make_directory(self.jane, "/a")
        self.storage.write(self.admin, "/a/f", b"1")
        self.storage.read(self.admin, "/a/f")
        self.assertRaises(NotFound, self.storage.delete, self.admin, "/x")
        self.storage.move(self.admin, "/a/f", "/g")
        self.storage.delete(self.admin, "/g")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 4)
        self.assertEqual(
            [(each.action, each.path, each.source, each.type, each.user) for each in told],
            [
                ("create", "/a", None, "directory", "Jane"),
                ("write", "/a/f", None, "file", "Admin"),
                ("move", "/g", "/a/f", "file", "Admin"),
                ("delete", "/g", None, "file", "Admin"),
            ],
        )

    def test_hidden_items_end_a_page(self) -> None:
        """A page that ends among hidden items says where to go on, and not what they are called."""
        self.patch(reading, "MAX_LOOKED_AT", 5)
        self.storage.make_directory(self.admin, "/d")
        self.assign("/d", self.jane, "viewer")
        for number in range(12):
            self.storage.make_directory(self.admin, f"/d/hidden{number:02}")
        self.storage.make_directory(self.admin, "/d/seen")
        self.assign("/d/seen", self.jane, "viewer")
        page = self.storage.listing(self.jane, "/d")
        pages = [page]
        while page.next is not None:
            self.assertNotIn("hidden", page.next)
            page = self.storage.listing(self.jane, "/d", page.next)
            pages.append(page)
        self.assertEqual([[entry.name for entry in each.entries] for each in pages], [[], [], ["seen"]])
        for wrong in ("hidden", "~", "~" + "A" * 40, 5, pages[0].next[:-2] if pages[0].next else ""):
            self.assertRaises(InvalidPayload, self.storage.listing, self.jane, "/d", wrong)
        self.assertRaises(InvalidPayload, Cursors(bytes(32)).read, pages[0].next)
        self.assertRaises(InvalidPayload, cursors.number, "-1")

    def test_where_a_list_goes_on(self) -> None:
        """Only where a page of it ended: who chose it could find hidden names by how far a page comes from there."""
        for path in ("/d", "/e"):
            self.storage.make_directory(self.jane, path)
            self.assign(path, self.jane, "owner")
            for name in ("a", "b", "c"):
                self.storage.make_directory(self.jane, f"{path}/{name}")
        lists: list[Callable[..., Any]] = [
            self.storage.listing,
            self.storage.tree,
            lambda agent, path, after=None, limit=9: self.storage.find(agent, path, "*", after, limit),
        ]
        for listed in lists:
            ended = listed(self.jane, "/d", None, 1).next
            self.assertEqual([entry.name for entry in listed(self.jane, "/d", ended).entries], ["b", "c"])
            for path in ("/e", "/d/a", "/"):
                self.assertRaises(FluxonError, listed, self.jane, path, ended)
                self.assertRaises(InvalidPayload, listed, self.admin, path, ended)
            for chosen in ("/a", "a", ended[:-4], ended[4:], "~" + ended):
                self.assertRaises(InvalidPayload, listed, self.jane, "/d", chosen)
        self.storage.close()
        again = self.make_storage()
        self.assertEqual([entry.name for entry in again.listing(self.jane, "/d", ended).entries], ["b", "c"])

    def test_the_longest_place_in_a_list(self) -> None:
        """A page that ends as deep as can be, below names that are longer without their case."""
        chance = random.Random(5)
        characters = [
            each for each in map(chr, range(0x80, 0x3000)) if each.isprintable() and is_normalized("NFC", each)
        ]
        longer = [each for each in characters if len(paths.key(each).encode()) > len(each.encode())]
        self.assertNotEqual(longer, [])
        path = ""
        while len(path.encode()) < 3_800:
            path += "/" + "".join(chance.choice(longer) for _ in range(60))
        self.storage.make_directory(self.admin, path, parents=True)
        self.storage.make_directory(self.admin, f"{path}/x")
        depth = path.count("/")
        page = self.storage.tree(self.admin, "/", None, depth)
        self.assertLessEqual(len(page.next or ""), cursors.MAX_CURSOR)
        self.assertEqual([each.name for each in self.storage.tree(self.admin, "/", page.next).entries], ["x"])

    def test_a_page_of_more_than_one_statement_answers(self) -> None:
        """Every item is there once, in order, also when they are exactly as many as statements answer."""
        self.patch(reading, "_BATCH", 3)
        self.storage.make_directory(self.admin, "/d")
        for number in range(9):
            self.storage.make_file(self.admin, f"/d/{number}")
            self.assertEqual(self.names(self.admin, "/d"), [str(each) for each in range(number + 1)])

    def test_a_directory_that_went_between_two_pages(self) -> None:
        """The next page of a tree goes on behind it."""
        for path in ("/a", "/a/b", "/a/b/c", "/a/d", "/e"):
            self.storage.make_directory(self.admin, path)
        page = self.storage.tree(self.admin, "/", None, 3)
        self.assertEqual([entry.path for entry in page.entries], ["/a", "/a/b", "/a/b/c"])
        self.storage.delete(self.admin, "/a")
        rest = self.storage.tree(self.admin, "/", page.next, 10)
        self.assertEqual([entry.path for entry in rest.entries], ["/e"])

    def test_what_was_done_to_something_that_is_gone(self) -> None:
        """A row of the log says of a deleted item where it was, and of one that is there where it is."""
        self.storage.make_directory(self.admin, "/d")
        for name in ("gone", "moved"):
            self.storage.write(self.admin, f"/d/{name}", b"1")
        self.storage.delete(self.admin, "/d/gone")
        self.storage.move(self.admin, "/d/moved", "/here")
        seen = snapshots.of_actions(self.storage, self.storage.log(self.admin).entries)
        found = {
            each.action.path: (each.item.path, each.item.entry is None)
            for each in seen
            if each.action.action_type == "write"
        }
        self.assertEqual(found, {"/d/gone": ("/d/gone", True), "/d/moved": ("/here", False)})

    def test_patterns(self) -> None:
        """``*`` and ``?`` and nothing else; a hostile pattern costs no more than its length."""
        for pattern, name, fits in (
            ("*", "", True),
            ("*.txt", "A.TXT", True),
            ("a?c", "abc", True),
            ("a?c", "ac", False),
            ("[ab]", "a", False),
            ("[ab]", "[AB]", True),
            ("*a*b*", "xxaxxbxx", True),
            ("*a*b", "xxaxxbxx", False),
            ("*a" * 100, "a" * 255 + "b", False),
            ("stra\u00dfe*", "STRASSE 1", True),
        ):
            self.assertEqual(matches(pattern, name), fits, pattern)
