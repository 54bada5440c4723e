"""What is asked of the cloud, and what its answers mean."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.commands import cloud
from fluxon.connect.cloud import given, requests
from fluxon.connect.cloud.items import CloudAction, CloudItem, CloudVersion, DeletedItem, RoleAssignment, read
from fluxon.connect.cloud.leases import CloudLock
from fluxon.connect.cloud.transfers import sha256_of
from fluxon.errors import InvalidPayload, NotFound, ProtocolError

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)

ITEM: dict[str, Any] = {
    "name": "b",
    "path": "/a/b",
    "type": "file",
    "size": 3,
    "version": 2,
    "sha256": "0" * 64,
    "creator": "Jane",
    "created_at": NOW,
    "modified_at": NOW,
}


class PathTests(SynchronousTestCase):
    """Paths of the cloud, as programs give them."""

    def test_with_or_without_leading_slash(self) -> None:
        """Both are from the root."""
        self.assertEqual(given.path_of("a/b"), "/a/b")
        self.assertEqual(given.path_of("/a/b"), "/a/b")
        self.assertEqual(given.path_of(""), "/")

    def test_path_objects(self) -> None:
        """A ``PurePath`` of any system is written as the cloud does."""
        self.assertEqual(given.path_of(PurePosixPath("/a/b")), "/a/b")
        self.assertEqual(given.path_of(PureWindowsPath("a\\b")), "/a/b")

    def test_what_is_no_path(self) -> None:
        """Refused before anything is sent."""
        for wrong in (None, 5, b"/a", "/a\0b"):
            self.assertRaises(InvalidPayload, given.path_of, wrong)

    def test_local_paths(self) -> None:
        """Text, bytes and ``Path``; nothing else."""
        self.assertEqual(given.local_path_of(Path("x")), "x")
        for wrong in (None, "a\0b", b"a\0b"):
            self.assertRaises(InvalidPayload, given.local_path_of, wrong)


class ArgumentTests(SynchronousTestCase):
    """What is wrong is said before it is sent, and what is right passes the command's own check."""

    def test_every_request_passes_its_command(self) -> None:
        """The arguments that are made are those that the command declares."""
        made = [
            requests.stat("a"),
            requests.create_directory("a", parents=True),
            requests.create_file("a"),
            requests.delete_file("a", lock="k" * 16),
            requests.delete_directory("a"),
            requests.move("a", "b"),
            requests.copy("a", "b"),
            requests.versions("a"),
            requests.restore("a", version=1),
            requests.restore("a", deleted=99),
            requests.lock("a", 60, None),
            requests.unlock(CloudLock("a", "k" * 16, NOW, print)),
            requests.assign_role("a", "Mike", "viewer", expires_at=NOW, valid_from="08:00", valid_until=time(17)),
            requests.assign_role("a", 12, "viewer"),
            requests.remove_role("a", "Mike", None),
            requests.roles("a"),
            requests.permissions("a"),
            requests.watch("a"),
            requests.unwatch(3),
        ]
        for request in made:
            request.command.check_arguments(request.arguments)
        for paged in (
            requests.list_directory("a"),
            requests.read_tree_directory("a", limit=5),
            requests.find("a", "*.txt"),
            requests.deleted("a"),
            requests.log("a", user="Mike", since=NOW, limit=100),
        ):
            pages = paged.pages()
            paged.command.check_arguments(pages.arguments())
            pages.take({paged.field: [], "next": "cursor"})
            paged.command.check_arguments(pages.arguments())

    def test_users(self) -> None:
        """A text is a username, a number an id."""
        self.assertEqual(given.user_of("Mike"), {"id": None, "name": "Mike"})
        self.assertEqual(given.user_of(12), {"id": 12, "name": None})
        for wrong in ("", None, True, 1.5):
            self.assertRaises(InvalidPayload, given.user_of, wrong)

    def test_contents(self) -> None:
        """A content is bytes; a text says what to do."""
        self.assertEqual(given.content_of(bytearray(b"x")), b"x")
        self.assertEqual(given.content_of(memoryview(b"x")), b"x")
        error = self.assertRaises(InvalidPayload, given.content_of, "text")
        self.assertIn("encode", error.text)
        self.assertRaises(InvalidPayload, given.content_of, None)

    def test_times(self) -> None:
        """A moment has an offset, a time of day has none."""
        assign = requests.assign_role
        self.assertRaises(InvalidPayload, assign, "a", "M", "v", expires_at=datetime(2027, 1, 1))
        self.assertRaises(InvalidPayload, assign, "a", "M", "v", valid_from=time(1, tzinfo=UTC))
        self.assertRaises(InvalidPayload, assign, "a", "M", "v", valid_until="noon")
        self.assertEqual(assign("a", "M", "v", valid_from="8:00".zfill(5)).arguments["valid_from"], "08:00:00")

    def test_restore_one_thing(self) -> None:
        """Either a version or something deleted."""
        self.assertRaises(InvalidPayload, requests.restore, "a")
        self.assertRaises(InvalidPayload, requests.restore, "a", version=1, deleted=2)

    def test_limits(self) -> None:
        """A limit is a number from 1 on."""
        for wrong in (0, -1, True, 1.5):
            self.assertRaises(InvalidPayload, requests.read_tree_directory, "a", limit=wrong)


class PageTests(SynchronousTestCase):
    """How far listings go."""

    def test_everything(self) -> None:
        """Without a limit, until there is no next page."""
        pages = requests.read_tree_directory("/").pages()
        for after in (None, "one", "two"):
            self.assertEqual((pages.arguments()["after"], pages.arguments()["limit"]), (after, cloud.MAX_PAGE))
            self.assertFalse(pages.over)
            pages.take({"items": [ITEM] * 1_000, "next": {None: "one", "one": "two", "two": None}[after]})
        self.assertTrue(pages.over)
        self.assertEqual(len(pages.found), 3_000)

    def test_limit(self) -> None:
        """No more than that is asked for."""
        pages = requests.read_tree_directory("/", limit=1_500).pages()
        self.assertEqual(pages.arguments()["limit"], 1_000)
        pages.take({"items": [ITEM] * 1_000, "next": "next"})
        self.assertEqual(pages.arguments()["limit"], 500)
        pages.take({"items": [ITEM] * 500, "next": "another"})
        self.assertTrue(pages.over)

    def test_in_circles(self) -> None:
        """Pages that lead back to one that was read would never end. One with nothing in it is none of those."""
        pages = requests.read_tree_directory("/").pages()
        for after in ("one", "two", "three"):
            pages.take({"items": [], "next": after})
        self.assertRaises(ProtocolError, pages.take, {"items": [ITEM], "next": "one"})

    def test_more_than_was_asked_for(self) -> None:
        """A limit is the program's: it has reckoned with no more."""
        pages = requests.read_tree_directory("/", limit=2).pages()
        self.assertRaises(ProtocolError, pages.take, {"items": [ITEM] * 3, "next": None})


class AnswerTests(SynchronousTestCase):
    """What the server answers, as objects."""

    def test_item(self) -> None:
        """Every field, by its name."""
        item = requests.item({"item": ITEM})
        self.assertEqual((item.path, item.size, item.version, item.creator), ("/a/b", 3, 2, "Jane"))
        self.assertTrue(item.is_file)
        self.assertFalse(item.is_directory)

    def test_more_than_is_known(self) -> None:
        """What a newer server says besides is no error."""
        self.assertEqual(read(CloudItem, {**ITEM, "colour": "red"}), read(CloudItem, ITEM))

    def test_times_of_day(self) -> None:
        """They come as texts, and are times here."""
        value = {
            "path": "/",
            "user": "M",
            "role": "v",
            "expires_at": None,
            "valid_from": "08:00:00",
            "valid_until": None,
        }
        self.assertEqual(read(RoleAssignment, value).valid_from, time(8))

    def test_what_may_be_left_out(self) -> None:
        """An optional field that does not come is None."""
        action = {"user": "M", "path": "/", "action_type": "read", "allowed": True, "outcome": "ok", "timestamp": NOW}
        self.assertIsNone(read(CloudAction, action).details)
        gone = {"id": 1, "path": "/a", "type": "file", "size": 0, "deleted_at": NOW}
        self.assertIsNone(read(DeletedItem, gone).deleted_by)

    def test_version_that_is_not_kept(self) -> None:
        """Its hash is looked up, and that it is gone is said before anything is downloaded."""
        kept = [CloudVersion(2, 3, "b" * 64, NOW, None)]
        state = requests_state(2)
        self.assertEqual(sha256_of(kept, state), "b" * 64)
        self.assertRaises(NotFound, sha256_of, kept, requests_state(1))


def requests_state(version: int) -> Any:
    from fluxon.connect.cloud.transfers import reading_of

    return reading_of("/a", version, 0, None)
