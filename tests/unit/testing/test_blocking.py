"""A server in memory, in tests that know nothing of Deferreds: plain functions, in the main thread."""

from __future__ import annotations

import threading
from typing import Any

import tested_application as application
from tested_application import Member, Note
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.connect.cloud import CloudChange
from fluxon.errors import (
    ConfigurationError,
    DeadlineExceeded,
    Locked,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    UnknownView,
)
from fluxon.testing import MemoryServer

reactor: Any = global_reactor


class BlockingServerTests(SynchronousTestCase):
    """``self.app``, and emma and mike, who are its users."""

    def setUp(self) -> None:
        self.app = MemoryServer(application.setup).start()
        self.addCleanup(self.app.stop)
        self.emma_id = Member.Insert(username="emma", password="Secret123")
        self.mike_id = Member.Insert(username="mike", password="Secret123")

    def test_views_of_both_kinds(self) -> None:
        """Every call blocks and returns its result; models too."""
        client = self.app.connect()
        self.assertEqual(client.send_request("write", "one"), 1)
        self.assertEqual(client.send_request("write_in_a_thread", "two"), 2)
        self.assertEqual([row.text for row in Note.Check()], ["one", "two"])
        self.assertRaises(UnknownView, client.send_request, "wirte")

    def test_login_and_messages(self) -> None:
        """Two users, and a message between them."""
        emma, mike = self.app.connect(self.emma_id), self.app.connect()
        mike.login_as(self.mike_id)
        heard: list[str] = []
        mike.reverse_request_mapping({"hear": heard.append})
        self.assertFalse(emma.send_request("tell", [self.mike_id, "wrong: a dict is keywords"]))
        mike.reverse_request_mapping({"hear": lambda text: heard.append(text)})
        self.assertTrue(emma.send_request("tell", [self.mike_id, "hello"]))
        self.assertEqual(heard, ["hello"])
        self.assertEqual(mike.next_received().payload["text"], "wrong: a dict is keywords")
        mike.logout()
        self.assertEqual((emma.user.username, mike.user), ("emma", None))
        self.assertRaises(NotFound, mike.login_as, 77)

    def test_functions_may_ask_the_server(self) -> None:
        """They have a thread of their own, as in a program; one that asks lets the next begin."""
        emma = self.app.connect(self.emma_id)
        threads = set()

        def answer(depth: int) -> Any:
            threads.add(threading.current_thread())
            return emma.send_request("ask_me", depth - 1) + 1 if depth else 0

        def refuse() -> None:
            raise PermissionDenied("not today")

        emma.reverse_request_mapping({"answer": answer})
        self.assertEqual(emma.send_request("ask_me", 3), 3)
        self.assertNotIn(threading.current_thread(), threads)
        emma.reverse_request_mapping({"answer": refuse})
        self.assertRaises(PermissionDenied, emma.send_request, "ask_me")

        async def waits() -> None: ...

        self.assertRaises(ConfigurationError, emma.reverse_request_mapping, {"answer": waits})

    def test_the_clock_and_faults(self) -> None:
        """A deadline, a lost answer, and the way back."""
        emma = self.app.connect(self.emma_id)
        failed = []
        thread = threading.Thread(
            target=lambda: failed.append(self.assertRaises(DeadlineExceeded, emma.send_request, "hang", timeout=5))
        )
        thread.start()
        while thread.is_alive():
            self.app.clock.advance(1)
        self.assertEqual(len(failed), 1)
        emma.link.to_client.lose()
        self.assertRaises(OutcomeUnknown, emma.send_request, "write", "done")
        emma.reconnect()
        emma.link.cut()
        emma.reconnect()
        self.app.restart()
        emma.reconnect()
        self.assertEqual((emma.send_request("who"), Note.Count()), ("emma", 1))

    def test_a_coroutine_that_is_shared(self) -> None:
        """One that awaits clients and files goes on at once where they are there before it could wait."""

        async def joined() -> Any:
            client = self.app.connect(self.emma_id)
            return await client, client

        awaited, client = self.successResultOf(Deferred.fromCoroutine(joined()))
        self.assertIs(awaited, client)

    def test_an_answer_that_is_late(self) -> None:
        """A function that goes on after the server has given it up harms nothing: the next call is answered."""
        emma = self.app.connect(self.emma_id)
        go, gone_on = threading.Event(), threading.Event()
        self.addCleanup(go.set)

        def answer(payload: Any) -> Any:
            if payload == "slow":
                go.wait(20)
                gone_on.set()
            return payload

        emma.reverse_request_mapping({"answer": answer})
        failed: list[Any] = []
        thread = threading.Thread(
            target=lambda: failed.append(
                self.assertRaises(DeadlineExceeded, emma.send_request, "ask_me", "slow", timeout=5)
            )
        )
        thread.start()
        while thread.is_alive():
            self.app.clock.advance(1)
        go.set()
        self.assertTrue(gone_on.wait(20))
        self.assertEqual(emma.send_request("ask_me", "next"), "next")
        self.assertEqual(len(failed), 1)

    def test_held_and_released(self) -> None:
        """Faults are set from the test's thread, and are in force when the call returns."""
        emma = self.app.connect(self.emma_id)
        emma.link.to_server.hold()
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(emma.send_request("who")))
        thread.start()
        self.app.clock.advance(5)
        self.assertEqual(answers, [])
        emma.link.to_server.release()
        thread.join(20)
        self.assertEqual(answers, ["emma"])

    def test_two_servers_at_once(self) -> None:
        """Share the reactor; the last one to end lets it go. (Their models differ: a model has one database.)"""
        from fluxon.routing import Setup

        other = Setup(mapping={"where_from": application.where_from}, secrets=application.setup.secrets)
        with MemoryServer(other) as second:
            self.app.stop()
            self.assertEqual(second.connect().send_request("where_from"), "127.0.0.1")
            self.assertTrue(reactor.running)
        self.assertFalse(reactor.running)


class ReactorTests(TestCase):
    """The reactor that ran in a thread is anybody's afterwards."""

    async def test_trial_after_a_blocking_test(self) -> None:
        """It runs in the main thread, and again in another."""
        for _ in range(2):
            await deferLater(reactor, 0)

    def test_blocking_after_trial(self) -> None:
        """In a thread, also after trial has used it."""
        with MemoryServer(application.setup) as app:
            self.assertEqual(app.connect().send_request("count"), 0)

    async def test_start_where_one_awaits(self) -> None:
        """Says what to write instead, and lets go of everything."""
        app = MemoryServer(application.setup)
        error = None
        try:
            await app.start()
        except RuntimeError as raised:
            error = str(raised)
        self.assertEqual(error, "start() blocks, for tests that do not await; here write: await MemoryServer(setup)")
        self.assertFalse(reactor.running and app.running)
        await deferLater(reactor, 0)


class BlockingCloudTests(SynchronousTestCase):
    """Files, as one user's client sees them."""

    def test_files(self) -> None:
        """The connector's calls by their names: directories, contents, roles, locks, watches."""
        with MemoryServer(application.with_cloud) as app:
            emma = app.connect(Member.Insert(username="emma", password="Secret123"))
            files = emma.cloud()
            self.assertRaises(StopIteration, next, files.__await__())
            files.create_directory("/emma")
            heard: list[CloudChange] = []
            changed = threading.Event()

            def note(change: CloudChange) -> None:
                heard.append(change)
                files.stat("/emma")  # it may block
                changed.set()

            files.watch("/emma", note)
            written = files.write_file("/emma/a.txt", b"hello")
            self.assertEqual((files.read_file("/emma/a.txt"), written.size), (b"hello", 5))
            self.assertTrue(changed.wait(20))
            self.assertEqual(heard[0].path, "/emma/a.txt")
            with files.lock("/emma/a.txt") as lock:
                files.write_file("/emma/a.txt", b"mine", lock=lock)
            self.assertTrue((app.folder / "cloud").is_dir())
            stranger = app.connect().cloud()
            self.assertRaises(PermissionDenied, stranger.stat, "/emma/a.txt")
            self.assertRaises(AttributeError, lambda: files.no_such_call)
            files.close()


class AwaitedCloudTests(TestCase):
    """The same, awaited."""

    async def test_a_cut_transfer_goes_on(self) -> None:
        """A large file over a line that is cut in the middle arrives whole."""
        async with MemoryServer(application.with_cloud) as app:
            emma = await app.connect(await Member.Insert(username="emma", password="Secret123"))
            files = await emma.cloud()
            self.assertIs(await files, files)
            await files.create_directory("/emma")
            content = bytes(range(256)) * 8_192
            assert files.link is not None
            files.link.to_server.lose(after=5)
            writing = files.write_file("/emma/large", content)
            while not writing.called:
                await app.clock.advance(1)
                await deferLater(reactor, 0.001)
            self.assertEqual((await writing).size, len(content))
            self.assertEqual(await files.read_file("/emma/large"), content)

    async def test_locks_end_by_the_clock(self) -> None:
        """What somebody else holds is free when its time is over."""
        async with MemoryServer(application.with_cloud) as app:
            emma, mike = [
                await app.connect(await Member.Insert(username=name, password="Secret123")) for name in ("emma", "mike")
            ]
            hers, his = await emma.cloud(), await mike.cloud()
            await hers.create_directory("/emma")
            await hers.write_file("/emma/a.txt", b"hers")
            await hers.lock("/emma/a.txt", 60)
            await self.assertFailure(his.write_file("/emma/a.txt", b"his"), Locked)
            await app.clock.advance(61)
            await his.write_file("/emma/a.txt", b"his")
