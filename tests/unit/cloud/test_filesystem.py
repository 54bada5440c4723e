"""The facade: every call of it, by the administration and by users, in threads and on the reactor's thread."""

from __future__ import annotations

from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from cloud_cases import BEGIN, SQLiteCloud
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.python import threadable
from twisted.trial.unittest import TestCase

from fluxon.blocking import Pending
from fluxon.cloud.calling import Calls
from fluxon.cloud.filesystem import Directory, File, Filesystem
from fluxon.database.query import where
from fluxon.errors import AlreadyExists, Conflict, InvalidPayload, Locked, NotFound, PermissionDenied
from fluxon.sessions.user import AuthenticatedUser
from fluxon.workers import WorkerPool


class Script(SQLiteCloud):
    """As a script uses it: everything blocks."""

    def setUp(self) -> None:
        super().setUp()
        self.filesystem = Filesystem(Calls(self.storage))
        self.top: Any = self.filesystem.path("/")
        self.user = self.row_of(self.jane)

    def row_of(self, agent: Any) -> AuthenticatedUser:
        return AuthenticatedUser(self.User.Check(where[self.User.id == agent.user_id], fetch=1)[0])

    def test_attributes(self) -> None:
        """Those of the seed's table, and what else is known."""
        directory = self.filesystem.create_directory("/janes", user=self.user)
        self.assertIsInstance(directory, Directory)
        self.assertIsInstance(directory, self.filesystem.Item)
        self.assertEqual(directory.creator, self.user)
        self.assertEqual(directory.creator.username, "Jane")
        self.assertEqual(
            (directory.name, directory.path, directory.type), ("janes", PurePosixPath("/janes"), "directory")
        )
        self.assertEqual((directory.size, directory.created_at), (0, BEGIN))
        written = self.filesystem.write("/janes/f", "caf\u00e9")
        self.assertIsInstance(written, File)
        self.assertEqual((written.creator, written.type, written.size, written.version), (None, "file", 5, 1))
        self.assertEqual(self.filesystem.path("/"), self.top)
        self.assertEqual((self.top.name, self.top.parent()), ("", None))

    def test_items_that_are_one(self) -> None:
        """The same item is equal however it was reached, and a path without one is equal to itself; both say what."""
        directory = self.filesystem.create_directory("/d")
        again, nothing = self.filesystem.path("/d/"), self.filesystem.path("/nothing")
        self.assertEqual({directory, again}, {again})
        self.assertEqual({nothing, self.filesystem.path("nothing")}, {nothing})
        self.assertNotEqual(directory, nothing)
        self.assertNotEqual(directory, "/d")
        self.assertEqual((repr(again), repr(nothing)), ("<directory /d>", "<nothing at /nothing>"))
        self.assertEqual(repr(directory.audit_logs()[0]), "<create /d by Admin: ok>")

    def test_nothing_there(self) -> None:
        """A path at which there is nothing is an item that does not exist, and says so when it is used."""
        nothing = self.filesystem.path("/nothing")
        self.assertEqual((nothing.exists(), nothing.type, nothing.name), (False, None, "nothing"))
        self.assertEqual(nothing.parent(), self.top)
        for call in ("read", "write", "list_items", "create_file", "versions"):
            self.assertRaises(NotFound, getattr, nothing, call)
        for call in (nothing.delete, lambda: nothing.move("/x"), nothing.stat):
            self.assertRaises(NotFound, call)
        self.assertRaises(AttributeError, lambda: nothing.bread)
        self.assertRaises(InvalidPayload, self.filesystem.path, "/..")

    def test_directory(self) -> None:
        """The seed's methods of directories."""
        made = self.top.create_directory("d")
        inner = made.create_directory("e")
        file = made.create_file("f.txt")
        self.assertEqual(made.list_items(), [inner, file])
        self.assertEqual(file.parent(), made)
        self.assertEqual([item.name for item in self.top.walk()], ["d", "e", "f.txt"])
        self.assertEqual(self.top.find("*.TXT"), [file])
        self.assertRaises(InvalidPayload, made.create_file, "a/b")
        self.assertRaises(InvalidPayload, made.create_file, "..")
        self.assertRaises(AlreadyExists, made.create_file, "F.TXT")
        page = made.list_items(limit=1)
        self.assertEqual((page, made.list_items(after=page.next)), ([inner], [file]))
        moved = made.move("/moved")
        self.assertEqual((moved.path, made.exists(), moved.exists()), (PurePosixPath("/moved"), False, True))
        copied = moved.copy("/copied")
        self.assertEqual([item.name for item in copied.list_items()], ["e", "f.txt"])
        moved.delete()
        self.assertFalse(moved.exists())
        (gone,) = self.top.deleted().entries
        back = self.top.restore(gone.id, "back")
        self.assertEqual([item.name for item in back.list_items()], ["e", "f.txt"])

    def test_file(self) -> None:
        """The seed's methods of files; a text is UTF-8."""
        file = self.top.create_file("f")
        self.assertEqual(file.read(), b"")
        self.clock.advance(60)
        file = file.write("na\u00efve")
        self.assertEqual((file.read(), file.read_text()), ("na\u00efve".encode(), "na\u00efve"))
        self.assertEqual(file.last_modified(), BEGIN + timedelta(seconds=60))
        self.assertEqual(file.write(bytearray(b"123")).size, 3)
        self.assertRaises(TypeError, file.write, 17)
        self.assertRaises(Conflict, file.write, b"", if_version=1)
        self.assertEqual([each.version for each in file.versions()], [3, 2, 1])
        self.assertEqual(file.read(version=2), "na\u00efve".encode())
        self.assertEqual(file.restore(2).read_text(), "na\u00efve")
        lease = file.lock(60)
        self.assertRaises(Locked, file.write, b"")
        file.write(b"", lock=lease.lock)
        file.unlock()
        self.assertEqual(file.move("/g").read(), b"")
        self.assertRaises(NotFound, file.last_modified)
        self.assertRaises(NotFound, file.delete)

    def test_kinds_do_not_mix(self) -> None:
        """A snapshot of a file does not do to a directory, at the same path by now, what was meant for the file."""
        file = self.top.create_file("x")
        file.delete()
        self.top.create_directory("x")
        self.assertRaises(InvalidPayload, file.delete)
        self.assertFalse(file.exists())
        self.assertIsInstance(file.stat(), Directory)

    def test_who_acts(self) -> None:
        """``user`` does, with their rights; a stranger for None; the administration if it is left out."""
        file = self.top.create_file("f")
        for somebody in (self.user, None):
            self.assertRaises(PermissionDenied, file.read, user=somebody)
        self.assertRaises(TypeError, file.read, user="Jane")
        self.assign("/f", self.jane, "viewer")
        self.assertEqual(file.read(user=self.user), b"")
        self.assertRaises(PermissionDenied, file.write, "x", user=self.user)

    def test_audit_logs(self) -> None:
        """Of an item in the order of time; of a path and below, of a user, of a time, the newest first."""
        directory = self.filesystem.create_directory("/d", user=self.user)
        self.assign("/d", self.jane, "owner")
        self.clock.advance(60)
        file = directory.create_file("f", user=self.user)
        file.write("x", user=self.user)
        self.assertRaises(PermissionDenied, file.read, user=None)
        file.move("/d/g")
        self.clock.advance(60)
        shown = [(each.action_type, each.username, each.outcome) for each in file.audit_logs()]
        self.assertEqual(
            shown,
            [
                ("create", "Jane", "ok"),
                ("write", "Jane", "ok"),
                ("read", "anonymous", "PermissionDenied"),
                ("move", "Admin", "ok"),
            ],
        )
        action = file.audit_logs()[1]
        self.assertEqual((action.user, action.item.path), (self.user, PurePosixPath("/d/g")))
        self.assertEqual((action.path, action.timestamp), ("/d/f", BEGIN + timedelta(seconds=60)))
        self.assertEqual(file.audit_logs()[3].details, {"to": "/d/g"})
        for of in (self.user, self.jane.user_id, "Jane"):
            found = self.filesystem.audit_logs("/d", of=of)
            self.assertEqual([each.action_type for each in found], ["write", "create", "create"])
        early = self.filesystem.audit_logs(until=BEGIN + timedelta(seconds=1))
        self.assertEqual({each.action_type for each in early}, {"create", "stat"})
        page = self.filesystem.audit_logs("/d", limit=2)
        rest = self.filesystem.audit_logs("/d", after=page.next)
        self.assertNotEqual(page[-1].timestamp, None)
        self.assertTrue(all(one.timestamp >= other.timestamp for one in page for other in rest))
        self.assertEqual(directory.audit_logs(user=self.user)[0].action_type, "create")
        self.assertRaises(PermissionDenied, file.audit_logs, user=self.row_of(self.mike))

    def test_quotas(self) -> None:
        """Of users and of directories."""
        self.filesystem.set_quota("Jane", 10)
        directory = self.top.create_directory("d")
        directory.set_quota(100)
        directory.create_file("f").write(b"x" * 7)
        self.assertEqual(directory.usage().used, 7)
        self.assertEqual(self.filesystem.usage("Jane", user=self.user).limit, 10)
        self.assertRaises(PermissionDenied, self.filesystem.usage, "Jane", user=self.row_of(self.mike))

    def test_within_a_transaction(self) -> None:
        """A call of the cloud is no part of another transaction."""
        self.assertRaises(RuntimeError, self.database.transaction, lambda: self.filesystem.path("/"))
        self.assertRaises(RuntimeError, self.database.transaction, lambda: self.storage.write(self.admin, "/f", b"x"))

    def test_wrong_arguments(self) -> None:
        """They are told at once."""
        self.assertRaises(TypeError, self.filesystem.write, "/f", 5)
        self.assertFalse(self.filesystem.path("/f").exists())


class AsyncViews(TestCase):
    """The same calls on the reactor's thread."""

    def setUp(self) -> None:
        case = self.case = SQLiteCloud("refused")
        case.setUp()
        self.patch(threadable, "ioThread", threadable.getThreadID())
        pool = WorkerPool("file", 2, reactor)
        self.filesystem = Filesystem(Calls(case.storage, pool))
        self.addCleanup(pool.stop)

    def tearDown(self) -> None:
        # What the case cleans up blocks, as in a program without a reactor.
        threadable.ioThread = None
        self.case.doCleanups()

    @inlineCallbacks
    def test_awaited(self) -> Any:
        """Each is a promise; what it gives are snapshots, whose attributes are there at once."""
        promise = self.filesystem.create_directory("/d")
        self.assertIsInstance(promise, Pending)
        self.assertRaises(TypeError, bool, promise)
        directory = yield promise
        file = yield directory.create_file("f")
        yield file.write("x")
        self.assertEqual((yield file.read()), b"x")
        self.assertEqual((yield directory.list_items()), [file])
        self.assertTrue((yield file.exists()))
        yield self.assertFailure(self.filesystem.path("/d/g/h").addCallback(lambda item: item.stat()), NotFound)

    def test_coroutine(self) -> Deferred[None]:
        """``await`` works as in a view."""

        async def view() -> None:
            item = await self.filesystem.write("/f", b"1")
            self.assertIsNone((await self.filesystem.path(item.path)).creator)

        return Deferred.fromCoroutine(view())
