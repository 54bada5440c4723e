"""Calls from the server into its clients, by user."""

from __future__ import annotations

from typing import Any

from serving import Person, ServingTestCase
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from fluxon.errors import DeadlineExceeded, InvalidPayload, NotFound, ResourceExhausted, Unavailable, Unserialisable
from fluxon.routing import Request


async def echo(request: Request) -> Any:
    return request.payload


class ReverseTests(ServingTestCase):
    """Calls from the server by user."""

    async def test_by_user(self) -> None:
        """True when one of the user's clients took it, False when none did or none is there."""

        async def login(request: Request) -> None:
            await request.login(request.payload)

        server = await self.serve(login, users=True)
        await Person.Insert(username="ann", password="x")
        self.assertFalse(await server.reverse_request(1, "told", 1))
        phone, laptop = await self.wire(server), await self.wire(server)
        await phone.call("login", 1)
        await laptop.call("login", 1)
        self.assertFalse(await server.reverse_request(1, "told", 1))
        laptop.functions["told"] = lambda payload: payload
        self.assertTrue(await server.reverse_request(1, "told", {"a": 1}))
        self.assertEqual([each[1] for each in phone.events if each[0] == "called"], ["told", "told"])
        self.assertEqual(await server.call_client(1, "told", 5), 5)
        await laptop.abort()
        self.assertFalse(await server.reverse_request(1, "told", 1))

    async def test_one_answer(self) -> None:
        """The first client that answers is the one; where none can, the caller hears what one of them said."""

        async def login(request: Request) -> None:
            await request.login(request.payload)

        server = await self.serve(login, users=True)
        await Person.Insert(username="ann", password="x")
        phone, laptop = await self.wire(server), await self.wire(server)
        for each in (phone, laptop):
            await each.call("login", 1)
        error = await self.fails(NotFound, server.call_client(1, "told", 5))
        self.assertEqual(error.text, "no such function")
        laptop.functions["told"] = lambda payload: payload
        self.assertEqual(await server.call_client(1, "told", 5), 5)

    async def test_never_hangs(self) -> None:
        """A client that does not answer is False after the timeout; a caller who gives up is not waited for."""

        async def login(request: Request) -> None:
            await request.login(request.payload)

        server = await self.serve(login, users=True, limits={"reverse_timeout": 0.1})
        await Person.Insert(username="ann", password="x")
        ann = await self.wire(server)
        await ann.call("login", 1)
        ann.functions["told"] = lambda payload: Deferred()
        self.assertFalse(await server.reverse_request(1, "told"))
        self.assertFalse(await server.reverse_request(1, "told", timeout=0.05))

    async def test_results(self) -> None:
        """One for each client: the session it is of, what became of it, what the function returned or why not."""

        async def login(request: Request) -> str:
            await request.login(request.payload)
            return request.sessionid

        async def tell(request: Request) -> Any:
            return await request.server.reverse_request(1, "told", 5)

        server = await self.serve(login, tell, users=True, limits={"reverse_timeout": 0.2})
        await Person.Insert(username="ann", password="x")
        names = []
        wires = [await self.wire(server) for _ in range(3)]
        for each in wires:
            names.append(await each.call("login", 1))
        phone, laptop, desk = wires
        phone.functions["told"] = lambda payload: payload * 2
        laptop.functions["told"] = lambda payload: Deferred()
        delivery = await server.reverse_request(1, "told", 5)
        found = {each.session: each for each in delivery}
        self.assertEqual([found[name].state for name in names], ["handled", "timeout", "failed"])
        self.assertEqual(found[names[0]].value, 10)
        self.assertIsInstance(found[names[1]].error, DeadlineExceeded)
        self.assertIsInstance(found[names[2]].error, NotFound)
        self.assertEqual({each.user_id for each in delivery.results}, {1})
        self.assertTrue(delivery)
        self.assertEqual(delivery.count("handled"), 1)
        self.assertIs(await desk.call("tell"), True)
        await phone.abort()
        self.assertIs(await desk.call("tell"), False)

    async def test_the_others_have_a_moment(self) -> None:
        """When one has acknowledged, one that hangs holds nobody up; a timeout that the caller sets holds for all."""

        async def login(request: Request) -> None:
            await request.login(request.payload)

        server = await self.serve(login, users=True, limits={"reverse_timeout": 600, "reverse_rest": 0.01})
        await Person.Insert(username="ann", password="x")
        phone, laptop = await self.wire(server), await self.wire(server)
        await phone.call("login", 1)
        await laptop.call("login", 1)
        late: Deferred[None] = Deferred()
        phone.functions["told"] = lambda payload: None
        laptop.functions["told"] = lambda payload: late
        delivery = await server.reverse_request(1, "told")
        self.assertEqual(sorted(each.state for each in delivery), ["handled", "timeout"])
        self.assertFalse(late.called)
        waiting = server.reverse_request(1, "told", timeout=600)
        for each in (phone, laptop):
            while len([event for event in each.events if event[0] == "called"]) < 2:
                await deferLater(reactor, 0.001)
        self.assertNoResult(waiting)
        late.callback(None)
        self.assertEqual([each.state for each in await waiting], ["handled", "handled"])

    async def test_what_can_never_be_sent(self) -> None:
        """Bad values, names and users raise, whether anybody is there or not: it is the caller's mistake."""
        server = await self.serve(echo, limits={"frame_to_client": 1_000})
        await self.fails(Unserialisable, server.reverse_request(1, "told", object()))
        await self.fails(ResourceExhausted, server.reverse_request(1, "told", "x" * 2_000))
        for name in ("", "x" * 256, 3, None):
            await self.fails(InvalidPayload, server.reverse_request(1, name))  # type: ignore[arg-type]
        for user in ("1", True, None, 1.0):
            await self.fails(InvalidPayload, server.reverse_request(user, "told"))
        await self.fails(Unavailable, server.call_client(1, "told"))

    async def test_a_revoked_user_hears_nothing(self) -> None:
        """Sessions are looked at before they are called: who was thrown out elsewhere is not told any more."""

        async def login(request: Request) -> None:
            await request.login(request.payload)

        server = await self.serve(login, users=True, limits={"session_freshness": 1e-6})
        await Person.Insert(username="ann", password="x")
        ann = await self.wire(server)
        await ann.call("login", 1)
        ann.functions["told"] = lambda payload: None
        self.assertTrue(await server.reverse_request(1, "told"))
        record = (await server.sessions.list_user(1))[0]
        await server.sessions._persistent.delete(record.key)  # as another process would
        self.assertFalse(await server.reverse_request(1, "told"))
        self.assertEqual(len([each for each in ann.events if each[0] == "called"]), 1)

    async def test_an_answer_is_not_taken_for_a_call(self) -> None:
        """A call into a client that is waiting for its own answer: both arrive, neither is taken for the other."""

        async def ask_back(request: Request) -> Any:
            return [await request.connection.send("told", number) for number in range(5)]

        server = await self.serve(ask_back, echo)
        wire = await self.wire(server)
        token = wire.token
        wire.functions["told"] = lambda payload: {"session": "x", "token": "y", "n": payload}
        asked = [wire.ask("ask_back"), wire.ask("echo", "receive_message|hello")]
        self.assertEqual([each["n"] for each in await asked[0]], list(range(5)))
        self.assertEqual(await asked[1], "receive_message|hello")
        self.assertEqual(wire.token, token)
