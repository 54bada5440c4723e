"""Logins as clients meet them: what they change, who follows, and what can come in between."""

from __future__ import annotations

from typing import Any

from people import SessionsTestCase
from serving import Wire
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from fluxon.errors import Conflict, DeadlineExceeded, InvalidPayload, NotFound, PermissionDenied
from fluxon.routing import greeting


class LoginTests(SessionsTestCase):
    """A login, and what follows it."""

    async def test_every_way_to_write_it(self) -> None:
        """Awaited, not awaited, in a thread, returned: afterwards the connection is the user's."""
        server = await self.people()
        for view in ("login", "login_unawaited", "login_plain", "login_returned", "login_caught"):
            wire = await self.wire(server)
            self.assertIsNone(await wire.call("who"))
            await wire.call(view, 1)
            self.assertEqual(await wire.call("who"), "ann", view)

    async def test_the_new_token_comes_before_the_answer(self) -> None:
        """And token and session id are new: nothing of before is worth anything."""
        server = await self.people()
        for view in ("login", "login_unawaited", "login_plain"):
            wire = await self.wire(server)
            token, session = wire.token, await wire.call("sessionid")
            wire.events.clear()
            await wire.call(view, 1)
            self.assertEqual([each[0] for each in wire.events], ["session", "answer"])
            self.assertNotEqual(wire.token, token)
            self.assertNotEqual(await wire.call("sessionid"), session)

    async def test_a_planted_token_is_dead(self) -> None:
        """Fixation: whoever knew the token before the login has a stranger's session with it."""
        server = await self.people()
        victim = await self.wire(server)
        planted = victim.token
        thief = await self.wire(server, planted)
        await victim.call("login", 1)
        # The thief's connection shared the session and does not follow it.
        self.assertIsNone(await thief.call("who"))
        late = await self.wire(server, greet=False)
        self.assertTrue((await late.hello(planted))["fresh"])
        self.assertIsNone(await late.call("who"))
        self.assertEqual(await victim.call("who"), "ann")

    async def test_another_connection_comes_back_with_the_new_token(self) -> None:
        """A second connection of the session falls to a stranger, until it presents the new token."""
        server = await self.people()
        first = await self.wire(server)
        second = await self.wire(server, first.token)
        self.assertEqual(await first.call("sessionid"), await second.call("sessionid"))
        await first.call("login", 1)
        self.assertIsNone(await second.call("who"))
        self.assertEqual((await second.hello(first.token))["authenticated"], True)
        self.assertEqual(await second.call("who"), "ann")
        self.assertEqual(await first.call("sessionid"), await second.call("sessionid"))

    async def test_ids_that_are_none(self) -> None:
        """Text, a bool, None, zero and users who are not there: refused, and the session stays what it was."""
        server = await self.people()
        wire = await self.wire(server)
        await wire.call("login", 2)
        before = (wire.token, await wire.call("sessionid"))
        for view in ("login", "login_unawaited", "login_plain", "login_returned"):
            for nobody in ("1", True, None, 0, -1, 1.0, [1], 2**63 - 1, 99):
                error = await self.fails((InvalidPayload, NotFound), wire.call(view, nobody))  # type: ignore[arg-type]
                self.assertIsInstance(error, NotFound if nobody in (99, 2**63 - 1) else InvalidPayload)
        self.assertEqual(await wire.call("login_caught", 99), "NotFound")
        self.assertEqual((wire.token, await wire.call("sessionid")), before)
        self.assertEqual(await wire.call("who"), "bob")

    async def test_a_view_that_fails_after_its_login(self) -> None:
        """The answer is the view's own failure; the login it began stands, as it does in a plain view."""
        server = await self.people()
        wire = await self.wire(server)
        error = await self.fails(PermissionDenied, wire.call("login_then_fail", 1))
        self.assertEqual(error.text, "after the login")
        self.assertEqual(await wire.call("who"), "ann")
        error = await self.fails(PermissionDenied, wire.call("login_then_fail", 99))
        self.assertEqual(error.text, "after the login")

    async def test_twice_in_one_view(self) -> None:
        """One after the other, awaited or not, in both kinds of view: the last one holds."""
        server = await self.people()
        for view in ("login_both", "login_both_plain", "login_in_helper"):
            wire = await self.wire(server)
            await wire.call(view, [1, 2])
            self.assertEqual(await wire.call("who"), "bob", view)
        await wire.call("logout_and_in", 1)
        self.assertEqual(await wire.call("who"), "ann")
        await self.fails(NotFound, wire.call("login_both", [99, 1]))
        await self.fails(NotFound, wire.call("login_both", [1, 99]))

    async def test_requests_at_once(self) -> None:
        """Logins of one connection take place in the order they were asked for, and none of them fails."""
        server = await self.people()
        wire = await self.wire(server)
        asked = [wire.ask(view, user) for view in ("login_unawaited", "login_returned") for user in (1, 2, 1)]
        asked += [wire.ask("logout"), wire.ask("login_unawaited", 2)]
        for each in asked:
            await each
        self.assertEqual(await wire.call("who"), "bob")
        self.assertEqual(len(await server.sessions.list_user(1)), 0)
        self.assertEqual(len(await server.sessions.list_user(2)), 1)
        self.assertEqual(server._running().foundation.greeting._turns, {})

    async def test_two_connections_at_once(self) -> None:
        """Two connections of one session log in: one session has one successor, so the other is told to try again."""
        server = await self.people()
        first = await self.wire(server)
        second = await self.wire(server, first.token)
        asked = [first.ask("login_unawaited", 1), second.ask("login_unawaited", 2)]
        won = [await each.addErrback(lambda failure: failure.trap(Conflict) and None) for each in asked]
        self.assertEqual(won.count("logged in"), 1)
        names = [await first.call("who"), await second.call("who")]
        self.assertEqual(names, ["ann", None] if won[0] else [None, "bob"])

    async def test_the_connection_dies_meanwhile(self) -> None:
        """A session whose token nobody received does not stay behind."""
        server = await self.people()
        store, saved, go = server.sessions._persistent, Deferred(), Deferred()
        save = store.save

        async def slow_save(record: Any) -> None:
            await save(record)
            saved.callback(None)
            await go

        self.patch(store, "save", lambda record: Deferred.fromCoroutine(slow_save(record)))
        wire = await self.wire(server)
        wire.ask("login", 1).addErrback(lambda _: None)
        await saved
        self.assertEqual(len(await server.sessions.list_user(1)), 1)
        await wire.abort()
        while server.sessions.connected():
            await deferLater(reactor, 0.002)
        go.callback(None)
        while await server.sessions.list_user(1):
            await deferLater(reactor, 0.002)

    async def test_a_client_that_acknowledges_nothing(self) -> None:
        """One new token at a time: the next login waits for the answer to the last one, and not for ever."""
        self.patch(greeting, "_ACKNOWLEDGE_WITHIN", 0.2)
        server = await self.people()
        wire, silence = Wire(), Deferred()
        self.patch(wire, "_session_changed", lambda *_: silence)
        await wire.connect(self.place_of(server))
        self.addCleanup(wire.abort)
        await wire.hello()
        await wire.call("login_unawaited", 1)
        following = [wire.ask("login_unawaited", 2), wire.ask("logout")]
        (peer,) = server._running().listener.factory.peers
        self.assertLessEqual(len(peer.conversation.asked), 1)
        for each in following:
            await each
        self.assertIsNone(await wire.call("who"))
        self.assertLessEqual(len(peer.conversation.asked), 1)
        silence.callback({})

    async def test_a_login_that_takes_too_long(self) -> None:
        """The request is over at its deadline; the login is carried to its end, and the client learns of it."""
        server = await self.people(limits={"view_timeout": 0.1})
        store, go = server.sessions._persistent, Deferred()
        save = store.save
        self.patch(store, "save", lambda record: go.addCallback(lambda _: save(record)))
        for view in ("login", "login_unawaited", "login_plain"):
            wire = await self.wire(server)
            await self.fails(DeadlineExceeded, wire.call(view, 1))
            self.assertIsNone(await wire.call("who"))
            go.callback(None)
            while ("session", True) not in wire.events:
                await deferLater(reactor, 0.002)
            self.assertEqual(await wire.call("who"), "ann")
            await wire.hello(wire.token)
            self.assertEqual(await wire.call("who"), "ann")
            go = Deferred()
        self.flushLoggedErrors(CancelledError)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_several_devices(self) -> None:
        """Two logins of one user are two sessions; ending one leaves the other."""
        server = await self.people()
        phone, laptop = await self.wire(server), await self.wire(server)
        await phone.call("login", 1)
        await laptop.call("login", 1)
        self.assertEqual(len(await server.sessions.list_user(1)), 2)
        await phone.call("logout")
        self.assertIsNone(await phone.call("who"))
        self.assertEqual(await laptop.call("who"), "ann")

    async def test_larger_frames(self) -> None:
        """Who is logged in may send more; the bound falls with the message that says so."""
        server = await self.people(limits={"frame_anonymous": 20_000, "frame_authenticated": 100_000})
        wire = await self.wire(server)
        await wire.call("login", 1)
        self.assertEqual(await wire.call("size", b"x" * 90_000), 90_000)
        # Thrown out without having been told: a large request is answered, as a stranger's.
        await server.sessions.revoke_user(1)
        self.assertEqual(await wire.call("size", b"x" * 90_000), 90_000)
        self.assertIsNone(await wire.call("who"))
        await wire.call("login", 1)
        await wire.call("logout")
        wire.ask("size", b"x" * 90_000).addErrback(lambda _: None)
        await wire.lost
