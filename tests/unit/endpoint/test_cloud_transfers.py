"""Contents over the cloud's port: written, read, uploaded, resumed, committed once, and forgotten."""

from __future__ import annotations

from typing import Any

from cloud_serving import MIB, CloudTestCase, CloudWire, Held, Kept, content_of, open_objects
from twisted.internet.defer import Deferred

from fluxon.commands import cloud
from fluxon.endpoint import AsyncServer
from fluxon.errors import (
    Conflict,
    FluxonError,
    InvalidPayload,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)


class ContentTests(CloudTestCase):
    """What goes up comes down."""

    async def test_small(self) -> None:
        """In the command and in the answer, up to the bound of it; no stream is made."""
        wire = await self.user(await self.serve_cloud(), 1, "/ann")
        for size in (0, 1, cloud.INLINE):
            data = content_of(size)
            item = await wire.write("/ann/a.bin", data)
            self.assertEqual(item["size"], size)
            answer = await wire.do(cloud.Read, path="/ann/a.bin", offset=0)
            self.assertEqual((answer["data"], answer["stream"]), (data, None))
        self.assertEqual(await wire.read("/ann/a.bin", offset=10, length=5), data[10:15])
        self.assertEqual(await wire.read("/ann/a.bin", version=2), content_of(1))

    async def test_large(self) -> None:
        """As streams, both ways; ranges and older versions too. No descriptor is left open."""
        wire = await self.user(await self.serve_cloud(), 1, "/ann")
        first, second = content_of(5 * MIB + 17), content_of(3 * MIB, seed=2)
        self.assertEqual((await wire.upload("/ann/a.bin", first))["version"], 1)
        item = await wire.upload("/ann/a.bin", second, size=len(second), if_version=1)
        self.assertEqual((item["version"], item["size"]), (2, len(second)))
        self.assertEqual(await wire.read("/ann/a.bin"), second)
        self.assertEqual(await wire.read("/ann/a.bin", version=1), first)
        self.assertEqual(await wire.read("/ann/a.bin", offset=MIB, length=MIB), second[MIB : 2 * MIB])
        await self.until(lambda: open_objects() == 0)

    async def test_a_reader_keeps_what_it_opened(self) -> None:
        """The file is written again, and deleted, while it is read."""
        wire = await self.user(await self.serve_cloud(cloud_versions=0), 1, "/ann")
        data = content_of(12 * MIB)
        await wire.upload("/ann/a.bin", data)
        sink = Kept()
        sink.slow = Deferred()
        wire.receive(await wire.do(cloud.Read, path="/ann/a.bin", offset=0), sink)
        await sink.reached(1)
        await wire.write("/ann/a.bin", b"another")
        await wire.do(cloud.Delete, path="/ann/a.bin", type="file")
        slow, sink.slow = sink.slow, None
        slow.callback(None)
        self.assertIsNone(await sink.over)
        self.assertEqual(bytes(sink.received), data)

    async def test_denied(self) -> None:
        """Who may not read or write is told so before any byte; a stranger as well."""
        server = await self.serve_cloud()
        ann = await self.user(server, 1, "/ann")
        await ann.write("/ann/a.bin", b"hers")
        for other in (await self.user(server, 2), await self.cloud_wire(server)):
            await self.fails(PermissionDenied, other.read("/ann/a.bin"))
            await self.fails(PermissionDenied, other.begin("/ann/a.bin"))
            await self.fails(PermissionDenied, other.begin("/ann/new.bin"))
            await self.fails(PermissionDenied, other.write("/ann/a.bin", b"his"))
        self.assertEqual(await ann.read("/ann/a.bin"), b"hers")

    async def test_downloads_of_one_user(self) -> None:
        """They have so many places; a place is free when a download has ended."""
        server = await self.serve_cloud(limits={"cloud_downloads_per_user": 2})
        wire = await self.user(server, 1, "/ann")
        await wire.upload("/ann/a.bin", content_of(8 * MIB))
        ask: dict[str, Any] = {"path": "/ann/a.bin", "offset": 0}
        sinks = [Kept(), Kept()]
        for sink in sinks:
            sink.slow = Deferred()
            wire.receive(await wire.do(cloud.Read, **ask), sink)
        await self.fails(ResourceExhausted, wire.do(cloud.Read, **ask))
        slow, sinks[0].slow = sinks[0].slow, None
        assert slow is not None
        slow.callback(None)
        self.assertIsNone(await sinks[0].over)
        await wire.read("/ann/a.bin")


class UploadTests(CloudTestCase):
    """Everything that can become of an upload."""

    async def cut(self, wire: CloudWire, path: str, data: bytes, at: int, **more: Any) -> dict[str, Any]:
        """An upload whose connection is lost when ``at`` bytes have left."""
        answer = await wire.begin(path, **more)
        source = Held(data, at)
        wire.send(answer, source).when_done().addErrback(lambda _: None)
        await source.stopped
        await self.until(lambda: wire.peer.protocol.transport.getHandle() is None or True)
        await wire.abort()
        return answer

    async def resume(self, wire: CloudWire, path: str, answer: dict[str, Any], data: bytes) -> dict[str, Any]:
        again = await wire.begin(path, upload=answer["upload"])
        await wire.send(again, Held(data[again["offset"] :])).when_done()
        return again

    async def test_resumed(self) -> None:
        """Over another connection of the same session it goes on where it was, and becomes the file."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        data = content_of(9 * MIB)
        answer = await self.cut(wire, "/ann/a.bin", data, 4 * MIB)
        other = await self.cloud_wire(server, wire.token)
        again = await self.resume(other, "/ann/a.bin", answer, data)
        self.assertEqual(again["upload"], answer["upload"])
        self.assertTrue(0 < again["offset"] <= 4 * MIB)
        await other.commit(again, data)
        self.assertEqual(await other.read("/ann/a.bin"), data)

    async def test_taken_over(self) -> None:
        """Resumed while the first connection still sends: that one is told, and what it sends then is not taken."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        data = content_of(3 * MIB)
        answer = await wire.begin("/ann/a.bin")
        source = Held(data, MIB)
        first = wire.send(answer, source)
        await source.stopped
        other = await self.cloud_wire(server, wire.token)
        again = await self.resume(other, "/ann/a.bin", answer, data)
        await self.fails(Conflict, first.when_done())
        await other.commit(again, data)
        self.assertEqual(await other.read("/ann/a.bin"), data)

    async def test_committed_twice(self) -> None:
        """The second time answers the same, also over another connection, and changes nothing."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        data = content_of(MIB)
        answer = await wire.begin("/ann/a.bin")
        await wire.send(answer, Held(data)).when_done()
        both = [wire.commit(answer, data), wire.commit(answer, data)]
        first, second = [await each for each in both]
        other = await self.cloud_wire(server, wire.token)
        self.assertEqual([second, await other.commit(answer, data)], [first, first])
        self.assertEqual((await wire.do(cloud.Stat, path="/ann/a.bin"))["item"]["version"], 1)
        await self.fails(InvalidPayload, wire.commit(answer, data[1:]))
        await self.fails(Conflict, wire.begin("/ann/a.bin", upload=answer["upload"]))

    async def test_commit_without_all_bytes(self) -> None:
        """It says how many have come; the rest may be sent, and then it holds."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        data = content_of(2 * MIB)
        answer = await wire.begin("/ann/a.bin", size=len(data))
        error = await self.fails(InvalidPayload, wire.commit(answer, data))
        self.assertEqual(error.details["offset"], 0)
        await wire.send(answer, Held(data)).when_done()
        await wire.commit(answer, data)
        self.assertEqual(await wire.read("/ann/a.bin"), data)

    async def test_wrong_hash(self) -> None:
        """What arrived is not what was sent: the file stays what it was, and the upload is over."""
        wire = await self.user(await self.serve_cloud(), 1, "/ann")
        await wire.write("/ann/a.bin", b"before")
        data = content_of(MIB)
        answer = await wire.begin("/ann/a.bin")
        await wire.send(answer, Held(data)).when_done()
        await self.fails(InvalidPayload, wire.commit(answer, b"x" * len(data)))
        await self.fails(FluxonError, wire.commit(answer, data))
        self.assertEqual(await wire.read("/ann/a.bin"), b"before")
        await self.until(lambda: open_objects() == 0)

    async def test_more_than_announced(self) -> None:
        """The stream is given up, and the upload with it."""
        wire = await self.user(await self.serve_cloud(), 1, "/ann")
        answer = await wire.begin("/ann/a.bin", size=MIB)
        await self.fails(InvalidPayload, wire.send(answer, Held(content_of(2 * MIB))).when_done())
        await self.fails(NotFound, wire.commit(answer, content_of(MIB)))

    async def test_of_others(self) -> None:
        """To another user it does not exist: it is not to be sent to, committed or discarded."""
        server = await self.serve_cloud()
        ann, bob = await self.user(server, 1, "/ann"), await self.user(server, 2)
        data = content_of(MIB)
        answer = await ann.begin("/ann/a.bin")
        await ann.send(answer, Held(data)).when_done()
        for other in (bob, await self.cloud_wire(server)):
            await self.fails(NotFound, other.begin("/ann/a.bin", upload=answer["upload"]))
            await self.fails(NotFound, other.commit(answer, data))
            await other.do(cloud.Discard, upload=answer["upload"])
        await ann.commit(answer, data)
        self.assertEqual(await ann.read("/ann/a.bin"), data)

    async def test_other_arguments(self) -> None:
        """An upload that was begun for one path does not become the content of another."""
        wire = await self.user(await self.serve_cloud(), 1, "/ann")
        answer = await wire.begin("/ann/a.bin")
        await self.fails(InvalidPayload, wire.begin("/ann/b.bin", upload=answer["upload"]))
        await self.fails(InvalidPayload, wire.begin("/ann/a.bin", upload=answer["upload"], if_version=0))

    async def test_discarded(self) -> None:
        """Nothing is left of it, and doing it again is no error."""
        wire = await self.user(await self.serve_cloud(), 1, "/ann")
        answer = await wire.begin("/ann/a.bin")
        source = Held(content_of(2 * MIB), MIB)
        sending = wire.send(answer, source)
        await source.stopped
        for _ in range(2):
            await wire.do(cloud.Discard, upload=answer["upload"])
        await self.fails(FluxonError, sending.when_done())
        await self.fails(NotFound, wire.begin("/ann/a.bin", upload=answer["upload"]))
        await self.until(lambda: open_objects() == 0)

    async def test_forgotten(self) -> None:
        """Whose client does not come back in time is gone, bytes and all."""
        server = await self.serve_cloud(limits={"cloud_upload_kept": 0.3})
        wire = await self.user(server, 1, "/ann")
        answer = await self.cut(wire, "/ann/a.bin", content_of(2 * MIB), MIB)
        await self.until(lambda: open_objects() == 0)
        other = await self.cloud_wire(server, wire.token)
        await self.fails(NotFound, other.begin("/ann/a.bin", upload=answer["upload"]))

    async def test_room_for_a_new_one(self) -> None:
        """The oldest that nobody sends to goes; those that are sent to stay, and one more is refused."""
        server = await self.serve_cloud(limits={"cloud_uploads_per_user": 2})
        wire = await self.user(server, 1, "/ann")
        old = await self.cut(wire, "/ann/old.bin", content_of(MIB), 1000)
        other = await self.cloud_wire(server, wire.token)
        answers = [await other.begin(f"/ann/{number}.bin") for number in range(2)]
        await self.fails(ResourceExhausted, other.begin("/ann/2.bin"))
        await self.fails(NotFound, other.begin("/ann/old.bin", upload=old["upload"]))
        await other.send(answers[0], Held(b"x" * MIB)).when_done()
        await other.commit(answers[0], b"x" * MIB)

    async def test_rights_are_looked_at_again(self) -> None:
        """Who loses the right meanwhile cannot commit."""
        server = await self.serve_cloud(take_away)
        main = await self.logged_in(server, 1)
        wire = await self.cloud_wire(server, main.token)
        await wire.make("/ann")
        await main.call("claim", "/ann")
        data = content_of(MIB)
        answer = await wire.begin("/ann/a.bin")
        await wire.send(answer, Held(data)).when_done()
        await main.call("take_away", "/ann")
        await self.fails(PermissionDenied, wire.commit(answer, data))
        await self.fails(PermissionDenied, wire.commit(answer, data))
        await self.until(lambda: open_objects() == 0)

    async def test_versions_that_changed(self) -> None:
        """``if_version`` is looked at at the end as well; the error has both versions."""
        wire = await self.user(await self.serve_cloud(), 1, "/ann")
        await wire.write("/ann/a.bin", b"1")
        data = content_of(MIB)
        answer = await wire.begin("/ann/a.bin", if_version=1)
        await wire.send(answer, Held(data)).when_done()
        await wire.write("/ann/a.bin", b"2")
        error = await self.fails(Conflict, wire.commit(answer, data))
        self.assertEqual(error.details["version"], 2)
        self.assertEqual(await wire.read("/ann/a.bin"), b"2")


async def take_away(request: Any) -> Any:
    from cloud_serving import Model

    await Model.remove_role(path=request.payload, user=request.user)


class RevocationTests(CloudTestCase):
    """Who is thrown out hears and says nothing more, in the middle of a stream too."""

    async def transfers(self, server: AsyncServer) -> tuple[CloudWire, Kept, Any]:
        wire = await self.user(server, 1, "/ann")
        await wire.upload("/ann/a.bin", content_of(8 * MIB))
        sink = Kept()
        sink.slow = Deferred()
        wire.receive(await wire.do(cloud.Read, path="/ann/a.bin", offset=0), sink)
        source = Held(content_of(2 * MIB), MIB)
        sending = wire.send(await wire.begin("/ann/b.bin"), source)
        await source.stopped
        return wire, sink, sending

    async def test_revoked(self) -> None:
        """Both ways; and what comes then is a stranger's."""
        server = await self.serve_cloud()
        wire, sink, sending = await self.transfers(server)
        await server.sessions.revoke_user(1)
        self.assertIsInstance(await sink.over, Unauthenticated)
        await self.fails(Unauthenticated, sending.when_done())
        await self.fails(PermissionDenied, wire.read("/ann/a.bin"))

    async def test_revoked_by_another_process(self) -> None:
        """Only the row says so: it is read again while the streams run."""
        server = await self.serve_cloud()
        wire, sink, sending = await self.transfers(server)
        assert server.database is not None
        store = server._running().foundation._store
        await store.delete_user(1)
        self.assertIsInstance(await sink.over, Unauthenticated)
        await self.fails(Unauthenticated, sending.when_done())
        await self.fails(PermissionDenied, wire.read("/ann/a.bin"))
