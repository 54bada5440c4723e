"""Reads over the cloud's port, while the database is busy: they wait in its queue, together, fairly, and safely."""

from __future__ import annotations

import threading
from typing import Any

from cloud_serving import CloudTestCase, CloudWire
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from fluxon.cloud.serving.decisions import Decisions
from fluxon.commands import cloud
from fluxon.endpoint import AsyncServer
from fluxon.errors import NotFound, PermissionDenied


class DecisionTests(CloudTestCase):
    """The database's only writer is held, and let go."""

    async def hold(self, server: AsyncServer) -> tuple[Any, Deferred[Any]]:
        """What to set to let go of the writer, and its end."""
        begun, released = threading.Event(), threading.Event()
        self.addCleanup(released.set)

        def hang(_: Any) -> None:
            begun.set()
            released.wait(4)

        assert server.database is not None
        held = server.database.write(hang)
        await self.until(begun.is_set)
        return released, held

    async def reads_in_log(self, wire: CloudWire, path: str) -> int:
        """How many reads of a file the log has."""
        actions = (await wire.do(cloud.Log, path="/ann"))["actions"]
        return sum((action["action_type"], action["path"]) == ("read", path) for action in actions)

    async def test_together(self) -> None:
        """What waits shares a transaction, one that is refused as well; each has its row in the log."""
        server = await self.serve_cloud(limits={"session_freshness": 60})
        wire = await self.user(server, 1, "/ann")
        await wire.write("/ann/a.bin", b"hers")
        database: Any = server.database
        released, held = await self.hold(server)
        reads = [wire.read("/ann/a.bin") for _ in range(15)]
        answers = gatherResults([Deferred.fromCoroutine(each) for each in reads])
        refused = wire.do(cloud.Read, path="/ann/missing", offset=0)
        await self.until(lambda: database.figures()["writes that wait"] == 17)
        before = database.totals()["commits"]
        released.set()
        await held
        self.assertEqual(await answers, [b"hers"] * 15)
        await self.fails(NotFound, refused)
        self.assertEqual(database.totals()["commits"] - before, 2)
        self.assertEqual(await self.reads_in_log(wire, "/ann/a.bin"), 15)
        self.assertEqual(await self.reads_in_log(wire, "/ann/missing"), 1)

    async def test_share(self) -> None:
        """One session has a part of the places in the queue; another's request is not behind all of its."""
        server = await self.serve_cloud(limits={"session_freshness": 60})
        ann, bob = await self.user(server, 1, "/ann"), await self.user(server, 2, "/bob")
        await ann.write("/ann/a.bin", b"hers")
        await bob.write("/bob/b.bin", b"his")
        database: Any = server.database
        released, held = await self.hold(server)
        share = Decisions.size // 4
        many = gatherResults([ann.do(cloud.Read, path="/ann/a.bin", offset=0) for _ in range(share + 10)])
        await self.until(lambda: database.figures()["writes that wait"] == 1 + share)
        one = bob.do(cloud.Read, path="/bob/b.bin", offset=0)
        await self.until(lambda: database.figures()["writes that wait"] == 2 + share)
        released.set()
        await held
        self.assertEqual((await one)["data"], b"his")
        self.assertEqual([each["data"] for each in await many], [b"hers"] * (share + 10))

    async def test_not_looked_at_for_a_while(self) -> None:
        """A session that became stale in the queue is confirmed first; the try before that leaves no row."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        await wire.write("/ann/a.bin", b"hers")
        database: Any = server.database
        released, held = await self.hold(server)
        answer = wire.do(cloud.Read, path="/ann/a.bin", offset=0)
        await self.until(lambda: database.figures()["writes that wait"] == 2)
        assert server.cloud_storage is not None
        sessions = [peer.session for peer in server.cloud_storage.cloud_port.listener.factory.peers]
        await self.until(lambda: not any(each.fresh(reactor.seconds()) for each in sessions))
        released.set()
        await held
        self.assertEqual((await answer)["data"], b"hers")
        self.assertEqual(await self.reads_in_log(wire, "/ann/a.bin"), 1)

    async def test_revoked_in_the_queue(self) -> None:
        """Who is thrown out while a read waits is a stranger when its turn comes."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        await wire.write("/ann/a.bin", b"hers")
        database: Any = server.database
        released, held = await self.hold(server)
        answer = wire.do(cloud.Read, path="/ann/a.bin", offset=0)
        await self.until(lambda: database.figures()["writes that wait"] == 2)
        revoked = server.sessions.revoke_user(1)
        released.set()
        await held
        await revoked
        await self.fails(PermissionDenied, answer)
