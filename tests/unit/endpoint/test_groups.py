"""Groups over real connections: who is in them, and what reaches whom."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from serving import Person, ServingTestCase, Wire
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from fluxon.connect import ConnectionInterface, connect
from fluxon.console.actions import ACTIONS
from fluxon.console.console import Console
from fluxon.endpoint import AsyncServer
from fluxon.errors import InvalidPayload, ResourceExhausted, Unavailable, Unserialisable
from fluxon.routing import Request
from fluxon.wire.messages import write_tell
from fluxon.workers import WorkerPool


async def join(request: Request) -> Any:
    return await request.server.groups.join(request.payload, request)


async def join_as_user(request: Request) -> Any:
    return await request.server.groups.join(request.payload, request.user)


async def leave(request: Request) -> Any:
    return await request.server.groups.leave(request.payload, request)


async def say(request: Request) -> Any:
    told = await request.server.groups.send("room", "told", request.payload, exclude=request)
    return counts(told)


def say_in_a_thread(request: Request) -> Any:
    groups = request.server.groups
    groups.join("room", request)
    members = [each.online for each in groups.members("room")]
    return [members, groups.of(request), counts(groups.send("room", "told", request.payload, exclude=[request]))]


async def shout(request: Request) -> int:
    told = await request.server.broadcast("told", request.payload)
    return int(told.count("handled"))


async def login(request: Request) -> None:
    await request.login(request.payload)


async def logout(request: Request) -> None:
    await request.logout()


VIEWS = (join, join_as_user, leave, say, say_in_a_thread, shout, login, logout)


def counts(told: Any) -> dict[str, int]:
    """How many of each state, and no state that nobody has."""
    return dict(Counter(each.state for each in told.results))


class GroupsTestCase(ServingTestCase):
    """A server with two users, and clients that note what they are told."""

    async def people(self, **keywords: Any) -> AsyncServer:
        server = await self.serve(*VIEWS, users=True, **keywords)
        for name in ("ann", "bob"):
            await Person.Insert(username=name, password="x")
        return server

    async def listener(self, server: AsyncServer, token: str | None = None) -> Wire:
        wire = await self.wire(server, token)
        wire.functions["told"] = lambda payload: wire.events.append(("told", payload))
        return wire

    async def gone(self, server: AsyncServer, wire: Wire) -> None:
        """It is, and the server knows."""
        peers = server._running().listener.factory.peers
        count = len(peers)
        await wire.abort()
        await self.until(lambda: len(peers) < count)

    async def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            await deferLater(reactor, 0)

    def told(self, wire: Wire) -> list[Any]:
        return [value for kind, value in wire.events if kind == "told"]


class JoiningTests(GroupsTestCase):
    """Who is in a group, and for how long."""

    async def test_by_view(self) -> None:
        """A view puts its client in and takes it out; whoever is in hears what is sent, nobody else does."""
        server = await self.people()
        ann, bob, eve = [await self.listener(server) for _ in range(3)]
        for wire in (ann, bob):
            self.assertIs(await wire.call("join", "room"), True)
        self.assertIs(await bob.call("join", "room"), False)
        self.assertEqual(await eve.call("say", 1), {"handled": 2})
        self.assertEqual(await ann.call("say", 2), {"handled": 1})
        self.assertIs(await bob.call("leave", "room"), True)
        self.assertIs(await bob.call("leave", "room"), False)
        self.assertEqual(await eve.call("say", 3), {"handled": 1})
        self.assertEqual((self.told(ann), self.told(bob), self.told(eve)), ([1, 3], [1, 2], []))
        self.assertEqual(await server.groups.close("room"), 1)
        self.assertEqual(await eve.call("say", 4), {})
        self.assertEqual(await server.groups.names(), {})

    async def test_in_a_thread(self) -> None:
        """A plain view's calls block and give results; so do those of any other thread."""
        server = await self.people()
        ann, bob = await self.listener(server), await self.listener(server)
        await ann.call("join", "room")
        answer = await bob.call("say_in_a_thread", 1)
        self.assertEqual(answer, [[True, True], ["room"], {"handled": 1}])
        told = await deferToThread(server.broadcast, "told", 2)
        self.assertEqual(counts(told), {"handled": 2})
        self.assertEqual((self.told(ann), self.told(bob)), ([1, 2], [2]))

    async def test_users(self) -> None:
        """A user is a member on every device, those that come later too; a session and its user hear a thing once."""
        server = await self.people()
        phone, laptop = await self.listener(server), await self.listener(server)
        await server.groups.join("room", 1)
        told = await server.groups.send("room", "told", 0)
        self.assertEqual((counts(told), bool(told)), ({"offline": 1}, False))
        await phone.call("login", 1)
        await laptop.call("login", 1)
        await laptop.call("join", "room")
        told = await server.groups.send("room", "told", 1)
        self.assertEqual((counts(told), bool(told)), ({"handled": 2}, True))
        members = await server.groups.members("room")
        self.assertEqual([(each.user_id, each.user.username, each.online) for each in members], [(1, "ann", True)] * 2)
        self.assertEqual([each.session is None for each in members], [True, False])
        self.assertEqual(await server.groups.of(1), ["room"])
        await server.groups.leave("room", 1)
        await server.groups.send("room", "told", 2)
        self.assertEqual((self.told(phone), self.told(laptop)), ([1], [1, 2]))

    async def test_a_login_keeps_the_places(self) -> None:
        """Whoever joined as a stranger and logs in is still there; a logout, and a login as somebody else, end that."""
        server = await self.people()
        ann = await self.listener(server)
        await ann.call("join", "room")
        await ann.call("login", 1)
        await server.groups.send("room", "told", 1)
        await ann.call("login", 1)
        await server.groups.send("room", "told", 2)
        await ann.call("login", 2)
        self.assertEqual(counts(await server.groups.send("room", "told", 3)), {})
        await ann.call("join", "room")
        await ann.call("logout")
        self.assertEqual(counts(await server.groups.send("room", "told", 4)), {})
        self.assertEqual(self.told(ann), [1, 2])

    async def test_the_end_of_a_session(self) -> None:
        """Whoever is thrown out hears nothing more, at once; whom another process threw out, when it is looked at."""
        server = await self.people(limits={"group_freshness": 1e-6, "session_freshness": 1e-6})
        ann, bob = await self.listener(server), await self.listener(server)
        for number, wire in enumerate((ann, bob), 1):
            await wire.call("login", number)
            await wire.call("join", "room")
        await server.sessions.revoke_user(1)
        record = (await server.sessions.list_user(2))[0]
        await server.sessions._persistent.delete(record.key)  # as another process would
        told = await server.groups.send("room", "told", 1)
        self.assertEqual(counts(told), {"offline": 1})
        self.assertEqual(counts(await server.groups.send("room", "told", 2)), {})
        self.assertEqual((self.told(ann), self.told(bob)), ([], []))

    async def test_reconnecting(self) -> None:
        """A client that comes back with its token is where it was."""
        server = await self.people()
        ann, bob = await self.listener(server), await self.listener(server)
        for wire in (ann, bob):
            await wire.call("join", "room")
        await self.gone(server, ann)
        self.assertEqual(counts(await server.groups.send("room", "told", 1)), {"handled": 1, "offline": 1})
        back = await self.listener(server, ann.token)
        self.assertEqual(counts(await server.groups.send("room", "told", 2)), {"handled": 2})
        self.assertEqual((self.told(back), server.groups.places), ([2], 2))

    async def test_staying_away(self) -> None:
        """A client that does not come back in time has left; those who are there have not."""
        server = await self.people(limits={"group_away": 0.05})
        ann, bob = await self.listener(server), await self.listener(server)
        for wire in (ann, bob):
            await wire.call("join", "room")
        await self.gone(server, bob)
        await self.until(lambda: server.groups.places < 2)
        self.assertEqual(counts(await server.groups.send("room", "told", 1)), {"handled": 1})
        self.assertEqual(self.told(ann), [1])

    async def test_what_cannot_be(self) -> None:
        """Wrong names, members and payloads are the caller's mistake; bounds have an error; a client must be there."""
        server = await self.people(limits={"groups_per_member": 2, "frame_to_client": 1_000})
        groups = server.groups
        for name in ("", "x" * 256, 3, None):
            await self.fails(InvalidPayload, groups.join(name, 1))  # type: ignore[arg-type]
            await self.fails(InvalidPayload, groups.send(name, "told"))  # type: ignore[arg-type]
            await self.fails(InvalidPayload, groups.send("room", name))  # type: ignore[arg-type]
        for member in ("1", True, None, 1.0):
            await self.fails(InvalidPayload, groups.join("room", member))
        await self.fails(Unserialisable, groups.send("room", "told", object()))
        await self.fails(ResourceExhausted, groups.send("room", "told", "x" * 2_000))
        for timeout in (0, -1, "1"):
            await self.fails(InvalidPayload, groups.send("room", "told", timeout=timeout))  # type: ignore[arg-type]
        await groups.join("a", 1)
        await groups.join("b", 1)
        await self.fails(ResourceExhausted, groups.join("c", 1))
        ann = await self.listener(server)
        (session,) = await server.online.sessions()
        await self.gone(server, ann)
        await self.fails(Unavailable, groups.join("room", session))


class SendingTests(GroupsTestCase):
    """What becomes of what is sent."""

    async def test_broadcast(self) -> None:
        """Everybody who is connected, strangers included, but for those who are left out."""
        server = await self.people()
        wires = [await self.listener(server) for _ in range(3)]
        await wires[0].call("login", 1)
        told = await server.broadcast("told", {"a": 1})
        self.assertEqual(counts(told), {"handled": 3})
        await server.broadcast("told", 2, exclude=1)
        self.assertEqual([self.told(each) for each in wires], [[{"a": 1}], [{"a": 1}, 2], [{"a": 1}, 2]])

    async def test_outcomes(self) -> None:
        """Handled, failed, away, and too slow are told apart; nobody waits for the slow one but the result."""
        server = await self.people()
        good, bad, slow, gone = [await self.listener(server) for _ in range(4)]
        del bad.functions["told"]
        never: Deferred[None] = Deferred()
        slow.functions["told"] = lambda payload: never
        for wire in (slow, good, bad, gone):
            await wire.call("join", "room")
        await self.gone(server, gone)
        sending = server.groups.send("room", "told", 1, timeout=0.5)
        await self.until(lambda: self.told(good))
        told = await sending
        self.assertEqual(counts(told), {"handled": 1, "failed": 1, "timeout": 1, "offline": 1})
        self.assertTrue(told)
        # It is told that nobody waits any more.
        await self.until(lambda: never.called)

    async def test_unacknowledged(self) -> None:
        """Who does not want to know waits for nobody."""
        server = await self.people()
        ann = await self.listener(server)
        ann.functions["told"] = lambda payload: Deferred()
        told = await server.broadcast("told", 1, acknowledge=False, timeout=0.01)
        self.assertEqual(counts(told), {"sent": 1})

    async def test_told(self) -> None:
        """Clients that can be told are not asked: they answer nothing, whatever becomes of it; others are asked."""
        server = await self.people()
        old = await self.listener(server)
        client = await connect(reactor, self.place_of(server))
        self.addCleanup(client.close)
        heard: list[Any] = []

        async def hear(text: Any) -> Any:
            heard.append(text)
            if text == "wrong":
                raise ValueError("a function that nobody waits for")
            return text

        client.reverse_request_mapping({"told": hear})
        for text in ("first", "wrong", "last"):
            told = await server.broadcast("told", text, acknowledge=False)
            self.assertEqual(counts(told), {"sent": 2})
        await server.broadcast("untold", acknowledge=False)
        new = [peer for peer in server._running().listener.factory.peers if peer.conversation.may_tell]
        self.assertEqual([list(each.conversation.asked) for each in new], [[]])
        # Behind what it was told.
        self.assertEqual(counts(await server.broadcast("told", "asked")), {"handled": 2})
        self.assertEqual(heard, ["first", "wrong", "last", "asked"])
        await self.until(lambda: len(self.told(old)) == 4)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_blocking_clients_are_told(self) -> None:
        """In order with what they are asked; one that fails is a line in the log."""
        server = await self.start(self.setup_of(*VIEWS))
        port = server.listening_port.getHost().port
        heard: SimpleQueue[Any] = SimpleQueue()

        def hear(text: Any) -> None:
            heard.put(text)
            if text == "wrong":
                raise ValueError("a function that nobody waits for")

        client = ConnectionInterface(port=port)
        self.addCleanup(deferToThread, client.close)
        client.reverse_request_mapping({"told": hear})
        await deferToThread(client.send_request, "join", "room")
        for text in ("first", "wrong", "last"):
            told = await server.groups.send("room", "told", text, acknowledge=False)
            self.assertEqual(counts(told), {"sent": 1})
        self.assertEqual(counts(await server.groups.send("room", "told", "asked")), {"handled": 1})
        self.assertEqual([heard.get(timeout=20) for _ in range(4)], ["first", "wrong", "last", "asked"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_a_client_tells_nothing(self) -> None:
        """It is the end of its connection, whatever it named in its hello."""
        server = await self.people()
        wire = await self.wire(server, greet=False)
        await wire.hello(features=("tell",))
        wire.peer.protocol.transport.write(write_tell("call", {"view": "join", "payload": "room"}, {}))
        await wire.lost
        self.assertEqual(await server.groups.names(), {})

    async def test_blocking_clients(self) -> None:
        """Clients that block take part as all others do, and hear while they wait for an answer of their own."""
        server = await self.start(self.setup_of(*VIEWS))
        port = server.listening_port.getHost().port

        def talk() -> tuple[Any, list[str]]:
            heard: SimpleQueue[str] = SimpleQueue()
            with ConnectionInterface(port=port) as ann, ConnectionInterface(port=port) as bob:
                ann.reverse_request_mapping({"told": lambda text: heard.put(f"ann {text}")})
                bob.reverse_request_mapping({"told": lambda text: heard.put(f"bob {text}")})
                ann.send_request("join", "room")
                bob.send_request("join", "room")
                answer = ann.send_request("say", {"text": "hello"})
                told = bob.send_request("shout", {"text": "all"})
                return (answer, told), sorted(heard.get(timeout=20) for _ in range(3))

        answers, heard = await deferToThread(talk)
        self.assertEqual(answers, ({"handled": 1}, 2))
        self.assertEqual(heard, ["ann all", "bob all", "bob hello"])

    async def test_order(self) -> None:
        """What is sent to a group arrives in its order, however much of it is on its way at once."""
        server = await self.people(limits={"session_freshness": 1e-6, "group_freshness": 1e-6})
        ann, bob = await self.listener(server), await self.listener(server)
        # One of them has to be looked up for each.
        await bob.call("login", 1)
        for wire in (ann, bob):
            await wire.call("join", "room")
        await gatherResults([server.groups.send("room", "told", number) for number in range(50)])
        self.assertEqual((self.told(ann), self.told(bob)), (list(range(50)), list(range(50))))

    async def test_one_who_gives_up(self) -> None:
        """A caller that is cancelled stops waiting; everybody is sent it all the same."""
        server = await self.people()
        ann = await self.listener(server)
        sending = server.broadcast("told", 1)
        sending.addErrback(lambda _: None)
        sending.cancel()
        await self.until(lambda: self.told(ann))

    async def test_a_connection_that_is_lost_meanwhile(self) -> None:
        """One that went without answering is neither waited for nor counted as having heard."""
        server = await self.people()
        ann = await self.listener(server)
        ann.functions["told"] = lambda payload: ann.abort()
        told = await server.broadcast("told", 1)
        self.assertEqual(counts(told), {"timeout": 1})


class Said:
    """A console's sink."""

    width: int | None = None
    has_room = True

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []

    def write(self, lines: list[str]) -> None:
        self.lines += lines

    def complain(self, line: str) -> None:
        self.errors.append(line)


class ConsoleTests(GroupsTestCase):
    """What an operator sees."""

    async def test_groups(self) -> None:
        """All of them, the largest first, and the members of one; how full their limit is."""
        server = await self.people()
        said = Said()
        console = Console(server.served, "emma", WorkerPool("console", 1, reactor), ACTIONS)  # type: ignore[arg-type]
        await console.run("groups", said)
        ann, bob = await self.listener(server), await self.listener(server)
        await ann.call("login", 1)
        for wire in (ann, bob):
            await wire.call("join", "room")
        await server.groups.join("room", 2)
        await server.groups.join("other", 2)
        for line in ("groups --json", "groups room --json", "groups nowhere --json", "status --json"):
            await console.run(line, said)
        self.assertEqual(said.errors, [])
        self.assertIn("there are no groups", said.lines[0])
        names, members, nobody, status = [json.loads(each) for each in said.lines[1:]]
        self.assertEqual(names, [{"group": "room", "members": 3}, {"group": "other", "members": 1}])
        self.assertEqual(
            [(each["id"], each["user"], each["online"]) for each in members],
            [(1, "ann", True), (None, None, True), (2, None, False)],
        )
        self.assertEqual(nobody, [])
        used = {each["limit"]: each["used"] for each in status["limits"]}
        self.assertEqual(used["group_places"], 4)
