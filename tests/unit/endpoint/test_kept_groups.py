"""What is kept for the members of groups, and for everybody: whom it reaches, in what order, and how much of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from serving import Person
from test_keeping import KeepingTestCase, echo, login, until
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from fluxon.connect import Client, ConnectionInterface
from fluxon.endpoint import AsyncServer
from fluxon.errors import InvalidPayload, ResourceExhausted
from fluxon.routing import Request


async def join(request: Request) -> Any:
    return await request.server.groups.join("room", request)


async def join_as_user(request: Request) -> Any:
    return await request.server.groups.join("room", request.user)


def counts(told: Any) -> dict[str, int]:
    """How many of each state."""
    return dict(Counter(each.state for each in told))


class KeptGroupsTestCase(KeepingTestCase):
    """A server with two users, and members of its one group."""

    async def people(self, **keywords: Any) -> AsyncServer:
        server = await self.serve(login, echo, join, join_as_user, users=True, **keywords)
        for name in ("ann", "bob"):
            await Person.Insert(username=name, password="x")
        return server

    async def member(self, server: AsyncServer, user: int | None = None, view: str = "join") -> Any:
        """A client that is one, and notes what it is told."""
        client = await self.client(server, user)
        await client.call(view)
        return client

    async def back(self, *clients: Client) -> None:
        for each in clients:
            self.come_back(each)
        await until(lambda: all(each._connector.current for each in clients))

    def keeping(self, server: AsyncServer) -> Any:
        return server._running().foundation.keeping


class MembersTests(KeptGroupsTestCase):
    """Who gets it."""

    async def test_away(self) -> None:
        """Users, strangers and users' devices that lost a real connection hear all of it, once and in order."""
        server = await self.people(sockets=True)
        ann, stranger = await self.member(server, 1), await self.member(server)
        bob, here = await self.member(server, 2, "join_as_user"), await self.member(server)
        away = (ann, stranger, bob)
        for each in away:
            await self.cut(server, each, stay=True)
        for number in range(100):
            told = await server.groups.send("room", "note", number, keep=60)
            self.assertEqual(counts(told), {"queued": 3, "handled": 1})
        self.assertEqual(counts(await server.groups.send("room", "note", "lost")), {"offline": 3, "handled": 1})
        await self.back(*away)
        await until(lambda: all(len(each.notes) == 100 for each in away))
        for each in away:
            self.assertEqual(each.notes, list(range(100)))
            self.assertTrue(each.recovered)
        self.assertEqual(here.notes, [*range(100), "lost"])
        await until(lambda: not self.keeping(server).kept)

    async def test_thrown_out_elsewhere(self) -> None:
        """A user whom another process has just logged out is away for good: nothing is kept, and it is said so."""
        server = await self.people(limits={"group_freshness": 1e-6, "session_freshness": 1e-6})
        ann, here = await self.member(server, 1, "join_as_user"), await self.member(server)
        (record,) = await server.sessions.list_user(1)
        await server.sessions._persistent.delete(record.key)
        told = await server.groups.send("room", "note", 1, keep=60)
        self.assertEqual(counts(told), {"offline": 1, "handled": 1})
        self.assertEqual([each.user_id for each in told if each.state == "offline"], [1])
        self.assertEqual((ann.notes, here.notes, self.keeping(server).kept), ([], [1], 0))

    async def test_cut_off_meanwhile(self) -> None:
        """What was on its way is sent again, and carried out once; the sender hears "queued"."""
        server = await self.people()
        client = await self.member(server)
        sent = [server.groups.send("room", "note", number, keep=60, timeout=50) for number in range(50)]
        await self.cut(server, client)
        outcomes = [counts(each) for each in await gatherResults(sent)]
        self.assertEqual({state for each in outcomes for state in each} - {"queued", "handled"}, set())
        await until(lambda: len(client.notes) == 50)
        self.assertEqual(client.notes, list(range(50)))

    async def test_everybody(self) -> None:
        """A broadcast waits for users and for members of groups; whoever closed, or left for good, is not there."""
        server = await self.people()
        user, stranger = await self.client(server, 1), await self.client(server, None)
        member, closed = await self.member(server), await self.member(server, 2)
        await closed.close()
        for each in (user, member, stranger):
            await self.cut(server, each, stay=True)
        self.assertEqual(counts(await server.broadcast("note", 1, keep=60)), {"queued": 2})
        await self.back(user, member, stranger)
        await until(lambda: user.notes and member.notes)
        self.assertEqual(counts(await server.broadcast("note", 2, keep=60, exclude=1)), {"handled": 2})
        self.assertEqual([each.notes for each in (user, member, stranger)], [[1], [1, 2], [2]])

    async def test_both_ways(self) -> None:
        """A client that is a member by its session and by its user has it once; one that is excluded not at all."""
        server = await self.people()
        ann, bob = await self.member(server, 1), await self.member(server, 2)
        await ann.call("join_as_user")
        await self.cut(server, ann, stay=True)
        await self.cut(server, bob, stay=True)
        self.assertEqual(counts(await server.groups.send("room", "note", 1, keep=60, exclude=2)), {"queued": 1})
        await self.back(ann, bob)
        await until(lambda: ann.notes)
        self.assertEqual((ann.notes, bob.notes), ([1], []))

    async def test_nobody_waits(self) -> None:
        """Without ``acknowledge`` it is "queued" for everybody at once; after ``timeout`` for who has not answered."""
        server = await self.people()
        client = await self.member(server)
        told = await server.groups.send("room", "note", 1, keep=60, acknowledge=False)
        self.assertEqual((counts(told), client.notes), ({"queued": 1}, []))
        slow: Deferred[None] = Deferred()
        client.reverse_request_mapping({"slow": lambda _: slow})
        told = await server.groups.send("room", "slow", 2, keep=60, timeout=0.01)
        self.assertEqual(counts(told), {"queued": 1})
        slow.callback(None)
        await until(lambda: not self.keeping(server).kept)
        self.assertEqual(client.notes, [1])

    async def test_its_time(self) -> None:
        """What was kept long enough is dropped for all, and each is told that something is missing."""
        server = await self.people()
        clients = [await self.member(server) for _ in range(3)]
        for each in clients:
            await self.cut(server, each, stay=True)
        await server.groups.send("room", "note", 1, keep=0.01)
        await until(lambda: not self.keeping(server).kept)
        await server.groups.send("room", "note", 2, keep=60)
        await self.back(*clients)
        await until(lambda: all(each.notes for each in clients))
        self.assertEqual({(each.notes[0], each.recovered) for each in clients}, {(2, False)})

    async def test_blocking_client(self) -> None:
        """The same for one in threads."""
        server = await self.people(sockets=True)
        port = server.listening_port.getHost().port
        client = ConnectionInterface("127.0.0.1", port, random=lambda: 0.0)
        self.addCleanup(deferToThread, client.close)
        notes: list[Any] = []
        client.reverse_request_mapping({"note": notes.append})
        await deferToThread(client.send_request, "join")
        (peer,) = self.peers(server)
        peer.protocol.transport.abortConnection()
        for number in range(20):
            self.assertTrue(await server.groups.send("room", "note", number, keep=60, timeout=0.01))
        await until(lambda: len(notes) == 20)
        self.assertEqual(notes, list(range(20)))

    async def test_arguments(self) -> None:
        """What no outbox takes raises, whoever is there."""
        server = await self.people()
        for keep in (0, "60", 1e9):
            await self.fails(InvalidPayload, server.broadcast("note", keep=keep))  # type: ignore[arg-type]
        await self.fails(ResourceExhausted, server.groups.send("room", "note", "x" * 300_000, keep=60))


class BoundsTests(KeptGroupsTestCase):
    """How much of it."""

    async def test_counted_once(self) -> None:
        """A message to many takes the room of one; what is full for one member refuses that one alone."""
        limits = {"outbox_bytes": 50_000, "outbox_total": 60_000}
        server = await self.people(limits=limits)
        members = [await self.member(server) for _ in range(10)]
        for each in members:
            await self.cut(server, each, stay=True)
        told = await server.groups.send("room", "note", "x" * 40_000, keep=60)
        self.assertEqual(counts(told), {"queued": 10})
        self.assertLess(self.keeping(server).kept, 60_000)
        await self.back(members[0])
        # Not only carried out: the server has heard of it, too, and keeps it no longer.
        await until(lambda: members[0].notes and not any(each.conversation.asked for each in self.peers(server)))
        await self.cut(server, members[0], stay=True)
        told = await server.groups.send("room", "note", "y" * 10_000, keep=60)
        self.assertEqual(counts(told), {"queued": 1, "failed": 9})
        await self.back(*members)
        await until(lambda: not self.keeping(server).kept)
        self.assertEqual(members[0].notes, ["x" * 40_000, "y" * 10_000])
        self.assertEqual({each.notes[0] for each in members[1:]}, {"x" * 40_000})

    async def test_of_a_user(self) -> None:
        """One user's devices have a share together; another user's have theirs, and strangers have another total."""
        server = await self.people(limits={"outbox_bytes": 10_000, "outbox_per_user": 12_000, "outbox_total": 20_000})
        ann = [await self.member(server, 1) for _ in range(3)]
        bob, stranger = await self.member(server, 2), await self.member(server)
        for each in (*ann, bob, stranger):
            await self.cut(server, each, stay=True)
        told = await server.groups.send("room", "note", "x" * 5_000, keep=60)
        self.assertEqual(counts(told), {"queued": 4, "failed": 1})
        used = server._running().used()
        self.assertEqual((used["outbox_per_user"], used["outbox_bytes"]), (2 * 5_603, 5_603))
        (refused,) = (each for each in told if each.state == "failed")
        self.assertEqual((refused.user_id, "user" in str(refused.error)), (1, True))
        states = [counts(await server.reverse_request(2, "note", "y" * 3_000, keep=60)) for _ in range(4)]
        self.assertEqual(states, [{"queued": 1}] + [{"failed": 1}] * 3)
        await self.back(*ann, bob, stranger)
        await until(lambda: not self.keeping(server).kept)
        self.assertEqual(server._running().used()["outbox_per_user"], 0)
        self.assertEqual(sum(len(each.notes) for each in ann), 2)
