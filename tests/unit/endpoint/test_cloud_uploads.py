"""Uploads over the cloud's port of which something happens in between: to their disk, their client or their commit."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

from cloud_serving import MIB, CloudTestCase, CloudWire, Held, Kept, content_of
from twisted.internet.defer import Deferred

from fluxon.cloud import uploads as disk_uploads
from fluxon.cloud.serving import uploads as room
from fluxon.commands import cloud
from fluxon.endpoint import AsyncServer
from fluxon.errors import Conflict, NotFound, ResourceExhausted, Unavailable


class InBetween(CloudTestCase):
    """Ann uploads to /ann."""

    async def begun(self) -> CloudWire:
        """A server, and Ann."""
        self.server = await self.serve_cloud()
        return await self.user(self.server, 1, "/ann")

    @property
    def uploads(self) -> Any:
        assert self.server.cloud_storage is not None
        return self.server.cloud_storage.cloud_port._uploads

    def held(self, owner: Any, name: str) -> tuple[threading.Event, threading.Event]:
        """Have a function that runs in a thread wait; events that say that it was called, and let it go on."""
        called, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)
        real = getattr(owner, name)

        def wait(*args: Any, **keywords: Any) -> Any:
            called.set()
            go_on.wait(30)
            return real(*args, **keywords)

        self.patch(owner, name, wait)
        return called, go_on

    async def arrived(self, wire: CloudWire, data: bytes) -> dict[str, Any]:
        """An upload of which everything is there but the commit."""
        answer = await wire.begin("/ann/a.bin")
        await wire.send(answer, Held(data)).when_done()
        return answer

    async def test_bytes_after_the_commit(self) -> None:
        """What was committed is the file, and what is sent then is refused."""
        wire, data = await self.begun(), content_of(2 * MIB)
        answer = await wire.begin("/ann/a.bin")
        source = Held(data, MIB)
        sending = wire.send(answer, source)
        await source.stopped
        upload = self.uploads._open[answer["upload"]]
        await self.until(lambda: upload.content.size == MIB)
        await wire.commit(answer, data[:MIB])
        source.go_on()
        await self.fails(Conflict, sending.when_done())
        self.assertEqual(await wire.read("/ann/a.bin"), data[:MIB])

    async def test_a_disk_that_is_full(self) -> None:
        """Said to who sends, who commits and who would go on, and at once nothing of it is left on the disk."""

        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, "no space left on device")

        self.patch(disk_uploads, "AHEAD", 2 * MIB)
        wire, data = await self.begun(), content_of(8 * MIB)
        self.patch(disk_uploads, "start_writing_out", full)
        answer = await wire.begin("/ann/a.bin")
        await self.fails(ResourceExhausted, wire.send(answer, Held(data)).when_done())
        for _ in range(2):
            await self.fails(ResourceExhausted, wire.commit(answer, data))
        await self.fails(ResourceExhausted, wire.begin("/ann/a.bin", upload=answer["upload"]))
        self.assertEqual((self.uploads._open, self.uploads.slots.count), ({}, 0))
        await self.until(lambda: os.listdir("project/cloud/uploads") == [])

    async def test_discarded_while_it_is_committed(self) -> None:
        """Too late: it is refused, and the file is there."""
        wire, data = await self.begun(), content_of(MIB)
        answer = await self.arrived(wire, data)
        called, go_on = self.held(self.uploads._storage, "finish_upload")
        committing = wire.commit(answer, data)
        done: Deferred[Any] = Deferred.fromCoroutine(committing)
        await self.until(called.is_set)
        await self.fails(Conflict, wire.do(cloud.Discard, upload=answer["upload"]))
        go_on.set()
        self.assertEqual((await done)["size"], len(data))

    async def test_stopped_while_it_is_committed(self) -> None:
        """When uploads are given up at a stop, the bytes are not taken away under a commit that has begun."""
        wire, data = await self.begun(), content_of(MIB)
        other = await wire.begin("/ann/b.bin")
        answer = await self.arrived(wire, data)
        called, go_on = self.held(self.uploads._storage, "finish_upload")
        done = Deferred.fromCoroutine(wire.commit(answer, data))
        await self.until(called.is_set)
        self.assertEqual(set(self.uploads._open), {answer["upload"], other["upload"]})
        await self.uploads.stop()
        self.assertEqual(set(self.uploads._open), {answer["upload"]})
        go_on.set()
        self.assertEqual((await done)["size"], len(data))
        self.assertEqual(await wire.read("/ann/a.bin"), data)

    async def test_somebody_else_meanwhile(self) -> None:
        """An upload belongs to who began it: if that is another when it is there, there is none."""
        server = self.server = await self.serve_cloud()
        main = await self.logged_in(server, 1)
        wire = await self.cloud_wire(server, main.token)
        await wire.make("/ann")
        await main.call("claim", "/ann")
        called, go_on = self.held(self.uploads._storage, "begin_upload")
        beginning = Deferred.fromCoroutine(wire.begin("/ann/a.bin"))
        await self.until(called.is_set)
        await main.call("login", 2)
        go_on.set()
        await self.fails(Conflict, beginning)
        self.assertEqual((self.uploads._open, self.uploads.slots.count), ({}, 0))

    async def test_a_disk_that_is_slow(self) -> None:
        """What is sent waits for it, over another connection as well; then everything is there."""
        self.patch(disk_uploads, "AHEAD", 2 * MIB)
        wire, data = await self.begun(), content_of(12 * MIB)
        _, go_on = self.held(disk_uploads, "start_writing_out")
        answer = await wire.begin("/ann/a.bin")
        wire.send(answer, Held(data)).when_done().addErrback(lambda _: None)
        upload = self.uploads._open[answer["upload"]]
        await self.until(lambda: upload.pause is not None)
        pause, arrived = upload.pause, upload.content.size
        self.assertLess(arrived, len(data))
        other = await self.cloud_wire(self.server, wire.token)
        again = await other.begin("/ann/a.bin", upload=answer["upload"])
        sending = other.send(again, Held(data[again["offset"] :])).when_done()
        await self.until(lambda: upload.content.size > arrived)
        self.assertIs(upload.pause, pause)
        self.assertFalse(sending.called)
        go_on.set()
        await sending
        await other.commit(again, data)
        self.assertEqual(await other.read("/ann/a.bin"), data)

    async def test_a_commit_that_could_not_begin(self) -> None:
        """Nothing became of it, so it may be sent again."""
        wire, data = await self.begun(), content_of(MIB)
        answer = await self.arrived(wire, data)
        clients, failed = self.uploads._clients, []
        confirm = clients._confirm_here

        def fail_once(peer: Any) -> None:
            if not failed:
                failed.append(peer)
                raise Unavailable("the database cannot be reached")
            confirm(peer)

        self.patch(clients, "_confirm_here", fail_once)
        await self.fails(Unavailable, wire.commit(answer, data))
        self.assertEqual((await wire.commit(answer, data))["size"], len(data))

    async def test_answers_are_kept_for_so_many(self) -> None:
        """The oldest goes, and its upload with it; the file stays."""
        self.patch(room, "_ANSWERS", 1)
        wire, data = await self.begun(), content_of(MIB)
        first, second = await self.arrived(wire, data), await wire.begin("/ann/b.bin")
        await wire.commit(first, data)
        await wire.commit(first, data)
        await wire.send(second, Held(data)).when_done()
        await wire.commit(second, data)
        await self.fails(NotFound, wire.commit(first, data))
        await wire.commit(second, data)
        self.assertEqual(await wire.read("/ann/a.bin"), data)

    async def test_lost_while_it_is_resumed(self) -> None:
        """The upload stays for the next try: its client knows its name."""
        wire, data = await self.begun(), content_of(2 * MIB)
        answer = await wire.begin("/ann/a.bin")
        source = Held(data, MIB)
        wire.send(answer, source).when_done().addErrback(lambda _: None)
        await source.stopped
        await wire.abort()
        uploads, peers = self.uploads, []
        upload, ask_again = uploads._open[answer["upload"]], uploads.ask_again
        await self.until(lambda: upload.arrival is None)
        called, go_on = self.held(uploads._storage, "begin_upload")

        def ask(peer: Any, upload: Any) -> Any:
            peers.append(peer)
            return ask_again(peer, upload)

        self.patch(uploads, "ask_again", ask)
        other = await self.cloud_wire(self.server, wire.token)
        Deferred.fromCoroutine(other.begin("/ann/a.bin", upload=answer["upload"])).addErrback(lambda _: None)
        await self.until(called.is_set)
        await other.abort()
        await self.until(lambda: peers[0].lost)
        go_on.set()
        third = await self.cloud_wire(self.server, wire.token)
        again = await third.begin("/ann/a.bin", upload=answer["upload"])
        await third.send(again, Held(data[again["offset"] :])).when_done()
        await third.commit(again, data)
        self.assertEqual(await third.read("/ann/a.bin"), data)


class Downloads(CloudTestCase):
    """Files that are read over the cloud's port."""

    async def test_an_object_that_somebody_cut_off(self) -> None:
        """Its first bytes are not answered as if they were all."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        await wire.write("/ann/a.bin", b"123456")
        for path in Path("project/cloud/objects").glob("*/*"):
            os.truncate(path, 3)
        await self.fails(Unavailable, wire.read("/ann/a.bin"))
        self.assertEqual(await wire.read("/ann/a.bin", length=3), b"123")

    async def test_a_client_that_leaves_while_the_server_stops(self) -> None:
        """The server waits for its transfer, and no longer than its connection is there."""
        server: AsyncServer = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        await wire.upload("/ann/a.bin", content_of(8 * MIB))
        sink = Kept()
        sink.slow = Deferred()
        wire.receive(await wire.do(cloud.Read, path="/ann/a.bin", offset=0), sink)
        await sink.reached(1)
        assert server.cloud_storage is not None
        port = server.cloud_storage.cloud_port
        stopped = server.stopService()
        await self.until(lambda: port._transfers._leaving)
        self.assertEqual(len(port._transfers._of_peer), 1)
        await wire.abort()
        await stopped
        self.assertEqual((port._transfers._leaving, port._transfers._of_peer), (set(), {}))
        port._transfers.stop()  # again does nothing
