"""Watching a subtree over the cloud's port: who is told what, and when no longer."""

from __future__ import annotations

import threading
from typing import Any

from cloud_serving import CloudTestCase, CloudWire, Model
from twisted.internet.defer import Deferred

from fluxon.commands import cloud
from fluxon.endpoint import AsyncServer
from fluxon.errors import FluxonError, ResourceExhausted, Unavailable
from fluxon.routing import Request
from fluxon.rpc import Peer


async def view(request: Request) -> Any:
    """Let a user see a path, or no longer."""
    user_id, path, may = request.payload
    if may:
        return await Model.assign_role(role=Model.viewer, path=path, user_id=user_id)
    return await Model.remove_role(path=path, user_id=user_id)


class Deaf(CloudWire):
    """A client that knows nothing of changes."""

    deaf = True


class WatchTests(CloudTestCase):
    """Ann changes things in /ann; others look on."""

    async def both(self, **keywords: Any) -> tuple[AsyncServer, CloudWire, CloudWire]:
        """The server, Ann, and Bob who may see /ann."""
        server = await self.serve_cloud(view, **keywords)
        ann = await self.user(server, 1, "/ann")
        await (await self.logged_in(server, 1)).call("view", [2, "/ann", True])
        return server, ann, await self.user(server, 2)

    async def test_told(self) -> None:
        """Of each kind of change, with who did it, in order; also below the watched path."""
        _, ann, bob = await self.both()
        await bob.do(cloud.Watch, path="/ann")
        await ann.make("/ann/deep")
        await ann.write("/ann/deep/a", b"1")
        await ann.write("/ann/deep/a", b"2")
        await ann.do(cloud.Move, path="/ann/deep/a", to="/ann/b")
        await ann.do(cloud.Copy, path="/ann/b", to="/ann/c")
        await ann.do(cloud.Delete, path="/ann/b")
        expected = [
            ("create", "/ann/deep"),
            ("write", "/ann/deep/a"),
            ("write", "/ann/deep/a"),
            ("move", "/ann/b"),
            ("copy", "/ann/c"),
            ("delete", "/ann/b"),
        ]
        self.assertEqual(await bob.heard(6), expected)
        self.assertEqual({each["user"] for each in bob.changes}, {"ann"})
        self.assertEqual([each["type"] for each in bob.changes], ["directory", "file", "file", "file", "file", "file"])
        self.assertEqual(bob.changes[3]["source"], "/ann/deep/a")

    async def test_not_told(self) -> None:
        """Of what lies elsewhere, of reading, and of what was refused."""
        server, ann, bob = await self.both()
        await ann.make("/ann/inside")
        await bob.do(cloud.Watch, path="/ann/inside")
        await ann.write("/ann/a", b"1")
        await ann.read("/ann/a")
        await self.fails(FluxonError, bob.write("/ann/inside/b", b"1"))
        await ann.write("/ann/inside/c", b"1")
        self.assertEqual(await bob.heard(1), [("write", "/ann/inside/c")])
        self.assertTrue(server.running)

    async def test_only_what_may_be_known(self) -> None:
        """Right is looked at when the change is told, not when the watch began."""
        server, ann, bob = await self.both()
        main = await self.logged_in(server, 1)
        await bob.do(cloud.Watch, path="/ann")
        await ann.do(cloud.Watch, path="/ann")
        await main.call("view", [2, "/ann", False])
        await ann.write("/ann/secret", b"1")
        await ann.heard(2)  # so it has been told to those who may know
        await main.call("view", [2, "/ann", True])
        await ann.write("/ann/shown", b"1")
        heard = await bob.heard(2)
        self.assertEqual(heard[-2:], [("assign_role", "/ann"), ("write", "/ann/shown")])
        self.assertNotIn(("write", "/ann/secret"), heard)

    async def test_moved_out_of_sight(self) -> None:
        """For whoever may not follow it is deleted: they do not hear where it is."""
        server, ann, bob = await self.both()
        main = await self.logged_in(server, 1)
        await ann.make("/private")
        await main.call("claim", "/private")
        await ann.write("/ann/a", b"1")
        await bob.do(cloud.Watch, path="/ann")
        await ann.do(cloud.Move, path="/ann/a", to="/private/a")
        self.assertEqual(await bob.heard(1), [("delete", "/ann/a")])
        self.assertIsNone(bob.changes[0]["source"])

    async def test_what_may_not_be_watched(self) -> None:
        """A path that the asker may not know of is answered as for everything else; nothing is left of it."""
        server, _, _ = await self.both()
        stranger = await self.cloud_wire(server)
        denied = await self.fails(FluxonError, stranger.do(cloud.Watch, path="/ann"))
        missing = await self.fails(FluxonError, stranger.do(cloud.Watch, path="/nothing"))
        self.assertEqual((denied.code, denied.text), (missing.code, missing.text))
        self.assertEqual(self.watches(server)._of_peer, {})

    async def test_unwatched(self) -> None:
        """No more is told; and with the last watch the looking stops."""
        server, ann, bob = await self.both()
        number = (await bob.do(cloud.Watch, path="/ann"))["watch"]
        other = (await bob.do(cloud.Watch, path="/ann"))["watch"]
        for _ in range(2):
            await bob.do(cloud.Unwatch, watch=number)
        await ann.write("/ann/a", b"1")
        await bob.heard(1)
        self.assertEqual([each["watch"] for each in bob.changes], [other])
        await bob.do(cloud.Unwatch, watch=other)
        self.assertFalse(self.watches(server)._looking.running)

    async def test_ends_with_the_connection(self) -> None:
        """Nothing is kept for a client that is gone."""
        server, _, bob = await self.both()
        await bob.do(cloud.Watch, path="/ann")
        await bob.abort()
        watches = self.watches(server)
        await self.until(lambda: not watches._of_peer)
        self.assertEqual((watches._at, watches._looking.running), ({}, False))

    async def test_ends_with_the_session(self) -> None:
        """Who is thrown out is told that it is over, and nothing more."""
        server, ann, bob = await self.both()
        await bob.do(cloud.Watch, path="/ann")
        await server.sessions.revoke_user(2)
        await ann.write("/ann/a", b"1")
        self.assertEqual(await bob.heard(1), [("ended", "/ann")])
        await self.until(lambda: not self.watches(server)._of_peer)

    async def test_so_many_of_one_user(self) -> None:
        """A watch has a place, until it ends."""
        server, _, bob = await self.both(limits={"cloud_watches_per_user": 2})
        numbers = [(await bob.do(cloud.Watch, path="/ann"))["watch"] for _ in range(2)]
        await self.fails(ResourceExhausted, bob.do(cloud.Watch, path="/ann"))
        await bob.do(cloud.Unwatch, watch=numbers[0])
        await bob.do(cloud.Watch, path="/ann")
        self.assertEqual(len(self.watches(server)._of_peer), 1)

    async def test_a_slow_client(self) -> None:
        """It is told that it missed something, when it answers again; nobody waits for it meanwhile."""
        _, ann, bob = await self.both(limits={"cloud_news": 2})
        busy: list[Deferred[dict[str, Any]]] = []

        def later() -> Deferred[dict[str, Any]]:
            busy.append(Deferred())
            return busy[-1]

        bob.acknowledge = later
        await bob.do(cloud.Watch, path="/ann")
        await ann.do(cloud.Watch, path="/ann")
        for number in range(5):
            await ann.write(f"/ann/{number}", b"1")
        await ann.heard(5)
        self.assertEqual(len(bob.changes), 2)
        bob.acknowledge = dict
        for each in busy:
            each.callback({})
        self.assertEqual((await bob.heard(3))[2], ("missed", "/ann"))
        await ann.write("/ann/after", b"1")
        self.assertEqual((await bob.heard(4))[3], ("write", "/ann/after"))

    async def test_a_client_without_an_ear(self) -> None:
        """One that knows no such thing as a change is told no more, and its place is free."""
        server, ann, _ = await self.both()
        self.make_wire = Deaf  # type: ignore[method-assign]
        bob = await self.user(server, 2)
        await bob.do(cloud.Watch, path="/ann")
        self.assertEqual(self.watches(server).slots.count, 1)
        await ann.write("/ann/a", b"1")
        await self.until(lambda: not self.watches(server)._of_peer)
        self.assertEqual(self.watches(server).slots.count, 0)
        self.assertEqual(await bob.read("/ann/a"), b"1")  # the connection is as good as before

    async def test_a_client_that_failed(self) -> None:
        """It may not have taken what it was told, and hears that it missed something with the next thorough look."""
        _, ann, bob = await self.both()

        def fail_once() -> None:
            bob.acknowledge = dict
            raise Unavailable("busy")

        bob.acknowledge = fail_once  # type: ignore[assignment]
        await bob.do(cloud.Watch, path="/ann")
        await ann.write("/ann/a", b"1")
        self.assertEqual(await bob.heard(2), [("write", "/ann/a"), ("missed", "/ann")])
        self.assertEqual(len(self.flushLoggedErrors(Unavailable)), 1)  # the client's own log

    async def test_what_comes_while_it_looks(self) -> None:
        """Changes during a look are told by one more: nothing waits for the next second."""
        server, ann, bob = await self.both()
        await bob.do(cloud.Watch, path="/ann")
        watches, go_on = self.watches(server), threading.Event()
        watches._looking.stop()  # nothing but the changes themselves makes it look
        watches._pool.submit(go_on.wait, 30)
        await ann.write("/ann/a", b"1")
        await self.until(lambda: watches._running)
        for name in "bc":
            await ann.write(f"/ann/{name}", b"1")
        await self.until(lambda: watches._again)
        go_on.set()
        self.assertEqual(await bob.heard(3), [("write", f"/ann/{name}") for name in "abc"])
        await self.until(lambda: not watches._running)
        watches._looking.start(60, now=False)

    async def test_told_when_nobody_watches_any_more(self) -> None:
        """A change that comes after the last watch has ended is not looked for."""
        server, ann, bob = await self.both()
        number = (await bob.do(cloud.Watch, path="/ann"))["watch"]
        await bob.do(cloud.Unwatch, watch=number)
        watches = self.watches(server)
        watches._changed()  # from a thread, as it stood in the list when that began to tell
        await ann.write("/ann/a", b"1")
        self.assertFalse(watches._running)
        self.assertEqual(bob.changes, [])

    async def test_a_look_that_fails(self) -> None:
        """It is in the log, and what it would have told comes with the next one."""
        server, ann, bob = await self.both()
        await bob.do(cloud.Watch, path="/ann")
        news, failed = self.watches(server)._news, []
        read = news.read

        def fail_once(thorough: bool) -> Any:
            if not failed:
                failed.append(1)
                raise Unavailable("the database cannot be reached")
            return read(thorough)

        self.patch(news, "read", fail_once)
        await ann.write("/ann/a", b"1")
        self.assertEqual(await bob.heard(1), [("write", "/ann/a")])
        self.assertEqual(len(self.flushLoggedErrors(Unavailable)), 1)

    async def test_nobody_can_say_whose_connection_it_is(self) -> None:
        """While sessions cannot be looked up nothing is told on it; afterwards, that something was missed."""
        server, ann, bob = await self.both()
        await bob.do(cloud.Watch, path="/ann")
        clients, asked = self.watches(server)._clients, []
        confirm = clients.confirm

        async def fail_once(peer: Peer) -> None:
            if self.watches(server)._of_peer.get(peer) and not asked:
                asked.append(peer)
                raise Unavailable("the database cannot be reached")
            await confirm(peer)

        self.patch(clients, "confirm", fail_once)
        await ann.write("/ann/a", b"1")
        self.assertEqual((await bob.heard(1))[-1], ("missed", "/ann"))
        await ann.write("/ann/b", b"1")
        self.assertEqual((await bob.heard(2))[-1], ("write", "/ann/b"))

    async def test_a_server_that_stops_while_a_watch_begins(self) -> None:
        """Its client is gone meanwhile; nothing of it is left, and its place is given back once."""
        server, _, bob = await self.both()
        watches, looked_up, go_on = self.watches(server), threading.Event(), threading.Event()
        watches._pool.submit(go_on.wait, 30)
        stat = watches._storage.stat

        def slow(*args: Any) -> Any:
            looked_up.wait(30)
            return stat(*args)

        self.patch(watches._storage, "stat", slow)
        bob.do(cloud.Watch, path="/ann").addErrback(lambda _: None)
        listener = server.cloud_storage.cloud_port.listener  # type: ignore[union-attr]
        count = len(listener.factory.peers)
        await self.until(lambda: watches._clients._threads.busy)
        await bob.abort()
        await self.until(lambda: len(listener.factory.peers) < count)
        looked_up.set()
        await self.until(lambda: watches._of_peer)
        (peer,) = watches._of_peer
        stopped = server.stopService()
        server.hurry()
        await self.until(lambda: not watches._of_peer)
        go_on.set()
        await stopped
        await self.until(lambda: not peer.protocol.conversation.answering)
        self.assertEqual((watches._of_peer, watches._at, watches.slots.count), ({}, {}, 0))

    def watches(self, server: AsyncServer) -> Any:
        assert server.cloud_storage is not None
        return server.cloud_storage.cloud_port._watches
