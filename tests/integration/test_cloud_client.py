"""``CloudClient``: the cloud for Twisted programs, over real sockets, plain and with TLS."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cloud_children import CuttingLine, RealCloud
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredQueue, gatherResults
from twisted.internet.task import deferLater
from twisted.python import threadable
from twisted.trial.unittest import TestCase

from fluxon.connect import Client, CloudClient, connect, connect_cloud
from fluxon.connect.cloud import CloudChange
from fluxon.connect.session import SessionHolder
from fluxon.errors import (
    AlreadyExists,
    ConfigurationError,
    Conflict,
    DeadlineExceeded,
    InvalidPayload,
    Locked,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    UntrustedServer,
)

LARGE = random.Random(2).randbytes(5 * 2**20 + 77)


def is_let_go(path: Path) -> bool:
    """Whether nobody writes to a file any more: whoever does holds a lock on it."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.fixture(scope="class")
def real_cloud(request: pytest.FixtureRequest) -> Iterator[None]:
    """``self.cloud``: a server for all tests of a class, over TLS if the class says ``secure = True``."""
    cls: Any = request.cls
    cls.cloud = RealCloud(secure=getattr(cls, "secure", False))
    yield
    cls.cloud.remove()


class CloudTestCase(TestCase):
    """Jane's client of a real server, and a directory of hers for each test."""

    timeout = 60
    cloud: RealCloud
    secure = False

    async def setUp(self) -> None:
        before = threadable.ioThread
        threadable.registerAsIOThread()
        self.addCleanup(setattr, threadable, "ioThread", before)
        self.jane = await self.somebody("Jane")
        self.files = await self.connect()
        self.place = f"/{self.id().rpartition('.')[2]}"
        await self.files.create_directory(self.place)
        await self.jane.call("own", self.place)

    async def somebody(self, name: str) -> Client:
        keywords: dict[str, Any] = {"secure": True, "trust": self.cloud.certificate} if self.secure else {}
        client = await connect(reactor, f"localhost:{self.cloud.main_port}", **keywords)
        self.addCleanup(client.close)
        await client.call("login", {"username": name})
        return client

    async def connect(self, port: int | None = None, **keywords: Any) -> CloudClient:
        keywords.setdefault("connection", self.jane)
        if self.secure:
            keywords = {"secure": True, "trust": self.cloud.certificate, **keywords}
        client = await connect_cloud(reactor, f"localhost:{port or self.cloud.port}", **keywords)
        self.addCleanup(client.close)
        return client

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

    async def test_items(self) -> None:
        """What the blocking client gives, as Deferreds."""
        files, place = self.files, self.place
        await files.create_directory(f"{place}/a/b", parents=True)
        await files.create_file(f"{place}/a/f")
        await files.write_file(f"{place}/a/f", b"1")
        self.assertEqual(await files.read_file(f"{place}/a/f"), b"1")
        self.assertEqual((await files.stat(f"{place}/a/f")).creator, "Jane")
        self.assertEqual([each.name for each in await files.list_directory(f"{place}/a")], ["b", "f"])
        self.assertEqual(len(await files.read_tree_directory(place)), 3)
        self.assertEqual(len(await files.find(place, "f*")), 1)
        self.assertTrue(await files.exists(place))
        self.assertFalse(await files.exists(f"{place}/x"))
        await files.copy(f"{place}/a/f", f"{place}/g")
        await files.move(f"{place}/g", f"{place}/h")
        self.assertEqual(len(await files.versions(f"{place}/a/f")), 2)
        await files.restore(f"{place}/a/f", version=1)
        self.assertEqual(await files.read_file(f"{place}/a/f", version=2), b"1")
        await files.delete_file(f"{place}/a/f")
        await files.delete_directory(f"{place}/a")
        self.assertTrue(await files.deleted(place))
        await self.somebody("Mike")
        await files.assign_role(place, "Mike", "viewer")
        self.assertEqual(sorted(each.role for each in await files.roles(place)), ["owner", "viewer"])
        self.assertEqual(await files.remove_role(place, "Mike"), 1)
        self.assertIn("READ_FILE", await files.permissions(place))
        self.assertTrue(await files.log(place))

    async def test_errors(self) -> None:
        """What the server answers, and what was wrong before it was asked, fail the Deferred."""
        files = self.files
        await self.assertFailure(files.stat("/nothing"), NotFound)
        await self.assertFailure(files.stat(5), InvalidPayload)  # type: ignore[arg-type]
        await self.assertFailure(files.create_directory(self.place), AlreadyExists)
        await self.assertFailure(files.write_file(f"{self.place}/a", LARGE, if_version=4), Conflict)
        await self.assertFailure(files.write_file(f"{self.place}/a", "text"), InvalidPayload)  # type: ignore[arg-type]
        await self.assertFailure(files.read_file(f"{self.place}/a"), NotFound)
        await self.assertFailure(files.upload_file(f"{self.place}/a", "no such file"), FileNotFoundError)
        await files.write_file(f"{self.place}/a", LARGE)
        await self.assertFailure(files.download_file(f"{self.place}/a", "/no/such/folder/x"), FileNotFoundError)
        await self.assertFailure(files.download_file(f"{self.place}/a", "/dev/full/x"), OSError)

    async def test_forgotten_await(self) -> None:
        """It is refused, not taken for true."""
        exists = self.files.exists("/nothing")
        with self.assertRaises(TypeError):
            bool(exists)
        self.assertFalse(await exists)

    async def test_lock(self) -> None:
        """``async with`` unlocks."""
        await self.files.write_file(f"{self.place}/a", b"1")
        mike = await self.somebody("Mike")
        await self.files.assign_role(self.place, "Mike", "owner")
        other = await self.connect(connection=mike)
        async with await self.files.lock(f"{self.place}/a") as lock:
            await self.assertFailure(other.write_file(f"{self.place}/a", b"2"), Locked)
            await self.files.renew(lock)
            await self.files.write_file(f"{self.place}/a", b"3", lock=lock)
        await other.write_file(f"{self.place}/a", b"4")

    async def test_whose_files(self) -> None:
        """The client is whoever its connection is, from the next command on; or nobody."""
        somebody = await self.somebody("Jane")
        files = await self.connect(connection=somebody)
        self.assertEqual((await files.create_file(f"{self.place}/a")).creator, "Jane")
        await self.files.assign_role(self.place, "Mike", "owner")
        await somebody.call("login", {"username": "Mike"})
        self.assertEqual((await files.create_file(f"{self.place}/b")).creator, "Mike")
        await somebody.call("logout")
        await self.assertFailure(files.create_file(f"{self.place}/c"), PermissionDenied)
        await self.assertFailure(files.write_file(f"{self.place}/c", LARGE), PermissionDenied)
        somebody.session.resume("forged")
        await self.assertFailure(files.create_file(f"{self.place}/d"), Unauthenticated)
        stranger = await self.connect(connection=None)
        await self.assertFailure(stranger.create_file(f"{self.place}/e"), PermissionDenied)

    async def test_no_token_to_another_host(self) -> None:
        """Nor from TLS to plain."""

        class Somebody:
            def __init__(self, host: str, secure: bool) -> None:
                self.session = SessionHolder(host, secure)

        for somebody in (Somebody("example.org", False), Somebody("127.0.0.1", True)):
            await self.assertFailure(connect_cloud(reactor, "127.0.0.1", connection=somebody), ConfigurationError)


class TransferCases:
    """Contents of any size, over a line that is cut."""

    async def test_sizes(self: Any) -> None:
        """Every size around the bounds comes back as it was, from memory and from a file."""
        for size in (0, 1, 262_144, 262_145, len(LARGE)):
            data = LARGE[:size]
            path = f"{self.place}/{size}"
            await self.files.write_file(path, data)
            self.assertEqual(await self.files.read_file(path), data)
            item = await self.files.upload_file(path, self.local(data))
            self.assertEqual(item.sha256, hashlib.sha256(data).hexdigest())
            target = self.target()
            await self.files.download_file(path, target)
            self.assertEqual(target.read_bytes(), data)
            self.assertEqual(os.listdir(target.parent), ["target"])

    async def test_over_a_cut_line(self: Any) -> None:
        """Uploads and downloads go on where they were, by themselves."""
        line = self.line(("up", 1_000_000), ("up", 2_000_000))
        files = await self.connect(line.port)
        told: list[int] = []
        item = await files.upload_file(f"{self.place}/a", self.local(), progress=lambda done, _: told.append(done))
        self.assertEqual((item.version, item.sha256), (1, hashlib.sha256(LARGE).hexdigest()))
        self.assertEqual((told[-1], line.cuts_left), (len(LARGE), 0))
        line = self.line(("down", 1_000_000), ("down", 2_000_000))
        files = await self.connect(line.port)
        target = self.target()
        told.clear()
        await files.download_file(f"{self.place}/a", target, progress=lambda done, _: told.append(done))
        self.assertEqual(target.read_bytes(), LARGE)
        self.assertEqual((told[-1], line.cuts_left), (len(LARGE), 0))

    async def test_many_at_once(self: Any) -> None:
        """Over one connection, without blocking the reactor."""
        paths = [f"{self.place}/{number}" for number in range(6)]
        await gatherResults([self.files.upload_file(path, self.local()) for path in paths])
        targets = [self.target() for _ in paths]
        await gatherResults(
            [self.files.download_file(path, target) for path, target in zip(paths, targets, strict=True)]
        )
        self.assertEqual({target.read_bytes() for target in targets}, {LARGE})


@pytest.mark.usefixtures("real_cloud")
class PlainTransferTests(CloudTestCase, TransferCases):
    """Over TCP."""

    async def test_no_file_on_the_reactor(self) -> None:
        """Whatever opens, reads, writes or hashes a local file does it in a thread."""
        place = threading.get_ident()
        self.assertTrue(threadable.isInIOThread())
        opened: list[int] = []
        import builtins

        real_open: Callable[..., Any] = builtins.open
        real_os_open: Callable[..., Any] = os.open

        def watched(*args: Any, **keywords: Any) -> Any:
            opened.append(threading.get_ident())
            return real_open(*args, **keywords)

        def watched_os(*args: Any, **keywords: Any) -> Any:
            opened.append(threading.get_ident())
            return real_os_open(*args, **keywords)

        real_pread: Callable[..., bytes] = os.pread

        def watched_pread(*args: Any) -> bytes:
            opened.append(threading.get_ident())
            return real_pread(*args)

        files = [(self.local(LARGE[:size]), self.target()) for size in (100, 300_000, len(LARGE))]
        self.patch(builtins, "open", watched)
        self.patch(os, "open", watched_os)
        self.patch(os, "pread", watched_pread)
        for local, target in files:
            await self.files.upload_file(f"{self.place}/a", local)
            await self.files.download_file(f"{self.place}/a", target)
        self.assertGreaterEqual(len(opened), 6)
        self.assertNotIn(place, opened)

    async def test_given_up(self) -> None:
        """A cancelled transfer ends, and its connection lives."""
        started: Deferred[None] = Deferred()

        def progress(done: int, total: int) -> None:
            if not started.called:
                started.callback(None)

        upload = self.files.upload_file(f"{self.place}/a", self.local(), progress=progress)
        await started
        upload.cancel()
        await self.assertFailure(upload, CancelledError)
        self.assertFalse(await self.files.exists(f"{self.place}/a"))
        self.assertEqual((await self.files.upload_file(f"{self.place}/a", self.local())).version, 1)

    async def test_server_gone(self) -> None:
        """A transfer fails when its time is over."""
        line = self.line()
        files = await self.connect(line.port, timeout=1.5)
        upload = files.upload_file(f"{self.place}/a", self.local(), progress=lambda *_: line.close())
        await self.assertFailure(upload, Unavailable)


@pytest.mark.usefixtures("real_cloud")
class SecureTransferTests(CloudTestCase, TransferCases):
    """Over TLS."""

    secure = True

    async def test_wrong_trust(self) -> None:
        """The certificate is not one that the platform knows."""
        await self.assertFailure(connect_cloud(reactor, f"localhost:{self.cloud.port}", secure=True), UntrustedServer)


@pytest.mark.usefixtures("real_cloud")
class InterruptedTests(CloudTestCase):
    """Transfers that are given up, or whose answers are lost, and what is there then."""

    async def test_what_is_left_of_a_download(self) -> None:
        """The next one goes on where it was; if somebody changed what was left, it begins anew."""
        await self.files.write_file(f"{self.place}/a", LARGE)
        for damaged in (False, True):
            target = self.target()
            part = await self.begin_and_give_up(target)
            there = part.stat().st_size
            self.assertTrue(2_000_000 < there < 4_000_000, there)
            if damaged:
                with open(part, "r+b") as file:
                    file.write(b"damage")
            told: list[int] = []

            def note(done: int, total: int, told: list[int] = told) -> None:
                told.append(done)

            await self.files.download_file(f"{self.place}/a", target, progress=note)
            self.assertEqual(min(told) < there, damaged, (there, told[:5]))
            self.assertEqual(target.read_bytes(), LARGE)
            self.assertEqual(os.listdir(target.parent), ["target"])

    async def begin_and_give_up(self, target: Path) -> Path:
        """Fetch a part of the large file into ``target``; what was left of that."""
        came: Deferred[None] = Deferred()

        def progress(done: int, total: int) -> None:
            if done > 2_000_000 and not came.called:
                came.callback(None)

        line = self.line()
        line.stall_down = 3_000_000
        files = await self.connect(line.port)
        download = files.download_file(f"{self.place}/a", target, progress=progress)
        await came
        download.cancel()
        await self.assertFailure(download, CancelledError)
        self.assertFalse(target.exists())
        [part] = target.parent.iterdir()
        self.assertTrue(is_let_go(part))
        await files.close()
        return part

    async def test_closed_in_the_middle(self) -> None:
        """When the client is closed, what was under way has failed, and its files are closed."""
        await self.files.write_file(f"{self.place}/a", LARGE)
        came: Deferred[None] = Deferred()

        def progress(done: int, total: int) -> None:
            if done > 2_000_000 and not came.called:
                came.callback(None)

        line = self.line()
        line.stall_down = 3_000_000
        files = await self.connect(line.port)
        target = self.target()
        download = files.download_file(f"{self.place}/a", target, progress=progress)
        failed = self.assertFailure(download, Unavailable)
        await came
        await files.close()
        self.assertTrue(failed.called)
        [part] = target.parent.iterdir()
        self.assertTrue(is_let_go(part))

    async def test_lost_answers(self) -> None:
        """A write whose answer is lost was carried out or is done again; in both cases there is one version."""
        for name, data in (("small", b"abc"), ("large", LARGE[:700_000])):
            for count in range(20, 700, 97):
                line = self.line()
                files = await self.connect(line.port)
                await files.stat(self.place)
                line.cut_next_down(count)
                path = f"{self.place}/{name}{count}"
                self.assertEqual((await files.write_file(path, data)).version, 1)
                self.assertEqual(await self.files.read_file(path), data)
                await files.close()

    async def test_a_server_that_sends_no_more(self) -> None:
        """A download that stands still ends when its time is over, instead of never."""
        await self.files.write_file(f"{self.place}/a", LARGE)
        line = self.line()
        line.stall_down = 2_000_000
        files = await self.connect(line.port, timeout=1.5)
        await self.assertFailure(files.read_file(f"{self.place}/a"), DeadlineExceeded, Unavailable)

    async def test_a_disk_that_takes_no_more(self) -> None:
        """It is the system's error, at once: no other try would mend it."""
        await self.files.write_file(f"{self.place}/a", LARGE)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, before)
        target = self.target()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        error = await self.assertFailure(self.files.download_file(f"{self.place}/a", target), OSError)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        self.assertEqual(error.errno, errno.EFBIG)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertFalse(target.exists())

    async def test_a_server_that_begins_anew(self) -> None:
        """Killed in the middle of a transfer, or when all of it was sent, it carries it to its end, as one version."""
        for count in (2_000_000, len(LARGE)):
            path = f"{self.place}/{count}"
            item = await self.files.upload_file(path, self.local(), progress=self.restart_at(count))
            self.assertEqual((item.version, item.sha256), (1, hashlib.sha256(LARGE).hexdigest()))
        target = self.target()
        await self.files.download_file(path, target, progress=self.restart_at(2_000_000))
        self.assertEqual(target.read_bytes(), LARGE)

    def restart_at(self, count: int) -> Callable[[int, int], None]:
        restarted: list[int] = []

        def progress(done: int, total: int) -> None:
            if done >= count and not restarted:
                restarted.append(done)
                self.cloud.kill()
                self.cloud.start()

        self.addCleanup(lambda: self.assertEqual(len(restarted), 1))
        return progress


@pytest.mark.usefixtures("real_cloud")
class WatchTests(CloudTestCase):
    """Being told of changes."""

    async def test_told_in_order(self) -> None:
        """One at a time: a function that waits keeps the next."""
        told: list[str] = []
        queue: DeferredQueue[CloudChange] = DeferredQueue()

        async def function(change: CloudChange) -> None:
            told.append(f"begin {change.action}")
            await self.files.stat("/")
            told.append(f"end {change.action}")
            queue.put(change)

        watch = await self.files.watch(self.place, function)
        await self.files.write_file(f"{self.place}/a", b"1")
        await self.files.write_file(f"{self.place}/a", b"2")
        await queue.get()
        await queue.get()
        self.assertEqual(told, ["begin write", "end write", "begin write", "end write"])
        await self.files.unwatch(watch)
        await self.files.unwatch(watch)
        await self.files.write_file(f"{self.place}/a", b"3")
        await self.files.stat("/")
        self.assertEqual(len(told), 4)

    async def test_lost_connection(self) -> None:
        """It goes on on the next one."""
        line = self.line()
        queue: DeferredQueue[CloudChange] = DeferredQueue()
        files = await self.connect(line.port)
        await files.watch(self.place, queue.put)
        line.cut()
        self.assertEqual((await queue.get()).action, "missed")
        await self.files.write_file(f"{self.place}/a", b"1")
        self.assertEqual((await queue.get()).path, f"{self.place}/a")

    async def test_what_is_gone_meanwhile(self) -> None:
        """It is watched no more, which is told; what is there no longer at the start is refused."""
        line = self.line()
        queue: DeferredQueue[CloudChange] = DeferredQueue()
        files = await self.connect(line.port)
        await self.files.create_directory(f"{self.place}/a")
        watch = await files.watch(f"{self.place}/a", queue.put)
        await self.files.delete_directory(f"{self.place}/a")
        self.assertEqual((await queue.get()).action, "delete")
        line.cut()
        self.assertEqual((await queue.get()).action, "ended")
        await files.unwatch(watch)
        await self.assertFailure(files.watch(f"{self.place}/a", queue.put), NotFound)
        await self.assertFailure(files.watch("/", "no function"), InvalidPayload)  # type: ignore[arg-type]

    async def test_a_function_that_fails(self) -> None:
        """It is logged with the path, and called for the next change all the same."""
        queue: DeferredQueue[CloudChange] = DeferredQueue()

        def function(change: CloudChange) -> None:
            queue.put(change)
            raise LookupError(change.path)

        await self.files.watch(self.place, function)
        for name in ("a", "b"):
            await self.files.write_file(f"{self.place}/{name}", b"1")
            self.assertEqual((await queue.get()).path, f"{self.place}/{name}")
        await deferLater(reactor, 0)  # the last one fails only when its caller goes on
        failed = [str(each.value) for each in self.flushLoggedErrors(LookupError)]
        self.assertEqual(failed, [f"{self.place}/a", f"{self.place}/b"])
