"""What a view learns of its request, and logins whose outcome it takes care of by callbacks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from serving import Person, ServingTestCase
from twisted.internet.defer import Deferred

from fluxon.errors import NotFound
from fluxon.routing import Request


class RequestTests(ServingTestCase):
    """Facts about who asks, from where, and when."""

    async def test_the_connection(self) -> None:
        """Requests of one connection have equal ones, which say where the client is and whether it is still there."""
        kept: list[Request] = []
        left: Deferred[Any] = Deferred()

        async def keep(request: Request) -> None:
            kept.append(request)

        async def note(event: Any) -> None:
            if not left.called:  # the other client leaves when the test is over
                left.callback(event)

        server = await self.serve(keep, sockets=True, on_disconnect=note)
        one, other = await self.wire(server), await self.wire(server)
        for wire in (one, one, other):
            await wire.call("keep")
        first, again, of_the_other = (each.connection for each in kept)
        self.assertEqual(first, again)
        self.assertNotEqual(first, of_the_other)
        self.assertNotEqual(first, kept[0])
        self.assertEqual(len({first, again, of_the_other}), 2)
        here = one.peer.protocol.transport.getHost()
        self.assertEqual(first.peername, (here.host, here.port))
        self.assertIn(str(here.port), repr(kept[0]))
        self.assertEqual((first.closed, of_the_other.closed), (False, False))
        first.close()
        await one.lost
        await left
        self.assertEqual((first.closed, of_the_other.closed), (True, False))

    async def test_when_it_arrived(self) -> None:
        """In UTC, and with the zone: it compares with other moments, whatever this machine's zone is."""
        moments: list[datetime] = []

        async def when(request: Request) -> None:
            moments.append(request.timestamp)

        server = await self.serve(when)
        before = datetime.now(UTC)
        await (await self.wire(server)).call("when")
        self.assertTrue(before - timedelta(seconds=1) <= moments[0] <= datetime.now(UTC) + timedelta(seconds=1))


#: Ways to say what becomes of a login, by name.
WAYS: dict[str, Callable[[Any, Callable[[Any], None]], Any]] = {
    "errback": lambda login, note: login.addErrback(note),
    "both": lambda login, note: login.addBoth(note),
    "callbacks": lambda login, note: login.addCallbacks(note, note),
    "callback, then errback": lambda login, note: login.addCallback(note).addErrback(note),
}


class CallbackTests(ServingTestCase):
    """Logins with callbacks are the view's own business; its answer waits for them all the same."""

    async def test_outcomes_that_are_taken(self) -> None:
        """A failure that a callback takes is not the answer's, and is known before the answer leaves."""
        heard: list[Any] = []

        async def enter(request: Request) -> str:
            way, user_id = request.payload
            WAYS[way](request.login(user_id), heard.append)
            return "answered"

        async def who(request: Request) -> Any:
            return None if request.user is None else request.user.username

        server = await self.serve(enter, who, users=True)
        await Person.Insert(username="ann", password="x")
        for way in WAYS:
            wire = await self.wire(server)
            self.assertEqual(await wire.call("enter", [way, 404]), "answered")
            self.assertEqual([each.type for each in heard], [NotFound], way)
            self.assertIsNone(await wire.call("who"))
            heard.clear()
            self.assertEqual(await wire.call("enter", [way, 1]), "answered")
            self.assertEqual(heard, [] if way == "errback" else [None], way)
            self.assertEqual(await wire.call("who"), "ann")
            heard.clear()
