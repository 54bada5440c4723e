"""Requests with a key: carried out once, whatever happens to connections, answers and those who ask."""

from __future__ import annotations

from typing import Any

from serving import Person
from test_keeping import KeepingTestCase, until
from twisted.internet.defer import CancelledError, Deferred, DeferredList, gatherResults
from twisted.python.failure import Failure

from fluxon.commands import CallOnce
from fluxon.connect import Client
from fluxon.endpoint import AsyncServer
from fluxon.errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    Internal,
    InvalidPayload,
    NotFound,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
    Unserialisable,
)
from fluxon.limits import MAX_KEY
from fluxon.routing import Request


class Views:
    """Views that count how often they ran, by their payload."""

    def __init__(self) -> None:
        self.ran: list[Any] = []
        self.waiting: list[Deferred[Any]] = []
        self.keys: list[str | None] = []

    async def count(self, request: Request) -> Any:
        self.ran.append(request.payload)
        self.keys.append(request.key)
        return {"ran": len(self.ran)}

    def plain(self, request: Request) -> Any:
        self.ran.append(request.payload)
        return len(self.ran)

    async def wait(self, request: Request) -> Any:
        self.ran.append(request.payload)
        self.waiting.append(Deferred())
        return await self.waiting[-1]

    async def fail(self, request: Request) -> Any:
        self.ran.append(request.payload)
        kinds = {"NotFound": NotFound, "Unavailable": Unavailable, "ResourceExhausted": ResourceExhausted}
        raise kinds.get(request.payload, ValueError)("no")

    async def wrong(self, request: Request) -> Any:
        self.ran.append(request.payload)
        return object()

    async def enter(self, request: Request) -> Any:
        self.ran.append(request.payload)
        request.login(1)
        self.waiting.append(Deferred())
        return await self.waiting[-1]

    async def leave(self, request: Request) -> Any:
        self.ran.append(request.payload)
        await request.logout()
        self.waiting.append(Deferred())
        return await self.waiting[-1]

    async def stubborn(self, request: Request) -> Any:
        self.ran.append(request.payload)
        try:
            await Deferred()
        except CancelledError:
            return "in the end"

    async def endless(self, request: Request) -> Any:
        self.ran.append(request.payload)

        async def next_one() -> Any:
            return next_one()

        return next_one()

    async def large(self, request: Request) -> Any:
        self.ran.append(request.payload)
        return "x" * 1_000

    async def later(self, request: Request) -> Any:
        self.ran.append(request.payload)
        raise ResourceExhausted("later", details={"retry_after": request.payload})

    async def refuse(self, request: Request) -> Any:
        self.ran.append(request.payload)
        raise NotFound("no", details={"much": "x" * 1_000})

    def all(self) -> list[Any]:
        running = [self.count, self.plain, self.wait, self.enter, self.leave, self.large]
        running += [self.stubborn, self.endless]
        return [*running, self.fail, self.later, self.refuse, self.wrong]


class RepeatsTestCase(KeepingTestCase):
    """A server with those views, and a client of it."""

    async def begin_views(self, **limits: Any) -> tuple[AsyncServer, Client, Views]:
        views = Views()
        server = await self.serve(*views.all(), users=True, limits=limits)
        await Person.Insert(username="ann", password="x")
        self.addCleanup(lambda: [each.callback(None) for each in views.waiting if not each.called])
        return server, await self.client(server, None), views


class OnceTests(RepeatsTestCase):
    """One run for each key."""

    async def test_again(self) -> None:
        """The same answer, of an async view and of a plain one; another key, or none, is another request."""
        _, client, views = await self.begin_views()
        for view in ("count", "plain"):
            first = await client.call(view, 5, key=view)
            self.assertEqual(await client.call(view, 5, key=view), first)
        self.assertEqual(len(views.ran), 2)
        await client.call("count", 5, key="other")
        await client.call("count", 5)
        await client.call("count", 5, idempotent=True)
        await client.call("count", 5, idempotent=True)
        self.assertEqual(len(views.ran), 6)
        self.assertEqual(views.keys[:3], ["count", "other", None])
        self.assertEqual(len(set(views.keys[3:])), 2)

    async def test_a_key_means_one_request(self) -> None:
        """Another payload, or view, under a key that was used is a mistake that is told."""
        _, client, views = await self.begin_views()
        await client.call("count", 1, key="k")
        await self.fails(Conflict, client.call("count", 2, key="k"))
        await self.fails(Conflict, client.call("plain", 1, key="k"))
        self.assertEqual(views.ran, [1])
        for key in ("", "x" * (MAX_KEY + 1), 7):
            await self.fails(InvalidPayload, client.call("count", 1, key=key))  # type: ignore[arg-type]

    async def test_while_it_is_under_way(self) -> None:
        """Repeats wait for the first, and one that gives up stops nobody, the first one neither."""
        server, client, views = await self.begin_views()
        first = client.call("wait", 1, key="k")
        await until(lambda: views.waiting)
        second, third = client.call("wait", 1, key="k"), client.call("wait", 1, key="k")
        await client.call("count")
        first.cancel()
        second.cancel()
        await self.fails(Cancelled, first)
        await self.fails(Cancelled, second)
        await client.call("count")
        (peer,) = self.peers(server)
        self.assertEqual(len(peer.conversation.answering) + peer.conversation._lingering, 2)  # the first, and the third
        views.waiting[0].callback("done")
        self.assertEqual(await third, "done")
        self.assertEqual(await client.call("wait", 1, key="k"), "done")
        self.assertEqual(views.ran.count(1), 1)
        self.assertEqual(peer.conversation._lingering, 0)

    async def test_timeouts_are_no_way_around_the_cap(self) -> None:
        """Who gives up at once still has what they began counted, until it ends."""
        server, client, views = await self.begin_views()
        for number in range(3):
            await self.fails(DeadlineExceeded, client.call("wait", number, 0.01, key=str(number)))
        (peer,) = self.peers(server)
        await until(lambda: len(views.waiting) == 3)
        await until(lambda: peer.conversation._lingering == 3)
        for each in views.waiting:
            each.callback(None)
        self.assertEqual(peer.conversation._lingering, 0)

    async def test_errors(self) -> None:
        """An error is an answer like any other, an incident the same one; what says that nothing was done is not."""
        _, client, views = await self.begin_views()
        await self.fails(NotFound, client.call("fail", "NotFound", key="1"))
        await self.fails(NotFound, client.call("fail", "NotFound", key="1"))
        error = await self.fails(Internal, client.call("fail", None, key="2"))
        again = await self.fails(Internal, client.call("fail", None, key="2"))
        self.assertEqual(error.details, again.details)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(views.ran, ["NotFound", None])
        for kind in (Unavailable, ResourceExhausted):
            for _ in range(2):
                await self.fails(kind, client.call("fail", kind.code, key=kind.code))
            self.assertEqual(views.ran.count(kind.code), 2)
        await self.fails(Unserialisable, client.call("wrong", 1, key="3"))
        await self.fails(Unserialisable, client.call("wrong", 1, key="3"))
        self.assertEqual(views.ran.count(1), 1)

    async def test_too_often(self) -> None:
        """A client that asks more often than it may waits as long as it is told, and all is carried out, once."""
        _, client, views = await self.begin_views(request_rate=200, request_burst=0.5)
        plain = [client.call("count") for _ in range(120)]
        outcomes = [each for _, each in await DeferredList(plain, consumeErrors=True)]
        refused = [each.value for each in outcomes if isinstance(each, Failure)]
        self.assertEqual({type(each) for each in refused}, {ResourceExhausted})
        self.assertTrue(all(each.retry_after > 0 for each in refused))
        views.ran.clear()
        keyed = [client.call("count", number, idempotent=True) for number in range(120)]
        await gatherResults(keyed)
        self.assertEqual(sorted(views.ran), list(range(120)))

    async def test_closed_while_it_waits(self) -> None:
        """Nothing is left of it; so when its caller gives up, or the time would be over by then."""
        _, client, _ = await self.begin_views()
        first, second = (client.call("later", 1_000, 5_000, idempotent=True) for _ in range(2))
        await until(lambda: len(client._connector._pauses) == 2)
        await self.fails(ResourceExhausted, client.call("later", 1_000, 50, idempotent=True))
        first.cancel()
        await self.fails(CancelledError, first)
        await client.close()
        await self.fails(Unavailable, second)

    async def test_the_server_does_not_wait_for_ever(self) -> None:
        """A view that takes too long is stopped, and whoever asks again hears that it was."""
        _, client, views = await self.begin_views(view_timeout=0.05)
        for _ in range(2):
            await self.fails(DeadlineExceeded, client.call("wait", 1, key="k"))
        self.assertEqual(views.ran, [1])

    async def test_stopped_and_not_to_be_stopped(self) -> None:
        """What a view that took too long answers all the same is what became of it, for whoever asks again."""
        _, client, views = await self.begin_views(view_timeout=0.05)
        await self.fails(DeadlineExceeded, client.call("stubborn", 1, 0.04, key="k"))
        self.assertEqual(await client.call("stubborn", 1, 5, key="k"), "in the end")
        self.assertEqual(views.ran, [1])

    async def test_an_answer_without_end(self) -> None:
        """A view that returns a coroutine that returns one, and so on, has failed, as it has without a key."""
        _, client, views = await self.begin_views()
        for key in (None, "k", "k"):
            await self.fails(Internal, client.call("endless", 1, key=key))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 2)
        self.assertEqual(views.ran, [1, 1])


class LostTests(RepeatsTestCase):
    """Connections that are lost before the answer."""

    async def test_asked_again(self) -> None:
        """By the client itself, and answered when the first run ends, on the new connection."""
        server, client, views = await self.begin_views()
        asked = client.call("wait", 1, idempotent=True)
        plain = client.call("wait", 2)
        await until(lambda: len(views.waiting) == 2)
        await self.cut(server, client)
        await self.fails(OutcomeUnknown, plain)
        self.assertNoResult(asked)
        views.waiting[0].callback("once")
        self.assertEqual(await asked, "once")
        self.assertEqual(views.ran, [1, 2])

    async def test_ended_meanwhile(self) -> None:
        """The run ended while the client was away: the answer waited for it."""
        server, client, views = await self.begin_views()
        asked = client.call("wait", 1, idempotent=True)
        await until(lambda: views.waiting)
        await self.cut(server, client, stay=True)
        views.waiting[0].callback("once")
        self.come_back(client)
        self.assertEqual(await asked, "once")
        self.assertEqual(views.ran, [1])

    async def test_nobody_comes_back(self) -> None:
        """When there is no connection in time the outcome is unknown, and not "nothing was done"."""
        server, client, views = await self.begin_views()
        asked = client.call("wait", 1, 0.2, idempotent=True)
        await until(lambda: views.waiting)
        await self.cut(server, client, stay=True)
        await self.fails(OutcomeUnknown, asked)

    async def test_the_server_forgot(self) -> None:
        """The session is another one, so nobody knows: the request is not made again, and the program is told."""
        server, client, views = await self.begin_views()
        asked = client.call("wait", 1, idempotent=True)
        await until(lambda: views.waiting)
        session = next(iter(self.peers(server))).session
        await self.cut(server, client, stay=True)
        await server.sessions.revoke(session)
        self.come_back(client)
        error = await self.fails(OutcomeUnknown, asked)
        self.assertIn("no longer remembers", error.text)
        self.assertEqual(views.ran, [1])

    async def test_a_login_is_carried_out_once(self) -> None:
        """The session changes under it, and what it began goes with it; so does a logout's."""
        server, client, views = await self.begin_views()
        for view in ("enter", "leave"):
            token = client.session.token
            asked = client.call(view, 1, idempotent=True)
            await until(lambda: client.session.token != token)  # noqa: B023
            await self.cut(server, client)
            views.waiting[-1].callback(view)
            self.assertEqual(await asked, view)
        self.assertEqual(views.ran, [1, 1])

    async def test_a_login_elsewhere(self) -> None:
        """Another connection moved the session: what this one had under way cannot be asked for there."""
        server, client, views = await self.begin_views()
        other = await self.client(server, None, session=client)
        asked = client.call("wait", 1, idempotent=True)
        await until(lambda: views.waiting)
        entering = other.call("enter", 2)
        await until(lambda: client.session.authenticated)
        await self.cut(server, client)
        await self.fails(OutcomeUnknown, asked)
        views.waiting[1].callback(None)
        await entering
        self.assertEqual(views.ran, [1, 2])

    async def test_what_a_session_had_before_a_login_is_forgotten(self) -> None:
        """Somebody may have planted the session, and answers in it: the user gets none of them."""
        _, client, views = await self.begin_views()
        await client.call("count", 1, key="k")
        entering = client.call("enter", 2)
        await until(lambda: client.session.authenticated)
        views.waiting[0].callback(None)
        await entering
        await client.call("count", 1, key="k")
        self.assertEqual(views.ran, [1, 2, 1])


class BoundTests(RepeatsTestCase):
    """How much is remembered, and for how long."""

    async def test_keys(self) -> None:
        """So many of a session; those that ended first go first."""
        _, client, views = await self.begin_views(repeat_keys=3)
        for number in (1, 2, 3, 4, 4, 3, 2):
            await client.call("count", number, key=str(number))
        self.assertEqual(views.ran, [1, 2, 3, 4])
        await client.call("count", 1, key="1")
        self.assertEqual(views.ran, [1, 2, 3, 4, 1])

    async def test_bytes(self) -> None:
        """The answer is forgotten before the key: it is not carried out again, and its asker is told why."""
        server, client, views = await self.begin_views(repeat_bytes=5_000)
        for number in range(5):
            await client.call("large", number, key=str(number))
        error = await self.fails(OutcomeUnknown, client.call("large", 0, key="0"))
        self.assertIn("was carried out", error.text)
        self.assertEqual(await client.call("large", 4, key="4"), "x" * 1_000)
        self.assertEqual(views.ran, list(range(5)))
        self.assertLessEqual(server._running().router.repeats.size, 5_000)

    async def test_bytes_of_all(self) -> None:
        """Answers go before keys, the oldest first: much asking makes no request run twice. Strangers are apart."""
        server, client, views = await self.begin_views(repeat_total=8_000)
        entering = client.call("enter")
        await until(lambda: client.session.authenticated)
        views.waiting[0].callback(None)
        await entering
        await client.call("large", "user", key="k")
        strangers = [await self.client(server, None) for _ in range(10)]
        for number, stranger in enumerate(strangers):
            await stranger.call("large", number, key="k")
        await client.call("large", "user", key="k")
        await strangers[9].call("large", 9, key="k")
        await self.fails(OutcomeUnknown, strangers[0].call("large", 0, key="k"))
        self.assertEqual(views.ran[1:], ["user", *range(10)])
        self.assertLessEqual(server._running().router.repeats.size, 8_000 + 1_600)
        for number in range(10, 30):
            await strangers[9].call("large", number, key=str(number))
        await strangers[0].call("large", 0, key="k")
        self.assertEqual(views.ran[-1], 0)
        self.assertLessEqual(server._running().router.repeats.size, 8_000 + 1_600)

    async def test_errors_with_much_in_them(self) -> None:
        """What an error says is counted like an answer, and forgotten like one."""
        server, client, views = await self.begin_views(repeat_bytes=7_000)
        for number in range(9):
            await self.fails(NotFound, client.call("refuse", number, key=str(number)))
        await self.fails(OutcomeUnknown, client.call("refuse", 0, key="0"))
        error = await self.fails(NotFound, client.call("refuse", 8, key="8"))
        self.assertEqual(error.details, {"much": "x" * 1_000})
        self.assertEqual(views.ran, list(range(9)))
        self.assertLessEqual(server._running().router.repeats.size, 7_000)

    async def test_repeats_that_are_given_up(self) -> None:
        """Whoever repeats what is under way and gives up, over and over, leaves nothing behind."""
        server, client, views = await self.begin_views()
        first = client.call("wait", 1, key="k")
        await until(lambda: views.waiting)
        peer = next(iter(self.peers(server)))
        for _ in range(50):
            repeat = client.call("wait", 1, key="k")
            await until(lambda: len(peer.conversation.answering) == 2)
            repeat.addErrback(lambda _: None).cancel()
            await until(lambda: len(peer.conversation.answering) == 1)
        (keyed,) = peer.session.answers.keyed.values()
        self.assertEqual(len(keyed.waiting), 0)
        views.waiting[0].callback("once")
        self.assertEqual(await first, "once")
        self.assertEqual(views.ran, [1])

    async def test_time(self) -> None:
        """Afterwards the key is as good as new."""
        _, client, views = await self.begin_views(repeat_time=0.01)
        await client.call("count", 1, key="k")
        while len(views.ran) < 2:
            await client.call("count", 1, key="k")

    async def test_an_ended_session_gives_nothing(self) -> None:
        """Whoever was thrown out, by another process, does not get a stored answer any more."""
        server, client, views = await self.begin_views(session_freshness=1e-6)
        entering = client.call("enter")
        await until(lambda: client.session.authenticated)
        views.waiting[0].callback(None)
        await entering
        await client.call("count", 1, key="k")
        record = (await server.sessions.list_user(1))[0]
        await server.sessions._persistent.delete(record.key)
        await self.fails(Exception, client.call("count", 1, key="k"))
        self.assertEqual(views.ran, [None, 1])

    async def test_sessions_leave_nothing(self) -> None:
        """What a client had is gone when it says goodbye, or was not expected any more."""
        server, client, _ = await self.begin_views(outbox_time=0.05)
        second = await self.client(server, None)
        for each in (client, second):
            await each.call("large", 1, key="k")
        repeats, keeping = server._running().router.repeats, server._running().foundation.keeping
        await client.close()
        await until(lambda: len(self.peers(server)) == 1)
        before = repeats.size
        self.assertLess(before, 2_000)
        await self.cut(server, second, stay=True)
        await until(lambda: keeping.away == 0)
        self.assertEqual(repeats.size, 0)
        self.come_back(second)
        await second.when_connected()
        self.assertFalse(second.recovered)

    async def test_the_command_is_checked(self) -> None:
        """As any other: a key is text of some bytes."""
        _, client, _ = await self.begin_views()
        peer = client._connector.current.peer  # type: ignore[union-attr]
        with self.assertRaises(InvalidPayload):
            await peer.ask(CallOnce, {"view": "count", "payload": 1, "key": ""})
