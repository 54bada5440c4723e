"""A server in memory, in tests that await (trial's)."""

from __future__ import annotations

import os
from typing import Any

import tested_application as application
from tested_application import Member, Note
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from fluxon.errors import (
    ConfigurationError,
    DeadlineExceeded,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
    UnknownView,
)
from fluxon.limits import Limits
from fluxon.routing import Setup
from fluxon.testing import MemoryServer, NoAnswer, ReceivedCall


class AwaitedServerTests(TestCase):
    """``self.app``, and emma, who is its first user."""

    timeout = 60

    async def setUp(self) -> None:
        self.app = await MemoryServer(application.setup)
        self.addCleanup(self.app.stop)
        self.emma_id = await Member.Insert(username="emma", password="Secret123")

    async def fails(self, kind: type[BaseException], awaitable: Any) -> Any:
        try:
            value = await awaitable
        except kind as error:
            return error
        return self.fail(f"{kind.__name__} was to be raised, but it answered {value!r}")

    async def test_views_of_both_kinds(self) -> None:
        """On the reactor and in a thread, on a database of the test's own."""
        client = await self.app.connect()
        self.assertEqual(await client.send_request("write", "one"), 1)
        self.assertEqual(await client.send_request("write_in_a_thread", "two"), 2)
        self.assertEqual(await Note.Count(), 2)
        self.assertEqual([row.text for row in await Note.Check()], ["one", "two"])

    async def test_errors_cross(self) -> None:
        """As they do to any client."""
        client = await self.app.connect()
        await self.fails(UnknownView, client.send_request("wirte"))
        await self.fails(PermissionDenied, client.send_request("sign_in", ["emma", "wrong"]))

    async def test_nothing_of_the_application_is_touched(self) -> None:
        """Its PostgreSQL is not asked, and its folders are not made; the test's folder goes with the server."""
        folder = self.app.folder
        self.assertTrue((folder / "database.sqlite3").exists())
        self.assertFalse(application.PLACE.exists())
        await self.app.stop()
        self.assertFalse(folder.exists())
        await self.app.stop()  # again is no error

    async def test_a_folder_of_the_tests(self) -> None:
        """Is kept, with what the server wrote; the next one goes on with it."""
        await self.app.stop()
        async with MemoryServer(application.setup, folder="kept") as first:
            await Note.Insert(text="kept")
            self.assertEqual(first.folder, first.folder.absolute())
        async with MemoryServer(application.setup, folder="kept"):
            self.assertEqual(await Note.Count(), 1)
        self.assertIn("database.sqlite3", os.listdir("kept"))

    async def test_login(self) -> None:
        """By a view, and without one; the session is a real one both times, and rotates."""
        emma = await self.app.connect()
        self.assertIsNone(emma.user)
        before = emma.session.token
        await emma.send_request("sign_in", ["emma", "Secret123"])
        self.assertEqual((emma.user.username, emma.session.authenticated), ("emma", True))
        self.assertNotEqual(emma.session.token, before)
        await emma.logout()
        self.assertEqual((emma.user, emma.session.authenticated), (None, False))
        [row] = await Member.Check()
        for user in (self.emma_id, row):
            await emma.login_as(user)
            self.assertEqual((await emma.send_request("who"), emma.session.authenticated), ("emma", True))
        await self.fails(NotFound, emma.login_as(77))
        await self.fails(NotFound, self.app.connect(77))

    async def test_a_shared_session(self) -> None:
        """Two connections of one user, who logs in on the first."""
        first = await self.app.connect(self.emma_id)
        second = await self.app.connect(session=first)
        self.assertEqual(await second.send_request("who"), "emma")

    async def test_what_the_server_asks(self) -> None:
        """Every call is seen, with and without a function for it; its answer is the function's."""
        emma = await self.app.connect(self.emma_id)
        self.assertEqual(await emma.send_request("tell", [self.emma_id, "nobody listens"]), False)
        heard = []
        emma.reverse_request_mapping({"hear": lambda text: heard.append(text), "answer": lambda x: 2 * x})
        self.assertEqual(await emma.send_request("tell", [self.emma_id, "hello"]), True)
        self.assertEqual(heard, ["hello"])
        self.assertEqual(await emma.send_request("ask_me", 21), 42)
        self.assertEqual(
            emma.received,
            [
                ReceivedCall("hear", {"text": "nobody listens"}),
                ReceivedCall("hear", {"text": "hello"}),
                ReceivedCall("answer", 21),
            ],
        )

    async def test_the_next_call(self) -> None:
        """One that has come, one that comes later, and those of other names passed over; each is taken once."""
        emma = await self.app.connect(self.emma_id, functions={"hear": lambda text: None, "answer": lambda x: x})
        later = emma.next_received("answer")
        for text in ("one", "two"):
            await self.app.server.reverse_request(self.emma_id, "hear", {"text": text})
        await emma.send_request("ask_me", 3)
        self.assertEqual((await later).payload, 3)
        await self.app.server.reverse_request(self.emma_id, "hear", {"text": "three"})
        self.assertEqual((await emma.next_received()).payload, {"text": "three"})
        error = await self.fails(NoAnswer, emma.next_received("hear", patience=0.01))
        self.assertIn("a call of the server to 'hear'", str(error))

    async def test_deadlines_go_by_the_clock(self) -> None:
        """A view that hangs is over when the test says that its time is, and not before."""
        client = await self.app.connect()
        asked = client.send_request("hang", timeout=100)
        await self.app.clock.advance(29)
        self.assertFalse(asked.called)
        await self.app.clock.advance(2)
        await self.fails(DeadlineExceeded, asked)

    async def test_sessions_end_by_the_clock(self) -> None:
        """A token holds until it was unused for as long as the limits say."""
        await self.app.stop()
        limits = Limits(session_idle=3_600)
        async with MemoryServer(application.setup, limits=limits) as app:
            user_id = await Member.Insert(username="mike", password="Secret123")
            mike = await app.connect(user_id)
            lost = []
            for seconds, still in ((3_500, "mike"), (3_700, None)):
                await mike.close()
                await app.clock.advance(seconds)
                mike = await app.connect(session=mike, on_session_lost=lambda: lost.append("told"))
                self.assertEqual(await mike.send_request("who"), still)
            self.assertEqual(lost, ["told"])

    async def test_login_tries_go_by_the_clock(self) -> None:
        """Too many are refused until time has passed."""
        client = await self.app.connect()
        for _ in range(5):
            await self.fails(PermissionDenied, client.send_request("sign_in", ["emma", "wrong"]))
        await self.fails(ResourceExhausted, client.send_request("sign_in", ["emma", "wrong"]))
        await self.app.clock.advance(1)
        await self.fails(PermissionDenied, client.send_request("sign_in", ["emma", "wrong"]))

    async def test_heartbeats_are_answered(self) -> None:
        """However long a test lets time pass, nobody is taken for dead; who is held up is."""
        emma = await self.app.connect(self.emma_id)
        await self.app.clock.advance(30 * 86_400)
        self.assertTrue(emma.connected)
        link = emma.link
        link.to_server.hold()
        await self.app.clock.advance(120)
        self.assertFalse(link.open)

    async def test_a_lost_answer(self) -> None:
        """The request was carried out, its client does not know, and is still who it was when it is back."""
        emma = await self.app.connect(self.emma_id)
        emma.link.to_client.lose()
        await self.fails(OutcomeUnknown, emma.send_request("write", "done"))
        self.assertEqual(await Note.Count(), 1)
        await emma.reconnect()
        self.assertEqual(await emma.send_request("who"), "emma")

    async def test_a_lost_request(self) -> None:
        """It was not carried out, which its client cannot know either."""
        emma = await self.app.connect()
        emma.link.to_server.lose()
        await self.fails(OutcomeUnknown, emma.send_request("write", "never"))
        await emma.reconnect()
        self.assertEqual(await Note.Count(), 0)

    async def test_a_request_that_arrives_twice(self) -> None:
        """The line is given up, and it is carried out once, if at all; a repeated answer is passed over."""
        client = await self.app.connect()
        client.link.to_client.duplicate()
        self.assertEqual(await client.send_request("write", "one"), 1)
        client.link.to_server.duplicate()
        await self.fails(OutcomeUnknown, client.send_request("write", "two"))
        await client.reconnect()
        self.assertIn(await client.send_request("count"), (1, 2))

    async def test_a_slow_line(self) -> None:
        """What is late is late by the clock: a message does not count as delivered before."""
        emma = await self.app.connect(self.emma_id, functions={"hear": lambda text: None})
        emma.link.to_client.delay(3)
        told = self.app.server.reverse_request(self.emma_id, "hear", {"text": "slowly"}, timeout=10)
        await self.app.clock.advance(2)
        self.assertEqual((emma.received, told.called), ([], False))
        await self.app.clock.advance(2)
        self.assertTrue(await told)

    async def test_a_client_without_a_connection(self) -> None:
        """What it asks waits for the next one; after its own end nothing does."""
        client = await self.app.connect()
        client.link.cut()
        await self.app.clock.advance(0)
        asked = client.send_request("count", timeout=5)
        await client.reconnect()
        self.assertEqual(await asked, 0)
        await client.close()
        await self.fails(Unavailable, client.send_request("count"))

    async def test_what_is_not_there(self) -> None:
        """A connection that is lost has no server's end, and a client that was never connected has none at all."""
        client = await self.app.connect(self.emma_id)
        self.assertEqual(client.user.username, "emma")
        client.link.cut()
        await self.app.clock.advance(0)
        error = self.assertRaises(Unavailable, lambda: client.user)
        self.assertIn("reconnect()", error.text)
        await self.app.server.stopService()
        never = self.app.connect()
        error = self.assertRaises(Unavailable, lambda: never.link)
        self.assertIn("never connected", error.text)
        await never.close()
        await self.fails(Exception, never)

    async def test_awaited_again(self) -> None:
        """What is there already is itself, and not begun a second time."""
        client = await self.app.connect(self.emma_id)
        self.assertIs(await client, client)
        self.assertIs(await self.app, self.app)
        self.assertEqual(await client.send_request("who"), "emma")

    async def test_the_database(self) -> None:
        """Of the server, for work of the test's own: all of it, or nothing."""

        def write() -> None:
            Note.Insert(text="one")
            raise ZeroDivisionError

        await self.fails(ZeroDivisionError, self.app.database.transaction(write))
        self.assertEqual(await Note.Count(), 0)
        await self.app.database.transaction(lambda: Note.Insert(text="one"))
        self.assertEqual(await Note.Count(), 1)

    async def test_a_restart(self) -> None:
        """Users stay logged in, and rows where they are."""
        emma = await self.app.connect(self.emma_id)
        await emma.send_request("write", "kept")
        await self.app.restart()
        await emma.reconnect()
        self.assertEqual((await emma.send_request("who"), await emma.send_request("count")), ("emma", 1))

    async def test_addresses(self) -> None:
        """Views see the one that the test chose."""
        for address in ("127.0.0.1", "203.0.113.9"):
            client = await self.app.connect(address=address)
            self.assertEqual(await client.send_request("where_from"), address)

    async def test_nothing_comes_of_it(self) -> None:
        """A test that waits for time which never passes is told so, and what to type."""
        self.patch(self.app.calls.run.__func__, "__defaults__", (0.05,))
        client = await self.app.connect()
        error = await self.fails(NoAnswer, client._calls.run("send_request('hang')", Deferred))
        self.assertIn("send_request('hang') in 0.05 s", str(error))
        self.assertIn("clock.advance(seconds)", str(error))

    async def test_a_view_that_hangs_holds_up_no_end(self) -> None:
        """Its client hears that the server is gone; the test is over at once."""
        client = await self.app.connect()
        asked = client.send_request("hang")
        await self.app.clock.advance(0)
        await self.app.stop()
        await self.fails((OutcomeUnknown, Unavailable), asked)  # type: ignore[arg-type]


class StartingTests(TestCase):
    """What goes wrong before there is a server."""

    async def test_what_is_no_setup(self) -> None:
        """The error says what to pass."""
        error = self.assertRaises(ConfigurationError, MemoryServer, application)
        self.assertIn("MemoryServer(router.setup)", error.text)

    async def test_a_server_that_cannot_start(self) -> None:
        """Its reason is raised, nothing is left, and the models are free for the next."""
        app = MemoryServer(application.setup, database_path="missing/folder/database.sqlite3")
        try:
            await app
        except Exception as error:
            self.assertIn("database", str(error))
        else:
            self.fail("it started")
        self.assertFalse(app.folder.exists())
        self.flushLoggedErrors()
        async with MemoryServer(application.setup):
            self.assertEqual(await Note.Count(), 0)

    async def test_a_setup_without_a_database(self) -> None:
        """Is served as well; what it lacks is said when it is asked for."""
        setup = Setup(mapping={"where_from": application.where_from}, secrets=application.setup.secrets)
        async with MemoryServer(setup) as app:
            client = await app.connect()
            self.assertEqual(await client.send_request("where_from"), "127.0.0.1")
            with self.assertRaises(ConfigurationError):
                _ = app.database
            self.assertRaises(ConfigurationError, client.cloud)
