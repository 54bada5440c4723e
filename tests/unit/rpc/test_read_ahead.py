"""Files that are not in memory: fetched in a thread before they are sent, and the next while that is done."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raw_peer import Get, RawPeer, connect
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.errors import Unavailable
from fluxon.rpc import FileSource, Opening, Outgoing, Peer, Responders, ServerFactory, read_ahead, send_directly
from fluxon.rpc.read_ahead import STRETCH, ReadAhead
from fluxon.wire import Answer, End

reactor: Any = _reactor
PATIENCE = 10.0
END = 5 * STRETCH + 1000


class Cold(SynchronousTestCase):
    """A file of which the system says that it would have to wait."""

    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "file"
        self.path.write_bytes(bytes(END))
        self.descriptor = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, self.descriptor)
        self.asked: list[tuple[int, int]] = []
        self.answer: Callable[[], int] = self.would_wait
        self.patch(os, "preadv", self.preadv)
        #: What runs in threads: (function, arguments, its Deferred).
        self.threads: list[tuple[Callable[..., Any], tuple[Any, ...], Deferred[Any]]] = []
        self.called: list[int] = []

    def preadv(self, descriptor: int, buffers: list[bytearray], at: int, flags: int = 0) -> int:
        self.assertEqual((descriptor, flags), (self.descriptor, os.RWF_NOWAIT))
        self.asked.append((at, len(buffers[0])))
        return self.answer()

    def would_wait(self) -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.threads.append((function, arguments, done))
        return done

    def run_next(self) -> tuple[int, int]:
        """What was fetched: where, and how much."""
        function, (descriptor, at, size), done = self.threads.pop(0)
        function(descriptor, at, size)
        done.callback(None)
        return at, size

    def test_in_memory(self) -> None:
        """Nothing is fetched; the first and the last byte of what is to be sent are asked for, each time."""
        self.answer = lambda: 1
        ahead = ReadAhead(self.descriptor, 0, END, self.in_thread)
        self.assertEqual([ahead.count(0, 1000), ahead.count(1000, STRETCH)], [1000, STRETCH])
        self.assertEqual(self.asked, [(0, 1), (999, 1), (1000, 1), (STRETCH + 999, 1)])
        self.assertEqual(self.threads, [])

    def test_stretch_by_stretch(self) -> None:
        """What is not there is fetched; while what is there is sent, the next is fetched, to the end."""
        ahead = ReadAhead(self.descriptor, 0, END, self.in_thread)
        at, fetched = 0, []
        while at < END:
            count = ahead.count(at, 700_000)
            if count:
                self.assertTrue(self.threads or at + count + STRETCH > END)
                at += count
                continue
            self.called.clear()
            ahead.when_more(lambda: self.called.append(1))
            self.assertEqual((len(self.threads), self.called), (1, []))
            fetched.append(self.run_next())
            self.assertEqual(self.called, [1])
        self.assertEqual(fetched, [(n * STRETCH, STRETCH) for n in range(5)] + [(5 * STRETCH, 1000)])
        self.assertEqual((self.threads, len(self.asked)), ([], 1))

    def test_one_that_was_in_memory_at_first(self) -> None:
        """It is fetched from where it is not."""
        self.answer = lambda: 1
        ahead = ReadAhead(self.descriptor, 0, END, self.in_thread)
        self.assertEqual(ahead.count(0, 300_000), 300_000)
        self.answer = self.would_wait
        self.assertEqual(ahead.count(300_000, 300_000), 0)
        ahead.when_more(lambda: self.called.append(1))
        self.assertEqual(self.run_next(), (300_000, STRETCH))
        self.assertEqual(ahead.count(300_000, 300_000), 300_000)

    def test_threads_that_answer_at_once(self) -> None:
        """Nobody waits for what has come already."""
        ahead = ReadAhead(self.descriptor, 0, END, maybeDeferred)
        self.assertEqual(ahead.count(0, 1000), 0)
        ahead.when_more(lambda: self.called.append(1))
        self.assertEqual((self.called, ahead.count(0, 1000)), ([1], 1000))

    def test_what_cannot_be_fetched(self) -> None:
        """Sending finds out for itself what is wrong."""
        ahead = ReadAhead(self.descriptor, 0, END, lambda *_: fail(Unavailable("too busy")))
        self.assertEqual(ahead.count(0, 1000), 0)
        ahead.when_more(lambda: self.called.append(1))
        self.assertEqual((self.called, ahead.count(0, 1000)), ([1], 1000))

    def test_a_file_that_became_shorter(self) -> None:
        """Fetching ends where it ends."""
        os.truncate(self.path, 10)
        read_ahead._fetch(self.descriptor, 0, STRETCH)

    def test_systems_that_cannot_say(self) -> None:
        """A file system without it, and a system without it: everything is taken for being there."""

        def unable() -> int:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")

        self.answer = unable
        self.assertEqual(ReadAhead(self.descriptor, 0, END, self.in_thread).count(0, 1000), 1000)
        self.patch(read_ahead, "_NO_WAIT", None)
        self.assertEqual(ReadAhead(self.descriptor, 0, END, self.in_thread).count(0, 1000), 1000)
        self.assertEqual(len(self.asked), 1)


class Sending(TestCase):
    """A real file over a real socket, sent by the kernel."""

    async def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "file"
        self.content = os.urandom(END)
        self.path.write_bytes(self.content)
        self.fetched: list[tuple[int, int]] = []

    async def sent(self) -> bytes:
        """All of the file, as it arrives."""

        def open_it(_: Peer, arguments: dict[str, Any]) -> Opening:
            source = FileSource(os.open(self.path, os.O_RDONLY), 0, END, self.in_thread)
            return Opening({}, Outgoing(source))

        factory = ServerFactory(Responders({Get: open_it}), reactor)
        factory.greeted_from_start = True
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        self.assertTrue(send_directly(port))
        client = await deferToThread(connect, port.getHost().port, PATIENCE)
        self.addCleanup(client.close)
        raw = RawPeer(client)
        while not factory.peers:
            await deferLater(reactor, 0.001)
        (peer,) = factory.peers
        peer.greeted = True
        raw.conversation.ask("get", {"offset": 0, "length": END}, waiter=None, opens=True)
        raw.flush()
        tag = (await deferToThread(raw.next, Answer)).value["stream"]
        flow = raw.conversation.streams.attach(tag, False, "file")
        raw.conversation.streams.grant(flow, 2 * END)
        raw.flush()
        heard = []
        while not isinstance(message := await deferToThread(raw.next), End):
            heard.append(bytes(message.data))
        self.assertIsNone(message.code)
        raw.flush()
        return b"".join(heard)

    def in_thread(self, function: Callable[..., Any], descriptor: int, at: int, size: int) -> Deferred[Any]:
        self.fetched.append((at, size))
        return deferToThread(function, descriptor, at, size)

    async def test_cold(self) -> None:
        """It arrives whole, and every byte of it was fetched in a thread first."""

        def would_wait(*_: object) -> int:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

        self.patch(os, "preadv", would_wait)
        self.assertTrue(await self.sent() == self.content)
        self.assertEqual(sum(size for _, size in self.fetched), END)

    async def test_really_cold(self) -> None:
        """What the system says of a file that it has just forgotten."""
        with open(self.path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            try:
                os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
            except BlockingIOError:
                pass
            except OSError:
                self.skipTest("this file system cannot say what it has in memory")
            else:
                self.skipTest("this file system forgets nothing")
        self.assertTrue(await self.sent() == self.content)
        self.assertNotEqual(self.fetched, [])

    async def test_in_memory(self) -> None:
        """Nothing is done in threads for it."""
        self.path.read_bytes()
        self.assertTrue(await self.sent() == self.content)
        self.assertEqual(self.fetched, [])
