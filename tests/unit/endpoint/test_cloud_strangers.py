"""Clients of a cloud's port that mean no good: what they cost, and that others do not notice."""

from __future__ import annotations

import secrets
from typing import Any

from cloud_serving import MIB, CloudTestCase, CloudWire, Held, Kept, content_of, open_objects
from twisted.internet.defer import Deferred, DeferredList

from fluxon.commands import cloud
from fluxon.errors import DeadlineExceeded, FluxonError, InvalidPayload, NotFound, PermissionDenied, ResourceExhausted
from fluxon.rpc import Incoming


class HostileUploadTests(CloudTestCase):
    """Uploads that are begun and never ended."""

    async def test_thousands_of_uploads(self) -> None:
        """One user holds as many descriptors as the limit says, however many are asked for, on many connections."""
        server = await self.serve_cloud(limits={"cloud_uploads_per_user": 8, "cloud_upload_kept": 0.3})
        first = await self.user(server, 1, "/ann")
        other = await self.user(server, 2, "/bob")
        wires = [first, *[await self.cloud_wire(server, first.token) for _ in range(3)]]
        asked = [
            wire.do(cloud.Upload, path=f"/ann/{number}", create=True) for number in range(100) for wire in wires * 3
        ]
        results = await DeferredList(asked, consumeErrors=True)
        errors = {type(value.value) for good, value in results if not good}
        self.assertEqual(errors, {ResourceExhausted})
        self.assertLessEqual(open_objects(), 8)
        await other.upload("/bob/a.bin", content_of(MIB))
        for wire in wires:
            await wire.abort()
        await self.until(lambda: open_objects() == 0)

    async def test_all_users_together(self) -> None:
        """The limit over all of them holds too, and ends nobody's upload that is under way."""
        server = await self.serve_cloud(limits={"cloud_uploads": 2})
        ann, bob = await self.user(server, 1, "/ann"), await self.user(server, 2, "/bob")
        answer = await ann.begin("/ann/a.bin")
        await ann.begin("/ann/b.bin")
        await self.fails(ResourceExhausted, bob.begin("/bob/a.bin"))
        await ann.send(answer, Held(b"x" * MIB)).when_done()
        await ann.commit(answer, b"x" * MIB)
        await bob.upload("/bob/a.bin", b"y" * MIB)

    async def test_guessed_names(self) -> None:
        """An upload of somebody else, one that never was and one that is over are told apart by nobody."""
        server = await self.serve_cloud()
        ann, bob = await self.user(server, 1, "/ann"), await self.user(server, 2, "/bob")
        answer = await ann.begin("/ann/a.bin")
        texts = set()
        for name in (answer["upload"], secrets.token_hex(16), "a" * 64):
            error = await self.fails(NotFound, bob.do(cloud.Commit, upload=name, size=0, sha256="0" * 64))
            texts.add(error.text)
            error = await self.fails(NotFound, bob.begin("/ann/a.bin", upload=name))
            texts.add(error.text)
        self.assertEqual(len(texts), 1)

    async def test_wrong_values(self) -> None:
        """What no command takes is InvalidPayload, and the connection lives."""
        wire = await self.user(await self.serve_cloud(), 1, "/ann")
        answer = await wire.begin("/ann/a.bin")
        for command, arguments in (
            (cloud.Commit, {"upload": answer["upload"], "size": -1, "sha256": "0" * 64}),
            (cloud.Commit, {"upload": answer["upload"], "size": 0, "sha256": "g"}),
            (cloud.Upload, {"path": "/ann/b", "create": 1}),
            (cloud.Upload, {"path": "/ann/../b", "create": True}),
            (cloud.Read, {"path": "/ann/b", "offset": -1}),
            (cloud.List, {"path": "/ann", "limit": 1_001}),
            (cloud.List, {"path": "/ann", "limit": 10, "after": "\x00nonsense"}),
            (cloud.Assign, {"path": "/ann", "role": "viewer", "user": {}}),
            (cloud.Assign, {"path": "/ann", "role": "viewer", "user": {"id": 1, "name": "ann"}}),
            (cloud.Restore, {"path": "/ann"}),
            (cloud.Delete, {"path": "/ann", "type": "link"}),
            (cloud.Write, {"path": "/ann/b", "create": True, "data": "text"}),
        ):
            # As another client would send them: not checked before they leave.
            await self.fails(InvalidPayload, unchecked(wire, command, arguments))
        await wire.write("/ann/b", b"1")


class HostileDownloadTests(CloudTestCase):
    """Downloads that are begun and not read."""

    async def trickle(self, wire: CloudWire) -> Kept:
        sink = Kept()
        answer = await wire.do(cloud.Read, path="/ann/a.bin", offset=0)
        wire.peer.attach(answer["stream"], Incoming(sink, window=1))
        return sink

    async def test_a_byte_at_a_time(self) -> None:
        """Whoever takes single bytes keeps nobody else waiting, and is given up when it is too slow for too long."""
        server = await self.serve_cloud(limits={"cloud_stalled": 0.5, "frame_rate": MIB})
        wire, other = await self.user(server, 1, "/ann"), await self.user(server, 2, "/bob")
        data = content_of(2 * MIB)
        await wire.upload("/ann/a.bin", data)
        sinks = [await self.trickle(wire) for _ in range(4)]
        await other.upload("/bob/a.bin", data)
        self.assertEqual(await other.read("/bob/a.bin"), data)
        for sink in sinks:
            self.assertIsInstance(await sink.over, DeadlineExceeded)
            self.assertEqual(bytes(sink.received), data[: len(sink.received)])
        await self.until(lambda: open_objects() == 0)

    async def test_never_read(self) -> None:
        """No credit at all: the descriptor is wanted back, and the connection lives."""
        server = await self.serve_cloud(limits={"cloud_stalled": 0.3})
        wire = await self.user(server, 1, "/ann")
        await wire.upload("/ann/a.bin", content_of(2 * MIB))
        for _ in range(3):
            await wire.do(cloud.Read, path="/ann/a.bin", offset=0)
        self.assertEqual(open_objects(), 3)
        await self.until(lambda: open_objects() == 0)
        await wire.do(cloud.Stat, path="/ann/a.bin")

    async def test_gone_in_the_middle(self) -> None:
        """Connections that end while they are sent to leave nothing open."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        await wire.upload("/ann/a.bin", content_of(8 * MIB))
        for _ in range(5):
            reader = await self.cloud_wire(server, wire.token)
            sink = Kept()
            sink.slow = Deferred()
            reader.receive(await reader.do(cloud.Read, path="/ann/a.bin", offset=0), sink)
            await sink.reached(1)
            await reader.abort()
        await self.until(lambda: open_objects() == 0)

    async def test_cancelled_asks(self) -> None:
        """Reads and uploads that are given up before their answer leave nothing open either."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        await wire.upload("/ann/a.bin", content_of(MIB))
        for _ in range(30):
            for command, arguments in (
                (cloud.Read, {"path": "/ann/a.bin", "offset": 0}),
                (cloud.Upload, {"path": "/ann/b.bin", "create": True}),
            ):
                asked = wire.do(command, **arguments)
                asked.addErrback(lambda _: None)
                asked.cancel()
        await self.until(lambda: open_objects() == 0)
        await wire.do(cloud.Stat, path="/ann/a.bin")


class HostileStrangerTests(CloudTestCase):
    """Somebody who has not logged in."""

    async def test_everything_is_refused(self) -> None:
        """Alike for what is there and what is not."""
        server = await self.serve_cloud()
        ann = await self.user(server, 1, "/ann")
        await ann.write("/ann/a", b"1")
        stranger = await self.cloud_wire(server)
        user = {"name": "ann"}
        for command, more in (
            (cloud.Stat, {}),
            (cloud.List, {}),
            (cloud.Tree, {}),
            (cloud.Find, {"pattern": "*"}),
            (cloud.MakeDirectory, {"parents": True}),
            (cloud.MakeFile, {}),
            (cloud.Write, {"data": b"", "create": True}),
            (cloud.Upload, {"create": True}),
            (cloud.Read, {"offset": 0}),
            (cloud.Delete, {}),
            (cloud.Move, {"to": "/x"}),
            (cloud.Copy, {"to": "/x"}),
            (cloud.Versions, {}),
            (cloud.Restore, {"version": 1}),
            (cloud.Deleted, {}),
            (cloud.Assign, {"user": user, "role": "owner"}),
            (cloud.Unassign, {"user": user}),
            (cloud.Roles, {}),
            (cloud.OwnPermissions, {}),
            (cloud.Log, {}),
            (cloud.Lock, {"seconds": 10}),
            (cloud.Unlock, {"lock": "0" * 32}),
            (cloud.Watch, {}),
        ):
            texts = set()
            for path in ("/ann", "/ann/a", "/nobody", "/nobody/a"):
                error = await self.fails(FluxonError, stranger.do(command, path=path, **more))
                self.assertIsInstance(error, PermissionDenied, f"{command.name} {path}")
                texts.add(error.text)
            self.assertEqual(len(texts), 1, f"{command.name}: {texts}")


def unchecked(wire: CloudWire, command: Any, arguments: dict[str, Any]) -> Deferred[Any]:
    """Ask without the check that this side makes."""

    class Unchecked(command):  # type: ignore[misc]
        @classmethod
        def check_arguments(cls, arguments: Any) -> None:
            return

    return wire.peer.ask(Unchecked, arguments, 20)
