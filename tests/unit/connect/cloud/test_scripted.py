"""The cloud's client that blocks, and servers that say odd things, forget, or are lost at a certain word."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from scripted_peer import PATIENCE, ScriptedTestCase, Visitor

from fluxon.connect.cloud import CloudChange
from fluxon.connect.cloud.transfers import writing_of
from fluxon.connect.cloud.uploads import LocalFile, upload
from fluxon.errors import FluxonError, NotFound, ProtocolError, Unavailable, stopping
from fluxon.wire import Answer, Ask, Chunk, End

from .test_requests import ITEM
from .test_watches import change

KEY = "k" * 16


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def item(data: bytes, **changes: Any) -> dict[str, Any]:
    """An item with that content."""
    return {**ITEM, "size": len(data), "sha256": sha256(data), **changes}


def content(whole: bytes, **changes: Any) -> dict[str, Any]:
    """The answer to a read, with all of it."""
    return {"item": item(whole), "offset": 0, "length": len(whole), "data": whole, "stream": None, **changes}


class CloudVisitor:
    """What a script of the cloud says; the visitor's conversation opens streams."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        visitor.greet()

    def asked(self, command: str) -> Ask:
        ask = self.visitor.next(Ask)
        assert ask is not None and ask.command == command, ask
        return ask

    def answers(self, command: str, value: Any) -> Ask:
        """The next ask is ``command``, and answered ``value`` or with that error; the ask."""
        ask = self.asked(command)
        if isinstance(value, FluxonError):
            self.visitor.fail(ask, value)
        else:
            self.visitor.answer(ask, value)
        return ask

    def sends(self, data: bytes, length: int, *, ends: bool, **changes: Any) -> Ask:
        """A read is answered with a stream of ``length`` bytes, of which ``data`` comes; the ask."""
        visitor, ask = self.visitor, self.asked("cloud.read")
        flow = visitor.conversation.streams.open(True, "server")
        visitor.answer(ask, content(data, length=length, data=None, stream=flow.tag, **changes))
        while flow.credit < len(data):
            visitor.receive()
        visitor.send(visitor.conversation.streams.chunk(flow, len(data)) + data)
        if ends:
            visitor.conversation.streams.end(flow)
            visitor.flush()
            visitor.next(End)
        return ask

    def takes(self, size: int, offset: int = 0) -> tuple[Ask, bytes]:
        """An upload is begun and ``size`` bytes of it come; the ask, and they."""
        visitor, ask = self.visitor, self.asked("cloud.upload")
        flow = visitor.conversation.streams.open(False, "server")
        visitor.answer(ask, {"upload": KEY, "offset": offset, "stream": flow.tag})
        visitor.conversation.streams.grant(flow, 2**20)
        visitor.flush()
        taken = b""
        while len(taken) < size:
            taken += visitor.next(Chunk).data
        visitor.next(End)
        visitor.flush()
        return ask, taken


class CloudScriptCase(ScriptedTestCase):
    def script(self, *acts: Callable[[CloudVisitor], Any]) -> Callable[[Visitor], None]:
        """A visit that goes through ``acts``; what each gave is ``heard``."""

        def run(visitor: Visitor) -> None:
            cloud = CloudVisitor(visitor)
            for act in acts:
                said = act(cloud)
                with self.more_said:
                    self.said.append(said)
                    self.more_said.notify_all()

        return run

    def setUp(self) -> None:
        super().setUp()
        self.said: list[Any] = []
        self.more_said = threading.Condition()

    def heard(self, number: int) -> Any:
        """What the act of that number gave, once it has."""
        with self.more_said:
            self.assertTrue(self.more_said.wait_for(lambda: len(self.said) > number, PATIENCE))
        return self.said[number]

    def local(self, data: bytes) -> Path:
        path = Path(self.mktemp())
        path.write_bytes(data)
        return path


def lives(cloud: CloudVisitor) -> None:
    cloud.visitor.ends()


class DownloadTests(CloudScriptCase):
    """What is not what the server says it is, is not believed; what is lost is fetched anew."""

    def test_wrong_number_of_bytes(self) -> None:
        """A content of another length than was said is a broken server's."""
        files = self.serve_cloud(
            self.script(lambda cloud: cloud.answers("cloud.read", content(b"abc", length=4)), lives)
        )
        self.assertRaises(ProtocolError, files.read_file, "/a/b")

    def test_more_than_was_said(self) -> None:
        """A stream that does not end where it should is not written to the disk until that is full, nor begun again."""
        script = self.script(lambda cloud: cloud.sends(b"abcdef", 3, ends=False, item=item(b"abc")), lives)
        target = Path(self.mktemp())
        target.mkdir()
        self.assertRaises(ProtocolError, self.serve_cloud(script).download_file, "/a/b", target / "c")
        self.assertTrue(all(each.stat().st_size <= 3 for each in target.iterdir()))

    def test_what_is_no_answer(self) -> None:
        """It is the server that is broken, whatever the program was about to do with the answer."""
        garbage = {"item": item(b"abc"), "offset": 0, "length": -3, "data": None, "stream": 1}
        large = bytes(300_000)
        calls: tuple[tuple[str, Any, Callable[[Any], Any]], ...] = (
            ("cloud.read", {}, lambda files: files.read_file("/a/b")),
            ("cloud.read", garbage, lambda files: files.read_file("/a/b")),
            ("cloud.write", {"item": None}, lambda files: files.write_file("/a/b", b"abc")),
            ("cloud.upload", {"upload": KEY, "offset": 0}, lambda files: files.write_file("/a/b", large)),
        )
        acts = [partial(CloudVisitor.answers, command=command, value=wrong) for command, wrong, _ in calls]
        files = self.serve_cloud(self.script(*acts, lives))
        for _, _, call in calls:
            self.assertRaises(ProtocolError, call, files)

    def test_without_a_hash(self) -> None:
        """A file of which the server does not say what it is to be is not begun."""
        script = self.script(lambda cloud: cloud.sends(b"abc", 3, ends=False, item=item(b"abc", sha256=None)), lives)
        target = Path(self.mktemp())
        self.assertRaises(ProtocolError, self.serve_cloud(script).download_file, "/a/b", target)
        self.assertFalse(target.exists())

    def test_wrong_hash(self) -> None:
        """What came is thrown away, and nothing is left beside the file that was there."""
        script = self.script(lambda cloud: cloud.answers("cloud.read", content(b"abc", item=item(b"abd"))), lives)
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "target").write_bytes(b"old")
        error = self.assertRaises(Unavailable, self.serve_cloud(script).download_file, "/a/b", folder / "target")
        self.assertIn("has not the hash", error.text)
        self.assertEqual([(each.name, each.read_bytes()) for each in folder.iterdir()], [("target", b"old")])

    def test_ends_too_early(self) -> None:
        """A stream that is shorter than was said is gone on with, from where it ended."""
        files = self.serve_cloud(
            self.script(
                lambda cloud: cloud.sends(b"abcd", 8, ends=True, item=item(b"abcdefgh")),
                lambda cloud: cloud.answers("cloud.read", content(b"efgh", offset=4, item=item(b"abcdefgh"))),
                lives,
            )
        )
        self.assertEqual(files.read_file("/a/b"), b"abcdefgh")
        self.assertEqual((self.heard(1).arguments["offset"], self.heard(1).arguments["version"]), (4, 2))

    def test_gone_in_the_middle(self) -> None:
        """What was begun is no longer kept when the connection is back: the new content is read, from its start."""
        files = self.serve_cloud(
            self.script(lambda cloud: cloud.sends(b"abcd", 8, ends=False, item=item(b"abcdefgh"))),
            self.script(
                lambda cloud: cloud.answers("cloud.read", NotFound()),
                lambda cloud: cloud.answers("cloud.read", content(b"new")),
                lives,
            ),
        )
        self.assertEqual(files.read_file("/a/b"), b"new")
        self.assertEqual([self.heard(each).arguments["offset"] for each in (1, 2)], [4, 0])
        self.assertIsNone(self.heard(2).arguments["version"])

    def test_gone_again_and_again(self) -> None:
        """A server that opens what it does not have is not asked without pause, nor for ever."""
        gone = NotFound("there is no such file")

        def opens_nothing(cloud: CloudVisitor) -> None:
            visitor = cloud.visitor
            for number in range(1, 10_000):
                ask = visitor.next(Ask)
                if ask is None:
                    return
                flow = visitor.conversation.streams.open(True, "server")
                visitor.answer(ask, content(b"abc", data=None, stream=flow.tag))
                visitor.conversation.streams.give_up(flow, gone)
                visitor.flush()
                self.opened = number

        files = self.serve_cloud(self.script(opens_nothing), timeout=1)
        self.assertRaises(NotFound, files.read_file, "/a/b")
        self.assertLess(self.opened, 20)

    def test_refused_for_now(self) -> None:
        """A server that cannot open it now is asked again; one that leaves, on the next connection."""

        def leaves(cloud: CloudVisitor) -> None:
            ask = cloud.asked("cloud.read")
            cloud.visitor.conversation.ask("leaving", {}, waiter=None)
            cloud.visitor.flush()
            cloud.visitor.next(Answer)
            cloud.visitor.fail(ask, stopping())

        files = self.serve_cloud(
            self.script(lambda cloud: cloud.answers("cloud.read", Unavailable("no memory now")), leaves),
            self.script(lambda cloud: cloud.answers("cloud.read", content(b"abc")), lives),
        )
        self.assertEqual(files.read_file("/a/b"), b"abc")


class Growing(LocalFile):
    """A file that somebody else writes to."""

    more = b""

    def all(self) -> bytes:
        with open(self._path, "ab") as file:
            file.write(self.more)
        return super().all()


class UploadTests(CloudScriptCase):
    """An upload whose answers are lost, or whose server has forgotten it."""

    def test_grows_meanwhile(self) -> None:
        """A file that no longer fits in one command when it is read is sent as a stream: what it was at the start."""
        self.patch(Growing, "more", bytes(300_000))
        files = self.serve_cloud(
            self.script(
                lambda cloud: cloud.takes(3),
                lambda cloud: cloud.answers("cloud.commit", {"item": item(b"abc")}),
                lives,
            )
        )
        with Growing(str(self.local(b"abc"))) as growing:
            written = upload(files._line, growing, writing_of("/a/b", True, None, None), 5.0, None)
        self.assertEqual((written.size, self.heard(0)[1]), (3, b"abc"))
        self.assertEqual(self.heard(1).arguments["sha256"], sha256(b"abc"))

    def test_small_one_is_lost(self) -> None:
        """The connection is lost with the answer, and the file has another content: it is written again."""
        files = self.serve_cloud(
            self.script(lambda cloud: cloud.asked("cloud.write")),
            self.script(
                lambda cloud: cloud.answers("cloud.stat", {"item": item(b"other")}),
                lambda cloud: cloud.answers("cloud.write", {"item": item(b"abc", version=4)}),
                lives,
            ),
        )
        self.assertEqual(files.write_file("/a/b", b"abc").version, 4)

    def large(self, *acts: Callable[[CloudVisitor], Any]) -> tuple[Any, bytes]:
        """What becomes of an upload whose commit was not answered when the connection was lost; its content."""
        data = bytes(300_000)
        files = self.serve_cloud(
            self.script(lambda cloud: cloud.takes(len(data)), lambda cloud: cloud.asked("cloud.commit")),
            self.script(lambda cloud: cloud.answers("cloud.commit", NotFound("no such upload")), *acts, lives),
        )
        return files.write_file("/a/b", data), data

    def test_commit_that_had_worked(self) -> None:
        """The server knows the upload no more, and the file has its content: that is what was asked for."""
        data = bytes(300_000)
        written, _ = self.large(lambda cloud: cloud.answers("cloud.stat", {"item": item(data, version=7)}))
        self.assertEqual(written.version, 7)

    def test_commit_that_had_not(self) -> None:
        """The file has another content: all of it is sent again, as a new upload."""
        written, data = self.large(
            lambda cloud: cloud.answers("cloud.stat", {"item": item(b"other")}),
            lambda cloud: cloud.takes(300_000),
            lambda cloud: cloud.answers("cloud.commit", {"item": item(bytes(300_000), version=8)}),
        )
        self.assertEqual(written.version, 8)
        begun, sent = self.heard(4)
        self.assertEqual((begun.arguments["upload"], sent), (None, data))


class PagesTests(CloudScriptCase):
    def test_all_pages(self) -> None:
        """Each is asked for with where the one before ended, and the last says that it is."""
        files = self.serve_cloud(
            self.script(
                lambda cloud: cloud.answers("cloud.list", {"items": [item(b"1", name="1")], "next": "2"}),
                lambda cloud: cloud.answers("cloud.list", {"items": [item(b"2", name="2")], "next": None}),
                lives,
            )
        )
        self.assertEqual([each.name for each in files.list_directory("/a")], ["1", "2"])
        self.assertEqual([self.heard(each).arguments["after"] for each in (0, 1)], [None, "2"])


class WatchTests(CloudScriptCase):
    """Watches that end while something of them is under way."""

    def test_ended_before_its_turn(self) -> None:
        """A change that waited for the function to come back is not told once the watch has ended."""
        told: SimpleQueue[CloudChange] = SimpleQueue()
        go_on, came = threading.Event(), threading.Event()

        def function(change: CloudChange) -> None:
            told.put(change)
            go_on.wait(PATIENCE)

        def changes(cloud: CloudVisitor) -> None:
            for path in ("/a/1", "/a/2"):
                cloud.visitor.conversation.ask("cloud.changed", change(1, path), waiter=None)
            cloud.visitor.flush()
            for _ in range(2):
                cloud.visitor.next(Answer)
            came.set()

        files = self.serve_cloud(
            self.script(
                lambda cloud: cloud.answers("cloud.watch", {"watch": 1}),
                changes,
                lambda cloud: cloud.answers("cloud.unwatch", {}),
                lives,
            )
        )
        self.addCleanup(go_on.set)
        watch = files.watch("/a", function)
        self.assertEqual(told.get(timeout=PATIENCE).path, "/a/1")
        self.assertTrue(came.wait(PATIENCE))
        files.unwatch(watch)
        files._watches._turns.submit(lambda: told.put("the end"))  # type: ignore[arg-type]
        go_on.set()
        self.assertEqual(told.get(timeout=PATIENCE), "the end")

    def test_asked_for_once(self) -> None:
        """Also when it is the first that is asked, and there is no connection yet: its changes come by that number."""
        told: SimpleQueue[CloudChange] = SimpleQueue()
        files = self.serve_cloud(
            self.script(
                lambda cloud: cloud.answers("cloud.watch", {"watch": 1}),
                lambda cloud: cloud.visitor.conversation.ask("cloud.changed", change(1, "/a/1"), waiter=None),
                lambda cloud: cloud.visitor.flush(),
                lambda cloud: cloud.answers("cloud.stat", {"item": item(b"abc")}),
                lives,
            )
        )
        files.watch("/a", told.put)
        self.assertEqual(told.get(timeout=PATIENCE).path, "/a/1")
        self.assertEqual(files.stat("/a/b").size, 3)

    def test_ended_before_it_is_begun_again(self) -> None:
        """After a lost connection only those that there still are begin again."""
        told: SimpleQueue[CloudChange] = SimpleQueue()
        both, asked, ended = threading.Event(), threading.Event(), threading.Event()

        def first_again(cloud: CloudVisitor) -> Any:
            ask = cloud.asked("cloud.watch")
            asked.set()
            ended.wait(PATIENCE)
            cloud.visitor.answer(ask, {"watch": 3})
            return ask

        files = self.serve_cloud(
            self.script(
                lambda cloud: cloud.answers("cloud.watch", {"watch": 1}),
                lambda cloud: cloud.answers("cloud.watch", {"watch": 2}),
                lambda cloud: both.wait(PATIENCE),
            ),
            self.script(first_again, lambda cloud: cloud.visitor.next(Ask)),
        )
        files.watch("/a", told.put)
        second = files.watch("/b", told.put)
        both.set()
        self.assertTrue(asked.wait(PATIENCE))
        files.unwatch(second)
        ended.set()
        missed = told.get(timeout=PATIENCE)
        self.assertEqual((missed.action, missed.path), ("missed", "/a"))
        files.close()
        self.assertIsNone(self.heard(4))  # nothing was asked behind the first


class ForkTests(CloudScriptCase):
    def test_closed_in_a_child(self) -> None:
        """After a fork the connection is the parent's: closing the child's copy returns, and leaves it as it is."""
        files = self.serve_cloud(
            self.script(
                lambda cloud: cloud.answers("cloud.stat", {"item": item(b"1")}),
                lambda cloud: cloud.answers("cloud.stat", {"item": item(b"22")}),
                lives,
            )
        )
        self.assertEqual(files.stat("/a/b").size, 1)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                files.close()
                status = 0
            finally:
                os._exit(status)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertEqual(files.stat("/a/b").size, 2)
        self.assertEqual(self.visits, 1)
