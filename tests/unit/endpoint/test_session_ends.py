"""How sessions end, and what a client then is."""

from __future__ import annotations

from typing import Any

from people import ALWAYS_READ, VIEWS, SessionsTestCase, who
from serving import Person
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from fluxon.database.query import where
from fluxon.errors import Internal
from fluxon.routing import Request


class EndTests(SessionsTestCase):
    """How a session ends, and what a client then is."""

    async def test_logout(self) -> None:
        """The token is dead, the connection goes on as a stranger, with a token of its own."""
        server = await self.people()
        wire = await self.logged_in(server)
        token = wire.token
        wire.events.clear()
        self.assertEqual(await wire.call("logout"), "bye")
        self.assertEqual(wire.events, [("session", False), ("answer", "bye")])
        self.assertIsNone(await wire.call("who"))
        again = await self.wire(server, greet=False)
        self.assertTrue((await again.hello(token))["fresh"])

    async def test_resumed_after_a_lost_connection(self) -> None:
        """The token of a login brings it back; ``fresh`` says that it was honoured."""
        server = await self.people()
        wire = await self.logged_in(server)
        session = await wire.call("sessionid")
        await wire.abort()
        again = await self.wire(server, greet=False)
        answer = await again.hello(wire.token)
        self.assertEqual((answer["fresh"], answer["authenticated"], answer["session"]), (False, True, session))
        self.assertEqual(await again.call("who"), "ann")

    async def test_tokens_that_are_not_honoured(self) -> None:
        """Forged, cut, of another server, nonsense: each gets a new stranger's session, none an error or a hint."""
        server = await self.people()
        other = await self.serve(who, folder="other")
        wire = await self.logged_in(server)
        assert wire.token is not None
        foreign = (await self.wire(other)).token
        version, key, session, mac = wire.token.split(".")
        forged = [
            f"{version}.{key}.{session}.{mac[:-2]}{'AA' if mac[-2:] != 'AA' else 'BB'}",
            f"{version}.{key}.{'A' * len(session)}.{mac}",
            f"{version}.{key}.{session}.",
            f"{version}.{key}.{session}",
            f"v2.{key}.{session}.{mac}",
            wire.token[:-1],
            wire.token + "A",
            foreign,
            "",
            "ä" * 20,
        ]
        for token in forged:
            stranger = await self.wire(server, greet=False)
            answer = await stranger.hello(token)
            self.assertEqual((answer["fresh"], answer["authenticated"]), (True, False), token)
            self.assertIsNone(await stranger.call("who"))

    async def test_expired(self) -> None:
        """A session that was unused for too long is a stranger's again."""
        server = await self.people(limits={"session_idle": 0.5, "session_freshness": 1e-6})
        wire = await self.logged_in(server)
        await wire.abort()
        await deferLater(reactor, 0.6)
        again = await self.wire(server, greet=False)
        self.assertTrue((await again.hello(wire.token))["fresh"])

    async def test_password_changed(self) -> None:
        """Changing the password ends the user's sessions, and no one else's."""
        server = await self.people(limits=ALWAYS_READ)
        ann, bob = await self.logged_in(server, 1), await self.logged_in(server, 2)
        await Person.Update({Person.password: "new"}, where[Person.id == 1])
        self.assertIsNone(await ann.call("who"))
        self.assertEqual(await bob.call("who"), "bob")

    async def test_user_deleted(self) -> None:
        """``request.user`` of a deleted user is None, not a leftover (the original's was true for ever)."""
        server = await self.people(limits=ALWAYS_READ)
        ann = await self.logged_in(server, 1)
        await Person.Delete(where[Person.id == 1])
        self.assertIsNone(await ann.call("who"))

    async def test_the_row_is_not_stale(self) -> None:
        """What changes in the user's row shows in ``request.user`` when it is looked at again."""
        server = await self.people(limits=ALWAYS_READ)
        ann = await self.logged_in(server, 1)
        await Person.Update({Person.username: "anna"}, where[Person.id == 1])
        self.assertEqual(await ann.call("who"), "anna")

    async def test_revoked_while_requests_come(self) -> None:
        """Requests that arrive while the session is looked at wait for it, in order, and none runs as the old user."""
        server = await self.people(limits=ALWAYS_READ)
        ann = await self.logged_in(server, 1)
        asked = [ann.ask("who") for _ in range(20)]
        await server.sessions.revoke_user(1)
        late = [ann.ask("who") for _ in range(20)]
        early = [await each for each in asked]
        self.assertEqual(early, sorted(early, key=lambda name: name is None))
        self.assertEqual([await each for each in late], [None] * 20)

    async def test_revoked_and_gone(self) -> None:
        """A revoked user who asks and hangs up at once is nobody to the view, if it runs at all."""
        seen: list[Any] = []
        reading: list[Deferred[None]] = []

        async def note(request: Request) -> None:
            seen.append(request.user)

        server = await self.serve(*VIEWS, note, users=True, limits=ALWAYS_READ)
        await Person.Insert(username="ann", password="x")
        ann = await self.logged_in(server, 1)
        store = server.sessions._persistent
        load = store.load

        async def slow_load(key: bytes) -> Any:
            record = await load(key)
            reading.append(Deferred())
            await reading[-1]
            return record and None

        self.patch(store, "load", lambda key: Deferred.fromCoroutine(slow_load(key)))
        ann.ask("note").addErrback(lambda _: None)
        while not reading:
            await deferLater(reactor, 0.005)
        await ann.abort()
        await deferLater(reactor, 0.02)
        reading[0].callback(None)
        await deferLater(reactor, 0.02)
        self.assertEqual(seen, [])

    async def test_a_view_that_outlives_its_session(self) -> None:
        """It runs on after its connection is lost; when its user is thrown out, ``request.user`` is None there, too."""
        go: list[Deferred[None]] = []
        seen: list[Any] = []

        async def lasting(request: Request) -> None:
            seen.append(request.user and request.user.username)
            go.append(Deferred())
            await go[0]
            seen.append(request.user)

        server = await self.serve(*VIEWS, lasting, users=True)
        await Person.Insert(username="ann", password="x")
        ann = await self.logged_in(server)
        ann.ask("lasting").addErrback(lambda _: None)
        while not go:
            await deferLater(reactor, 0.002)
        await ann.abort()
        while server.sessions.connected():
            await deferLater(reactor, 0.002)
        await server.sessions.revoke_user(1)
        go[0].callback(None)
        self.assertEqual(seen, ["ann", None])

    async def test_a_public_name_is_no_token(self) -> None:
        """``request.sessionid`` is in logs and answers: offering it, in any form, resumes nobody."""
        server = await self.people()
        ann = await self.logged_in(server)
        name, parts = await ann.call("sessionid"), str(ann.token).split(".")
        for token in (name, f"v1.{parts[1]}.{name}.{parts[3]}", f"{parts[0]}.{parts[1]}.{name}."):
            thief = await self.wire(server, greet=False)
            self.assertTrue((await thief.hello(token))["fresh"])
            self.assertIsNone(await thief.call("who"))

    async def test_a_store_that_fails(self) -> None:
        """A session that cannot be looked at is not relied on: the request fails, and the next one may succeed."""
        server = await self.people(limits=ALWAYS_READ)
        ann = await self.logged_in(server, 1)
        store = server.sessions._persistent
        load = store.load

        def broken(key: bytes) -> Any:
            raise OSError("the disk is gone")

        self.patch(store, "load", broken)
        await self.fails(Internal, ann.call("who"))
        self.patch(store, "load", load)
        self.assertEqual(await ann.call("who"), "ann")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    async def test_cancelled_while_it_logs_in(self) -> None:
        """Giving up on a login harms nothing: it is carried to its end, or it never was."""
        server = await self.people()
        for view in ("login", "login_unawaited", "login_plain"):
            wire = await self.wire(server)
            asked = wire.ask(view, 1)
            asked.addErrback(lambda _: None)
            await deferLater(reactor, 0)
            asked.cancel()
            self.assertIn(await wire.call("who"), (None, "ann"))
            await wire.hello(wire.token)
            self.assertIn(await wire.call("who"), (None, "ann"))
        # A view that runs in a thread is carried to its end, too.
        peers = server._running().listener.factory.peers
        while any(each.conversation.answering for each in peers):
            await deferLater(reactor, 0.001)
        self.flushLoggedErrors(CancelledError)  # the view's own; whether it is worth a line is not the matter here
        self.assertEqual(self.flushLoggedErrors(), [])
