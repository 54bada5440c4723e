"""``CloudClient``, and servers that say odd things, forget, or are lost at a certain word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripted_server import ScriptedServer
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.internet.task import deferLater
from twisted.python import threadable
from twisted.trial.unittest import TestCase

from fluxon.connect import CloudClient
from fluxon.connect.cloud import CloudChange
from fluxon.connect.cloud.deferred_uploads import _Upload
from fluxon.connect.cloud.transfers import writing_of
from fluxon.errors import NotFound, ProtocolError, Unavailable
from fluxon.wire import Ask, Chunk, Credit, End
from fluxon.wire.streams import Flow

from .test_scripted import KEY, Growing, content, item, sha256
from .test_watches import change


class CloudScriptCase(TestCase):
    """A stranger's client, and a cloud whose every word is the test's."""

    timeout = 30

    async def setUp(self) -> None:
        before = threadable.ioThread
        threadable.registerAsIOThread()
        self.addCleanup(setattr, threadable, "ioThread", before)
        self.server = ScriptedServer(reactor)
        self.files = CloudClient(reactor, self.server.endpoint, timeout=5, random=lambda: 0.0)
        self.files.startService()
        self.addCleanup(self.files.close)
        self.visit = await self.server.visit()

    async def next_visit(self) -> None:
        """The connection is lost, and the client comes again."""
        self.visit.cut()
        self.visit = await self.server.visit()

    async def asked(self, command: str) -> Ask:
        ask = await self.visit.asks.get()
        self.assertEqual(ask.command, command)
        return ask

    async def answers(self, command: str, value: Any) -> Ask:
        ask = await self.asked(command)
        self.visit.answer(ask, value)
        return ask

    async def until(self, kind: type, size: int = 1) -> bytes:
        """What of that kind came, once that is ``size`` messages or, of chunks, bytes."""
        while True:
            found = [each for each in self.visit.heard if isinstance(each, kind)]
            data = b"".join(each.data for each in found if isinstance(each, Chunk))
            if max(len(found) if kind is not Chunk else 0, len(data)) >= size:
                return data
            await deferLater(reactor, 0)

    async def sends(self, data: bytes, whole: bytes) -> tuple[Ask, Flow]:
        """A read of ``whole`` is answered with a stream, of which ``data`` comes."""
        ask = await self.asked("cloud.read")
        flow = self.visit.open(ask, True, item=item(whole), offset=0, length=len(whole), data=None)
        await self.until(Credit)
        self.visit.send(flow, data)
        return ask, flow

    async def takes(self, size: int) -> tuple[Ask, bytes]:
        """An upload is begun, and all of it comes."""
        ask = await self.asked("cloud.upload")
        flow = self.visit.open(ask, False, upload=KEY, offset=0)
        self.visit.conversation.streams.grant(flow, 2**20)
        self.visit.say()
        data = await self.until(Chunk, size)
        await self.until(End)
        self.visit.heard.clear()
        return ask, data


class DownloadTests(CloudScriptCase):
    """What is not what the server says it is, is not believed; what is lost is fetched anew."""

    async def test_wrong_number_of_bytes(self) -> None:
        """A content of another length than was said is a broken server's."""
        reading = self.files.read_file("/a/b")
        await self.answers("cloud.read", content(b"abc", length=4))
        await self.assertFailure(reading, ProtocolError)

    async def test_cancelled_before_an_answer(self) -> None:
        """A transfer that is cancelled while the server is asked fails as at any other moment."""
        local = Path(self.mktemp())
        local.write_bytes(bytes(300_000))
        reading = self.files.download_file("/a/b", self.mktemp())
        await self.asked("cloud.read")
        reading.cancel()
        await self.assertFailure(reading, CancelledError)
        writing = self.files.upload_file("/a/b", local)
        await self.asked("cloud.upload")
        writing.cancel()
        await self.assertFailure(writing, CancelledError)

    async def test_more_than_was_said(self) -> None:
        """A stream that does not end where it should is not written to the disk until that is full, nor begun again."""
        folder = Path(self.mktemp())
        folder.mkdir()
        reading = self.files.download_file("/a/b", folder / "target")
        ask = await self.asked("cloud.read")
        flow = self.visit.open(ask, True, item=item(b"abc"), offset=0, length=3, data=None)
        await self.until(Credit)
        self.visit.send(flow, b"abcdef")
        await self.assertFailure(reading, ProtocolError)
        self.assertTrue(all(each.stat().st_size <= 3 for each in folder.iterdir()))

    async def test_wrong_hash(self) -> None:
        """What came is thrown away, and nothing is left beside the file that was there."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "target").write_bytes(b"old")
        reading = self.files.download_file("/a/b", folder / "target")
        await self.answers("cloud.read", content(b"abc", item=item(b"abd")))
        self.assertIn("has not the hash", (await self.assertFailure(reading, Unavailable)).text)
        self.assertEqual([(each.name, each.read_bytes()) for each in folder.iterdir()], [("target", b"old")])

    async def test_ends_too_early(self) -> None:
        """A stream that is shorter than was said is gone on with, from where it ended."""
        reading = self.files.read_file("/a/b")
        _, flow = await self.sends(b"abcd", b"abcdefgh")
        self.visit.end(flow)
        ask = await self.answers("cloud.read", content(b"efgh", offset=4, item=item(b"abcdefgh")))
        self.assertEqual((ask.arguments["offset"], ask.arguments["version"]), (4, 2))
        self.assertEqual(await reading, b"abcdefgh")

    async def test_gone_in_the_middle(self) -> None:
        """What was begun is no longer kept when the connection is back: the new content is read, from its start."""
        progress: Deferred[None] = Deferred()
        target = Path(self.mktemp())
        reading = self.files.download_file("/a/b", target, progress=lambda done, _: done and progress.callback(None))
        await self.sends(b"abcd", b"abcdefgh")
        await progress
        progress = Deferred()
        await self.next_visit()
        ask = await self.asked("cloud.read")
        self.visit.fail(ask, NotFound())
        again = await self.answers("cloud.read", content(b"new"))
        self.assertEqual([each.arguments["offset"] for each in (ask, again)], [4, 0])
        self.assertIsNone(again.arguments["version"])
        await reading
        self.assertEqual(target.read_bytes(), b"new")


class UploadTests(CloudScriptCase):
    """An upload whose answers are lost, or whose server has forgotten it."""

    async def test_grows_meanwhile(self) -> None:
        """A file that no longer fits in one command when it is read is sent as a stream: what it was at the start."""
        self.patch(Growing, "more", bytes(300_000))
        path = Path(self.mktemp())
        path.write_bytes(b"abc")
        growing = Growing(str(path))
        self.addCleanup(growing.close)
        upload = Deferred.fromCoroutine(
            _Upload(self.files._asker, growing, writing_of("/a/b", True, None, None), None).run()
        )
        _, data = await self.takes(3)
        commit = await self.answers("cloud.commit", {"item": item(b"abc")})
        self.assertEqual((data, commit.arguments["sha256"]), (b"abc", sha256(b"abc")))
        self.assertEqual((await upload).size, 3)

    async def test_forgotten_before_the_commit(self) -> None:
        """A server that does not know the upload when it goes on is sent all of it again, as a new one."""
        data = bytes(300_000)
        writing = self.files.write_file("/a/b", data)
        self.visit.open(await self.asked("cloud.upload"), False, upload=KEY, offset=0)
        await deferLater(reactor, 0)
        await self.next_visit()
        again = await self.asked("cloud.upload")
        self.visit.fail(again, NotFound("no such upload"))
        anew, sent = await self.takes(len(data))
        self.assertEqual([each.arguments["upload"] for each in (again, anew)], [KEY, None])
        self.assertEqual(sent, data)
        await self.answers("cloud.commit", {"item": item(data, version=3)})
        self.assertEqual((await writing).version, 3)

    async def commit_lost(self, data: bytes) -> Any:
        """An upload whose commit was not answered; the server then does not know it any more."""
        writing = self.files.write_file("/a/b", data)
        await self.takes(len(data))
        await self.asked("cloud.commit")
        await self.next_visit()
        self.visit.fail(await self.asked("cloud.commit"), NotFound("no such upload"))
        return writing

    async def test_commit_that_had_worked(self) -> None:
        """The file has its content: that is what was asked for."""
        data = bytes(300_000)
        writing = await self.commit_lost(data)
        await self.answers("cloud.stat", {"item": item(data, version=7)})
        self.assertEqual((await writing).version, 7)

    async def test_commit_that_had_not(self) -> None:
        """The file has another content: all of it is sent again, as a new upload."""
        data = bytes(300_000)
        writing = await self.commit_lost(data)
        await self.answers("cloud.stat", {"item": item(b"other")})
        begun, sent = await self.takes(len(data))
        self.assertEqual((begun.arguments["upload"], sent), (None, data))
        await self.answers("cloud.commit", {"item": item(data, version=8)})
        self.assertEqual((await writing).version, 8)


class PagesTests(CloudScriptCase):
    async def test_all_pages(self) -> None:
        """Each is asked for with where the one before ended, and the last says that it is."""
        listing = self.files.list_directory("/a")
        first = await self.answers("cloud.list", {"items": [item(b"1", name="1")], "next": "2"})
        second = await self.answers("cloud.list", {"items": [item(b"2", name="2")], "next": None})
        self.assertEqual([each.arguments["after"] for each in (first, second)], [None, "2"])
        self.assertEqual([each.name for each in await listing], ["1", "2"])


class WatchTests(CloudScriptCase):
    """Watches that end, or begin, while something else is under way."""

    def changed(self, number: int, path: str) -> None:
        self.visit.ask("cloud.changed", change(number, path))

    async def test_one_at_a_time(self) -> None:
        """Changes that come while a function waits are told after it, in order, and not once the watch has ended."""
        told: DeferredQueue[CloudChange] = DeferredQueue()
        waiting: list[Deferred[None]] = []

        async def function(change: CloudChange) -> None:
            told.put(change)
            waiting.append(Deferred())
            await waiting[-1]

        watching = self.files.watch("/a", function)
        await self.answers("cloud.watch", {"watch": 1})
        watch = await watching
        for path in ("/a/1", "/a/2", "/a/3", "/a/4"):
            self.changed(1, path)
        self.assertEqual((await told.get()).path, "/a/1")
        while len(self.visit.heard) < 4:
            await deferLater(reactor, 0)
        self.assertEqual(told.pending, [])
        waiting[0].callback(None)
        self.assertEqual((await told.get()).path, "/a/2")
        ending = self.files.unwatch(watch)
        await self.answers("cloud.unwatch", {})
        await ending
        waiting[1].callback(None)
        await deferLater(reactor, 0)
        self.assertEqual((told.pending, len(waiting)), ([], 2))

    async def test_asked_for_once(self) -> None:
        """Also when there is no connection yet: what is told comes by that number."""
        self.visit.cut()
        told: DeferredQueue[CloudChange] = DeferredQueue()
        await deferLater(reactor, 0.01)
        watching = self.files.watch("/a", told.put)
        self.visit = await self.server.visit()
        await self.answers("cloud.watch", {"watch": 1})
        await watching
        self.changed(1, "/a/1")
        self.assertEqual((await told.get()).path, "/a/1")
        self.assertEqual(self.visit.asks.pending, [])
