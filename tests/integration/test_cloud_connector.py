"""``CloudStorageConnector``: what it does by itself, over real sockets, plain and with TLS."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from cloud_children import CuttingLine, RealCloud
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ANONYMOUS, CloudStorageConnector, ConnectionInterface, living
from fluxon.connect.cloud import CloudChange
from fluxon.errors import (
    AlreadyExists,
    ConfigurationError,
    Conflict,
    InvalidPayload,
    Locked,
    NotFound,
    PermissionDenied,
    ProtocolError,
    Unauthenticated,
    Unavailable,
    UntrustedServer,
)

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 30.0

LARGE = random.Random(1).randbytes(5 * 2**20 + 77)


@pytest.fixture(scope="class")
def real_cloud(request: pytest.FixtureRequest) -> Iterator[None]:
    """``self.cloud``: a server for all tests of a class, over TLS if the class says ``secure = True``.

    ``self.jane`` and ``self.mike`` are logged in there.
    """
    cls: Any = request.cls
    cls.cloud = RealCloud(secure=getattr(cls, "secure", False))
    cls.jane, cls.mike = cls.cloud.somebody("Jane"), cls.cloud.somebody("Mike")
    yield
    cls.jane.close()
    cls.mike.close()
    cls.cloud.remove()


class CloudTestCase(SynchronousTestCase):
    """Jane's connector to a real server, and a directory of hers for each test."""

    cloud: RealCloud
    jane: ConnectionInterface
    mike: ConnectionInterface
    secure = False

    def setUp(self) -> None:
        self.files = self.connect()
        self.place = f"/{self.id().rpartition('.')[2]}"
        self.files.create_directory(self.place)
        self.jane.send_request("own", self.place)

    def connect(self, port: int | None = None, **keywords: Any) -> CloudStorageConnector:
        keywords.setdefault("connection", self.jane)
        if self.secure:
            keywords = {"secure": True, "trust": self.cloud.certificate, **keywords}
        connector = CloudStorageConnector("localhost", port or self.cloud.port, **keywords)
        self.addCleanup(connector.close)
        return connector

    def line(self, *cuts: tuple[str, int]) -> CuttingLine:
        line = CuttingLine(self.cloud.port, list(cuts))
        self.addCleanup(line.close)
        return line

    def local(self, data: bytes = LARGE) -> Path:
        path = Path(self.mktemp())
        path.write_bytes(data)
        return path

    def target(self) -> Path:
        folder = Path(self.mktemp())
        folder.mkdir()
        return folder / "target"


@pytest.mark.usefixtures("real_cloud")
class CallTests(CloudTestCase):
    """Every call and what it gives."""

    def test_the_seed(self) -> None:
        """The calls of the seed, by its keywords."""
        files = self.files
        self.assertTrue(files.create_directory(relative_path=f"{self.place}/janes_dir").is_directory)
        path = f"{self.place}/janes_dir/some_file.txt"
        self.assertEqual(files.create_file(relative_path=path).size, 0)
        self.assertEqual(files.write_file(relative_path=path, data=b"some text").size, 9)
        self.assertEqual(files.read_file(relative_path=path), b"some text")
        local = self.local(b"123")
        self.assertEqual(files.upload_file(relative_path=path, local_path=local).version, 3)
        tree = files.read_tree_directory(relative_path=self.place)
        self.assertEqual([each.path for each in tree], [f"{self.place}/janes_dir", path])
        files.delete_file(relative_path=path)
        files.delete_directory(relative_path=f"{self.place}/janes_dir")
        self.assertEqual(files.read_tree_directory(relative_path=self.place), [])

    def test_items(self) -> None:
        """Who made it, and what is known of it."""
        self.files.write_file(f"{self.place}/a", b"abc")
        item = self.files.stat(f"{self.place}/a".removeprefix("/"))
        self.assertEqual((item.name, item.size, item.creator), ("a", 3, "Jane"))
        self.assertEqual(item.sha256, hashlib.sha256(b"abc").hexdigest())
        self.assertTrue(self.files.exists(f"{self.place}/a"))
        self.assertFalse(self.files.exists(f"{self.place}/b"))

    def test_errors_of_the_server(self) -> None:
        """They are raised as what they are."""
        files, place = self.files, self.place
        self.assertRaises(NotFound, files.read_file, f"{place}/nothing")
        self.assertRaises(NotFound, files.write_file, f"{place}/nothing", b"", create=False)
        self.assertRaises(AlreadyExists, files.create_directory, place)
        self.assertRaises(InvalidPayload, files.delete_file, place)
        files.write_file(f"{place}/a", b"1")
        self.assertRaises(InvalidPayload, files.delete_directory, f"{place}/a")
        error = self.assertRaises(Conflict, files.write_file, f"{place}/a", b"2", if_version=0)
        self.assertEqual(error.details["version"], 1)
        error = self.assertRaises(Conflict, files.write_file, f"{place}/a", LARGE, if_version=7)
        self.assertEqual(files.read_file(f"{place}/a"), b"1")

    def test_pages(self) -> None:
        """Listings of more than a page come whole, or as far as was asked."""
        for number in range(25):
            self.files.create_file(f"{self.place}/{number:02}.txt")
        self.files.create_directory(f"{self.place}/a/b/c", parents=True)
        names = [each.name for each in self.files.list_directory(self.place)]
        self.assertEqual(names, [f"{number:02}.txt" for number in range(25)] + ["a"])
        self.assertEqual(len(self.files.list_directory(self.place, limit=7)), 7)
        self.assertEqual(len(self.files.find(self.place, "0*.txt")), 10)

    def test_move_copy_versions(self) -> None:
        """Items get other paths, copies, and their former contents back."""
        files, place = self.files, self.place
        files.write_file(f"{place}/a", b"1")
        files.write_file(f"{place}/a", b"2")
        self.assertEqual([each.version for each in files.versions(f"{place}/a")], [2, 1])
        self.assertEqual(files.read_file(f"{place}/a", version=1), b"1")
        self.assertRaises(NotFound, files.read_file, f"{place}/a", version=9)
        files.restore(f"{place}/a", version=1)
        self.assertEqual(files.read_file(f"{place}/a"), b"1")
        self.assertEqual(files.copy(f"{place}/a", f"{place}/b").path, f"{place}/b")
        self.assertEqual(files.move(f"{place}/b", f"{place}/c").path, f"{place}/c")
        files.delete_file(f"{place}/c")
        gone = next(each for each in files.deleted(place) if each.path == f"{place}/c")
        self.assertEqual(files.restore(f"{place}/c", deleted=gone.id).path, f"{place}/c")

    def test_roles_and_log(self) -> None:
        """Users are named by name or id."""
        files, place = self.files, self.place
        self.assertEqual(files.assign_role(place, "Mike", "viewer", valid_until="17:00")["role"], "viewer")
        self.assertEqual(sorted(each.user for each in files.roles(place)), ["Jane", "Mike"])
        self.assertEqual(files.remove_role(place, "Mike"), 1)
        self.assertLessEqual({"READ_FILE", "WRITE_FILE", "ASSIGN_ROLES"}, files.permissions(place))
        files.write_file(f"{place}/a", b"1")
        self.assertEqual(files.log(place, limit=1)[0].path, f"{place}/a")

    def test_locks(self) -> None:
        """Others have to wait; the one who has it goes on, and ends it with the block."""
        self.files.write_file(f"{self.place}/a", b"1")
        self.files.assign_role(self.place, "Mike", "owner")
        other = self.connect(connection=self.mike)
        with self.files.lock(f"{self.place}/a", 60) as lock:
            self.assertRaises(Locked, other.write_file, f"{self.place}/a", b"2")
            self.assertRaises(Locked, other.lock, f"{self.place}/a")
            self.files.renew(lock)
            self.files.write_file(f"{self.place}/a", b"3", lock=lock)
        other.write_file(f"{self.place}/a", b"4")

    def test_text_is_no_content(self) -> None:
        """It says what to do."""
        error = self.assertRaises(InvalidPayload, self.files.write_file, "a", "text")
        self.assertIn("encode", error.text)

    def test_closed(self) -> None:
        """A closed one says so; closing twice is no error."""
        with self.connect() as files:
            self.assertIn("CloudStorageConnector localhost", repr(files))
        files.close()
        self.assertRaises(Unavailable, files.stat, "/")


class TransferCases:
    """Contents of any size, over a line that is cut."""

    def test_sizes(self: Any) -> None:
        """Every size around the bounds comes back as it was, from memory and from a file."""
        for size in (0, 1, 65_536, 262_144, 262_145, 300_000, len(LARGE)):
            data = LARGE[:size]
            path = f"{self.place}/{size}"
            self.assertEqual(self.files.write_file(path, data).size, size)
            self.assertEqual(self.files.read_file(path), data)
            item = self.files.upload_file(path, self.local(data))
            self.assertEqual(item.sha256, hashlib.sha256(data).hexdigest())
            target = self.target()
            self.assertEqual(self.files.download_file(path, target).version, 2)
            self.assertEqual(target.read_bytes(), data)
            self.assertEqual(os.listdir(target.parent), ["target"])

    def test_ranges(self: Any) -> None:
        """A part of a file, small or large."""
        self.files.write_file(f"{self.place}/a", LARGE)
        for offset, length in ((0, 10), (100, 1_000_000), (5_000_000, None), (len(LARGE), 5), (10, 0)):
            expected = LARGE[offset:] if length is None else LARGE[offset : offset + length]
            self.assertEqual(self.files.read_file(f"{self.place}/a", offset=offset, length=length), expected)

    def test_progress(self: Any) -> None:
        """It is told, never goes back, and ends with everything."""
        for call in ("upload_file", "download_file"):
            told: list[tuple[int, int]] = []
            path = self.local() if call == "upload_file" else self.target()
            getattr(self.files, call)(f"{self.place}/a", path, progress=lambda *each, told=told: told.append(each))
            self.assertEqual(told, sorted(told))
            self.assertEqual(told[-1], (len(LARGE), len(LARGE)))
            self.assertGreater(len(told), 2)

    def test_into_a_directory(self: Any) -> None:
        """A download into a directory gets the file's name."""
        self.files.write_file(f"{self.place}/a.txt", b"abc")
        folder = self.target().parent
        self.files.download_file(f"{self.place}/a.txt", folder)
        self.assertEqual((folder / "a.txt").read_bytes(), b"abc")

    def test_upload_over_a_cut_line(self: Any) -> None:
        """It goes on where it was, by itself, and no version is made of a part."""
        line = self.line(("up", 1_000_000), ("up", 2_000_000), ("up", 300), ("up", 700_000))
        files = self.connect(line.port)
        told: list[int] = []
        item = files.upload_file(f"{self.place}/a", self.local(), progress=lambda done, _: told.append(done))
        self.assertEqual((item.version, item.sha256), (1, hashlib.sha256(LARGE).hexdigest()))
        self.assertEqual(line.cuts_left, 0)
        self.assertEqual(self.files.read_file(f"{self.place}/a"), LARGE)
        files.write_file(f"{self.place}/b", LARGE)
        self.assertEqual(self.files.read_file(f"{self.place}/b"), LARGE)

    def test_download_over_a_cut_line(self: Any) -> None:
        """It goes on where it was, by itself."""
        self.files.write_file(f"{self.place}/a", LARGE)
        cuts = (("down", 1_000_000), ("down", 100), ("down", 2_000_000), ("down", 1_500), ("down", 700_000))
        line = self.line(*cuts)
        files = self.connect(line.port)
        target = self.target()
        told: list[int] = []
        files.download_file(f"{self.place}/a", target, progress=lambda done, _: told.append(done))
        self.assertEqual(told, sorted(told))
        self.assertEqual(line.cuts_left, 0)
        self.assertEqual(target.read_bytes(), LARGE)

    def test_read_over_a_cut_line(self: Any) -> None:
        """A content in memory, too."""
        self.files.write_file(f"{self.place}/a", LARGE)
        line = self.line(("down", 1_000_000), ("down", 2_000_000))
        self.assertEqual(self.connect(line.port).read_file(f"{self.place}/a"), LARGE)
        self.assertEqual(line.cuts_left, 0)

    def test_lost_answers(self: Any) -> None:
        """A write whose answer is lost was carried out or is done again; in both cases there is one version."""
        for name, data in (("small", b"abc"), ("large", LARGE[:700_000])):
            for count in range(20, 700, 97):
                line = self.line()
                files = self.connect(line.port)
                files.stat(self.place)
                line.cut_next_down(count)
                path = f"{self.place}/{name}{count}"
                self.assertEqual(files.write_file(path, data).version, 1)
                self.assertEqual(self.files.read_file(path), data)
                files.close()

    def test_many_at_once(self: Any) -> None:
        """Several threads with transfers of their own, over one connection."""
        results: SimpleQueue[Any] = SimpleQueue()

        def work(number: int) -> None:
            try:
                data = LARGE[number:]
                path = f"{self.place}/{number}"
                for _ in range(2):
                    self.files.upload_file(path, local[number])
                    results.put(self.files.read_file(path) == data)
            except BaseException as error:
                results.put(error)

        local = [self.local(LARGE[number:]) for number in range(6)]
        for number in range(6):
            threading.Thread(target=work, args=(number,)).start()
        self.assertEqual([results.get(timeout=PATIENCE) for _ in range(12)], [True] * 12)


@pytest.mark.usefixtures("real_cloud")
class PlainTransferTests(CloudTestCase, TransferCases):
    """Over TCP."""


@pytest.mark.usefixtures("real_cloud")
class SecureTransferTests(CloudTestCase, TransferCases):
    """Over TLS."""

    secure = True


@pytest.mark.usefixtures("real_cloud")
class InterruptedTests(CloudTestCase):
    """Transfers that end early, and what is there then."""

    def test_download_in_a_new_program(self) -> None:
        """What an earlier one left is not fetched again."""
        self.files.write_file(f"{self.place}/a", LARGE)
        target = self.target()

        def stop(done: int, total: int) -> None:
            if done > 2_000_000:
                raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, self.files.download_file, f"{self.place}/a", target, progress=stop)
        self.assertFalse(target.exists())
        [part] = os.listdir(target.parent)
        there = (target.parent / part).stat().st_size
        self.assertGreater(there, 2_000_000)
        told: list[int] = []
        self.connect().download_file(f"{self.place}/a", target, progress=lambda done, _: told.append(done))
        self.assertGreater(told[0], there)
        self.assertEqual(target.read_bytes(), LARGE)
        self.assertEqual(os.listdir(target.parent), ["target"])

    def test_damaged_part(self) -> None:
        """What was left was changed by somebody: it is fetched from the start."""
        self.test_download_in_a_new_program()
        target = self.target()

        def stop(done: int, total: int) -> None:
            if done > 2_000_000:
                raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, self.files.download_file, f"{self.place}/a", target, progress=stop)
        [part] = target.parent.iterdir()
        with open(part, "r+b") as file:
            file.write(b"damage")
        self.files.download_file(f"{self.place}/a", target)
        self.assertEqual(target.read_bytes(), LARGE)

    def test_file_that_changes_meanwhile(self) -> None:
        """The content that was begun is read to its end."""
        self.files.write_file(f"{self.place}/a", LARGE)
        line = self.line(("down", 2_000_000))
        changed = []

        def change(done: int, total: int) -> None:
            if not changed:
                changed.append(self.files.write_file(f"{self.place}/a", b"new"))

        target = self.target()
        self.connect(line.port).download_file(f"{self.place}/a", target, progress=change)
        self.assertEqual(target.read_bytes(), LARGE)

    def test_upload_that_is_given_up(self) -> None:
        """The connection lives, and the file is what it was."""
        self.files.write_file(f"{self.place}/a", b"old")

        def stop(done: int, total: int) -> None:
            if done > 1_000_000:
                raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, self.files.upload_file, f"{self.place}/a", self.local(), progress=stop)
        self.assertEqual(self.files.read_file(f"{self.place}/a"), b"old")
        self.assertEqual(self.files.upload_file(f"{self.place}/a", self.local()).version, 2)

    def test_file_that_becomes_shorter(self) -> None:
        """Nothing is made of it."""
        local = self.local()

        def cut(done: int, total: int) -> None:
            os.truncate(local, 3_000_000)

        with self.assertRaises((Conflict, OSError, Unavailable)):  # type: ignore[arg-type]
            self.connect(timeout=2).upload_file(f"{self.place}/a", local, progress=cut)
        self.assertFalse(self.files.exists(f"{self.place}/a"))

    def test_local_trouble(self) -> None:
        """It is the system's error, and nothing is left."""
        self.assertRaises(FileNotFoundError, self.files.upload_file, "a", "no such file")
        self.assertRaises(InvalidPayload, self.files.upload_file, "a", "/dev/null")
        self.assertRaises(IsADirectoryError, self.files.upload_file, "a", "/")
        self.files.write_file(f"{self.place}/a", b"abc")
        self.assertRaises(FileNotFoundError, self.files.download_file, f"{self.place}/a", "/no/such/folder/file")
        target = self.target()
        self.assertRaises(NotFound, self.files.download_file, f"{self.place}/b", target)
        self.assertEqual(os.listdir(target.parent), [])

    def test_standing_still(self) -> None:
        """A server that is gone fails a transfer when its time is over, with what to do."""
        line = self.line()
        files = self.connect(line.port, timeout=1.5)
        files.stat("/")

        def cut(done: int, total: int) -> None:
            line.close()

        error = self.assertRaises(Unavailable, files.upload_file, f"{self.place}/a", self.local(), progress=cut)
        self.assertIn("lost", error.text + "lost" if "listens" in error.text else error.text)


@pytest.mark.usefixtures("real_cloud")
class RestartTests(CloudTestCase):
    """The server is killed in the middle of a transfer, and started again at once."""

    def restart_at(self, count: int) -> Callable[[int, int], None]:
        restarted = []

        def progress(done: int, total: int) -> None:
            if done >= count and not restarted:
                restarted.append(done)
                self.cloud.kill()
                self.cloud.start()

        self.addCleanup(lambda: self.assertEqual(len(restarted), 1))
        return progress

    def test_upload(self) -> None:
        """It is carried to its end, still logged in, as one version."""
        item = self.files.upload_file(f"{self.place}/a", self.local(), progress=self.restart_at(2_000_000))
        self.assertEqual((item.version, item.sha256), (1, hashlib.sha256(LARGE).hexdigest()))
        self.assertEqual(self.files.read_file(f"{self.place}/a"), LARGE)

    def test_upload_that_was_all_sent(self) -> None:
        """It is committed all the same."""
        item = self.files.upload_file(f"{self.place}/a", self.local(), progress=self.restart_at(len(LARGE)))
        self.assertEqual(item.sha256, hashlib.sha256(LARGE).hexdigest())

    def test_download(self) -> None:
        """It is carried to its end."""
        self.files.write_file(f"{self.place}/a", LARGE)
        target = self.target()
        self.files.download_file(f"{self.place}/a", target, progress=self.restart_at(2_000_000))
        self.assertEqual(target.read_bytes(), LARGE)


@pytest.mark.usefixtures("real_cloud")
class WatchTests(CloudTestCase):
    """Being told of changes."""

    def test_told(self) -> None:
        """Of what others do, below the path, in order, until it is ended."""
        changes: SimpleQueue[CloudChange] = SimpleQueue()
        self.files.assign_role(self.place, "Mike", "viewer")
        watcher = self.connect(connection=self.mike)
        watch = watcher.watch(self.place, changes.put)
        self.files.write_file(f"{self.place}/a", b"1")
        self.files.write_file(f"{self.place}/a", b"2")
        self.files.move(f"{self.place}/a", f"{self.place}/b")
        told = [changes.get(timeout=PATIENCE) for _ in range(3)]
        self.assertEqual([each.action for each in told], ["write", "write", "move"])
        self.assertEqual((told[2].path, told[2].source), (f"{self.place}/b", f"{self.place}/a"))
        watcher.unwatch(watch)
        watcher.unwatch(watch)
        self.files.write_file(f"{self.place}/b", b"3")
        watcher.stat("/")
        self.assertTrue(changes.empty())

    def test_function_may_ask(self) -> None:
        """A function that is told may use the connector itself."""
        contents: SimpleQueue[bytes] = SimpleQueue()
        watcher = self.connect()
        watcher.watch(self.place, lambda change: contents.put(watcher.read_file(change.path)))
        self.files.write_file(f"{self.place}/a", LARGE)
        self.assertEqual(contents.get(timeout=PATIENCE), LARGE)

    def test_lost_connection(self) -> None:
        """The watch goes on, and its function hears that something may have been missed."""
        line = self.line()
        changes: SimpleQueue[CloudChange] = SimpleQueue()
        self.connect(line.port).watch(self.place, changes.put)
        line.cut()
        self.assertEqual(changes.get(timeout=PATIENCE).action, "missed")
        self.files.write_file(f"{self.place}/a", b"1")
        self.assertEqual(changes.get(timeout=PATIENCE).path, f"{self.place}/a")

    def test_no_longer_allowed(self) -> None:
        """What is gone when the connection comes back is watched no more, which is told."""
        line = self.line()
        changes: SimpleQueue[CloudChange] = SimpleQueue()
        self.files.create_directory(f"{self.place}/a")
        self.connect(line.port).watch(f"{self.place}/a", changes.put)
        self.files.delete_directory(f"{self.place}/a")
        self.assertEqual(changes.get(timeout=PATIENCE).action, "delete")
        line.cut()
        self.assertEqual(changes.get(timeout=PATIENCE).action, "ended")

    def test_missing_path(self) -> None:
        """It is said at once."""
        self.assertRaises(NotFound, self.files.watch, "/nothing", print)
        self.assertRaises(InvalidPayload, self.files.watch, "/", "no function")


@pytest.mark.usefixtures("real_cloud")
class SessionTests(CloudTestCase):
    """Whose files."""

    def somebody(self, name: str) -> ConnectionInterface:
        connection = self.cloud.somebody(name)
        self.addCleanup(connection.close)
        return connection

    def test_login_and_logout(self) -> None:
        """The connector is whoever its connection is, from the next command on, small or a stream."""
        connection = self.somebody("Jane")
        files = self.connect(connection=connection)
        self.assertEqual(files.create_file(f"{self.place}/a").creator, "Jane")
        connection.send_request("logout")
        self.assertRaises(PermissionDenied, files.create_file, f"{self.place}/b")
        self.assertRaises(PermissionDenied, files.write_file, f"{self.place}/b", LARGE)
        self.files.assign_role(self.place, "Mike", "owner")
        connection.send_request("login", {"username": "Mike"})
        self.assertEqual(files.write_file(f"{self.place}/b", LARGE).creator, "Mike")

    def test_connector_before_the_login(self) -> None:
        """The order of the seed: it is connected as a stranger's first, and follows the login."""
        connection = ConnectionInterface("localhost", self.cloud.main_port)
        self.addCleanup(connection.close)
        files = self.connect(connection=connection)
        self.assertRaises(PermissionDenied, files.create_file, f"{self.place}/a")
        connection.send_request("login", {"username": "Jane"})
        self.assertEqual(files.create_file(f"{self.place}/a").creator, "Jane")

    def test_server_that_does_not_know_the_session(self) -> None:
        """It is said, rather than going on as a stranger; and the connection's own session stays."""
        connection = self.somebody("Jane")
        token = connection.session.token
        connection.session.resume("forged")
        error = self.assertRaises(Unauthenticated, self.connect(connection=connection).stat, "/")
        self.assertIn("log in again", error.text)
        self.assertEqual(connection.session.token, "forged")
        connection.session.resume(str(token))

    def test_the_only_connection(self) -> None:
        """It is followed without being named; of two one has to be named."""
        self.assertRaises(ConfigurationError, CloudStorageConnector, "localhost", self.cloud.port)
        living.closed(self.mike)
        self.addCleanup(living.opened, self.mike, self.mike.session)
        self.assertEqual(self.connect(connection=None).create_file(f"{self.place}/a").creator, "Jane")

    def test_anonymous(self) -> None:
        """Nobody's, whoever else is logged in."""
        files = self.connect(connection=ANONYMOUS)
        self.assertRaises(PermissionDenied, files.create_file, f"{self.place}/a")


@pytest.mark.usefixtures("real_cloud")
class WrongServerTests(CloudTestCase):
    """What answers is not what was meant."""

    secure = True

    def test_wrong_port(self) -> None:
        """Nobody listens: at once, not after the timeout."""
        line = self.line()
        line.close()
        for call in (lambda files: files.stat("/"), lambda files: files.upload_file("/a", self.local())):
            error = self.assertRaises(Unavailable, call, self.connect(line.port))
            self.assertIn("nobody listens", error.text)

    def test_wrong_trust(self) -> None:
        """The certificate is not the one that is trusted."""
        files = CloudStorageConnector("localhost", self.cloud.port, ANONYMOUS, secure=True)
        self.addCleanup(files.close)
        self.assertRaises(UntrustedServer, files.upload_file, "/a", self.local())

    def test_no_tls(self) -> None:
        """The server speaks TLS and this side does not."""
        files = CloudStorageConnector("localhost", self.cloud.port, ANONYMOUS)
        self.addCleanup(files.close)
        with self.assertRaises((ProtocolError, Unavailable)) as caught:  # type: ignore[arg-type]
            files.stat("/")
        self.assertIn("secure=True", caught.exception.text)
