"""Sessions as clients meet them: logins, what they change, who follows, and how they end."""

from __future__ import annotations

from typing import Any

from serving import Person, ServingTestCase, Wire
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from fluxon.database.query import where
from fluxon.endpoint import AsyncServer
from fluxon.errors import Conflict, DeadlineExceeded, Internal, InvalidPayload, NotFound, PermissionDenied
from fluxon.routing import Request, greeting

#: Every request looks the session up again: what another process did shows at once.
ALWAYS_READ = {"session_freshness": 1e-6}


async def who(request: Request) -> Any:
    return None if request.user is None else request.user.username


async def sessionid(request: Request) -> str:
    return request.sessionid


async def login(request: Request) -> Any:
    await request.login(request.payload)
    return request.user.username


async def login_unawaited(request: Request) -> str:
    request.login(request.payload)
    return "logged in"


def login_plain(request: Request) -> Any:
    request.login(request.payload)
    return request.user.username


async def logout(request: Request) -> Any:
    request.logout()
    return "bye"


async def logout_and_in(request: Request) -> Any:
    request.logout()
    request.login(request.payload)


async def login_both(request: Request) -> None:
    request.login(request.payload[0])
    request.login(request.payload[1])


def login_both_plain(request: Request) -> None:
    request.login(request.payload[0])
    request.login(request.payload[1])


async def login_then_fail(request: Request) -> None:
    request.login(request.payload)
    raise PermissionDenied("after the login")


async def login_caught(request: Request) -> str:
    try:
        await request.login(request.payload)
    except (NotFound, InvalidPayload) as error:
        return error.code
    return "in"


async def login_returned(request: Request) -> Any:
    return request.login(request.payload)


async def login_in_helper(request: Request) -> Any:
    request.login(request.payload[0])

    async def more() -> str:
        await deferLater(reactor, 0)
        request.login(request.payload[1])
        return "more"

    return more()


async def size(request: Request) -> int:
    return len(request.payload)


VIEWS = (
    who,
    sessionid,
    login,
    login_unawaited,
    login_plain,
    logout,
    logout_and_in,
    login_both,
    login_both_plain,
    login_then_fail,
    login_caught,
    login_returned,
    login_in_helper,
    size,
)


class SessionsTestCase(ServingTestCase):
    """A server with two users, ann (1) and bob (2)."""

    async def people(self, **keywords: Any) -> AsyncServer:
        server = await self.serve(*VIEWS, users=True, **keywords)
        for name in ("ann", "bob"):
            await Person.Insert(username=name, password=f"{name}'s")
        return server


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
        self.assertEqual(server._running()._greeting._turns, {})

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
        await wire.connect(f"tcp:127.0.0.1:{server.listening_port.getHost().port}")
        self.addCleanup(wire.abort)
        await wire.hello()
        await wire.call("login_unawaited", 1)
        following = [wire.ask("login_unawaited", 2), wire.ask("logout")]
        (peer,) = server._running().factory.peers
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


class EndTests(SessionsTestCase):
    """How a session ends, and what a client then is."""

    async def logged_in(self, server: AsyncServer, user_id: int = 1) -> Wire:
        wire = await self.wire(server)
        await wire.call("login", user_id)
        return wire

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
        server = await self.people(limits={"session_idle": 0.05, "session_freshness": 1e-6})
        wire = await self.logged_in(server)
        await wire.abort()
        await deferLater(reactor, 0.1)
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
        self.flushLoggedErrors(CancelledError)  # the view's own; whether it is worth a line is not the matter here
        self.assertEqual(self.flushLoggedErrors(), [])
