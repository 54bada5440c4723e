"""``CloudStorageServer``: inside a main server and alone, its start, its stop, and everything that can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
from cloud_serving import MIB, CloudTestCase, Held, Kept, Model, claim, content_of, login
from serving import Person
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from fluxon.cloud.serving import uploads
from fluxon.commands import Call, cloud
from fluxon.endpoint import AsyncServer, CloudStorageServer
from fluxon.endpoint.metrics.figures import samples
from fluxon.errors import ConfigurationError, FluxonError, NotFound, PermissionDenied, Unauthenticated, Unavailable
from fluxon.routing import Request


async def read_in_view(request: Request) -> Any:
    """A file, from an async view: its content, its creator, and whether it is whose it should be."""
    file = await Model.filesystem.path(request.payload)
    return [await file.read(), file.creator == request.user]


def read_in_thread(request: Request) -> Any:
    """The same from a plain view, and by the server."""
    file = request.server.cloud.path(request.payload)
    return [file.read(), file.creator == request.user]


class TogetherTests(CloudTestCase):
    """Both servers in one process."""

    async def test_sessions_are_shared(self) -> None:
        """Who logs in at one is known at the other with the same token, and who logs out is no more."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        self.assertEqual((await wire.do(cloud.Stat, path="/ann"))["item"]["creator"], "ann")
        await server.sessions.revoke_user(1)
        await self.fails(PermissionDenied, wire.make("/more"))

    async def test_hello_first(self) -> None:
        """As at every port; and there are no views here."""
        server = await self.serve_cloud()
        wire = await self.cloud_wire(server, greet=False)
        await self.fails(Unauthenticated, wire.do(cloud.Stat, path="/"))
        await wire.hello()
        await self.fails(NotFound, wire.peer.ask(Call, {"view": "login", "payload": 1}))

    async def test_in_views(self) -> None:
        """``filesystem`` of the model, and ``request.server.cloud``, in views of both kinds."""
        server = await self.serve_cloud(read_in_view, read_in_thread)
        main = await self.logged_in(server, 1)
        wire = await self.cloud_wire(server, main.token)
        await wire.make("/ann")
        await main.call("claim", "/ann")
        await wire.write("/ann/a", b"hers")
        for view in ("read_in_view", "read_in_thread"):
            self.assertEqual(await main.call(view, "/ann/a"), [b"hers", True])

    async def test_started_again(self) -> None:
        """With the same files; nothing of the first run is in the way."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        await wire.write("/ann/a", b"kept")
        await server.stopService()
        assert server.cloud_storage is not None
        self.assertRaises(Unavailable, lambda: server.cloud_storage.listening_port)
        self.assertRaises(Unavailable, lambda: server.cloud)
        server.startService()
        await server.when_ready()
        again = await self.cloud_wire(server, wire.token)
        self.assertEqual(await again.read("/ann/a"), b"kept")

    async def test_its_port_is_taken(self) -> None:
        """The whole server does not start, and what it had opened is closed."""
        first = await self.serve_cloud()
        assert first.cloud_storage is not None
        port = first.cloud_storage.listening_port.getHost().port
        setup = self.setup_of(folder="other")
        await first.stopService()
        await first.when_ready().addErrback(lambda _: None)
        blocker = await self.start(setup, endpoint=f"tcp:{port}:interface=127.0.0.1")
        server = AsyncServer(port=0, setup=self.cloud_setup(), cloud_storage=CloudStorageServer(port=port))
        server.startService()
        await self.fails(Unavailable, server.when_ready())
        await blocker.stopService()
        await server.stopService()
        server.startService()
        await server.when_ready()
        await server.stopService()


class DrainingTests(CloudTestCase):
    """A server that stops while bytes are under way."""

    async def test_transfers_end(self) -> None:
        """A download and an upload go on to their ends, its commit included; nothing new is begun."""
        # Whether an upload may go on is asked several times on its way.
        self.patch(uploads, "_ASK_AGAIN_AFTER", 2 * MIB)
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        data = content_of(8 * MIB)
        await wire.upload("/ann/a.bin", data)
        sink = Kept()
        sink.slow = Deferred()
        wire.receive(await wire.do(cloud.Read, path="/ann/a.bin", offset=0), sink)
        answer = await wire.begin("/ann/b.bin")
        source = Held(data, MIB)
        sending = wire.send(answer, source)
        await source.stopped
        idle = await self.cloud_wire(server)
        stopped = server.stopService()
        await idle.lost
        for begun in (
            wire.do(cloud.Read, path="/ann/a.bin", offset=0),
            wire.begin("/ann/new.bin"),
            wire.begin("/ann/b.bin", upload=answer["upload"]),
        ):
            await self.fails(Unavailable, begun)
        slow, sink.slow = sink.slow, None
        slow.callback(None)
        source.go_on()
        await sending.when_done()
        self.assertIsNone(await sink.over)
        self.assertEqual((await wire.commit(answer, data))["size"], len(data))
        await stopped
        await wire.lost
        self.assertEqual(bytes(sink.received), data)

    async def test_within_the_limit(self) -> None:
        """What does not end in time is ended, and its client told."""
        server = await self.serve_cloud(limits={"drain": 0.3})
        wire = await self.user(server, 1, "/ann")
        await wire.upload("/ann/a.bin", content_of(8 * MIB))
        sink = Kept()
        sink.slow = Deferred()
        wire.receive(await wire.do(cloud.Read, path="/ann/a.bin", offset=0), sink)
        await wire.begin("/ann/b.bin")
        await server.stopService()
        self.assertIsInstance(await sink.over, FluxonError)
        await wire.lost

    async def test_hurried(self) -> None:
        """Told to hurry, it does not wait."""
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        await wire.begin("/ann/b.bin")
        stopped = server.stopService()
        server.hurry()
        await stopped
        await wire.lost


class AloneTests(CloudTestCase):
    """A cloud server without a main one in its process."""

    async def test_as_a_service(self) -> None:
        """It has its own database and sessions, and stops as others do."""
        server = CloudStorageServer(port=0, setup=self.cloud_setup())
        server.startService()
        self.addCleanup(lambda: server.stopService() if server.running else None)
        await server.when_ready()
        await Person.Insert(username="ann", password="x")
        stranger = (await server.sessions.resume(None)).session
        _, token = await server.sessions.login(stranger, 1)
        wire = await self.cloud_wire(server, token)
        self.assertEqual((await wire.make("/ann"))["creator"], "ann")
        await server.stopService()
        await wire.lost
        self.assertRaises(Unavailable, lambda: server.listening_port)

    async def test_not_alone(self) -> None:
        """What belongs to a main server is started by that."""
        part = CloudStorageServer(port=0)
        AsyncServer(port=0, setup=self.cloud_setup(), cloud_storage=part)
        part.startService()
        await self.fails(ConfigurationError, part.when_ready())
        await part.stopService()


class ConfigurationTests(CloudTestCase):
    """Mistakes are named when the setup or the server is made."""

    def refused(self, word: str, **keywords: Any) -> None:
        setup = self.cloud_setup()
        error = self.assertRaises(ConfigurationError, attrs.evolve, setup, **keywords)
        self.assertIn(word, error.text)

    def test_setup(self) -> None:
        """Folder and model belong together and to a database; numbers are numbers."""
        self.refused("cloud_folder", cloud_folder=None)
        self.refused("cloud_auth_model", cloud_auth_model=None)
        self.refused("cloud_auth_model", cloud_auth_model="Model")
        self.refused("database", models=None, database_path=None, database_api=None)
        for name in ("cloud_versions", "cloud_keep_days", "cloud_user_quota"):
            for value in (-1, "10", 1.5, True):
                self.refused(name, **{name: value})

    def test_servers(self) -> None:
        """A cloud needs a setup that has one, and belongs to one server."""
        plain, setup = self.setup_of(folder="plain"), self.cloud_setup()
        for wrong in (
            lambda: AsyncServer(setup=plain, cloud_storage=CloudStorageServer()),
            lambda: CloudStorageServer(setup=plain),
            lambda: AsyncServer(setup=setup, cloud_storage="8888"),  # type: ignore[arg-type]
            lambda: AsyncServer(setup=setup, cloud_storage=CloudStorageServer(setup=self.cloud_setup())),
        ):
            self.assertRaises(ConfigurationError, wrong)
        part = CloudStorageServer()
        AsyncServer(setup=setup, cloud_storage=part)
        self.assertRaises(ConfigurationError, lambda: AsyncServer(setup=setup, cloud_storage=part))

    async def test_without_users(self) -> None:
        """A cloud whose project has no AuthenticatedUser cannot start, and says why."""
        setup = attrs.evolve(self.cloud_setup(login, claim), models=[])
        server = CloudStorageServer(port=0, setup=setup)
        server.startService()
        error = await self.fails(ConfigurationError, server.when_ready())
        self.assertIn("AuthenticatedUser", error.text)
        await server.stopService()
        self.assertTrue(Path("project").is_dir())

    async def test_without_a_setup(self) -> None:
        """What has neither a setup nor a main server says so when it is started; what is no setup is refused."""
        server = CloudStorageServer(port=0)
        server.startService()
        error = await self.fails(ConfigurationError, server.when_ready())
        self.assertIn("CloudStorageServer(setup=router.setup)", error.text)
        await server.stopService()
        error = self.assertRaises(ConfigurationError, CloudStorageServer, setup={})
        self.assertIn("Setup of router.py", error.text)

    async def test_a_folder_that_cannot_be(self) -> None:
        """Nothing is served without the files, and nothing stays open: the same server starts when it is mended."""
        setup = self.cloud_setup()
        place = Path("project/cloud")
        place.write_text("a file where the folder should be")
        server = AsyncServer(port=0, setup=setup, cloud_storage=CloudStorageServer(port=0))
        server.startService()
        self.addCleanup(server.stopService)
        await self.fails((ConfigurationError, OSError), server.when_ready())  # type: ignore[arg-type]
        await server.stopService()
        place.unlink()
        server.startService()
        await server.when_ready()
        self.assertIsNotNone(server.cloud)


class OpeningTests(CloudTestCase):
    """What the log says of the files when they are opened."""

    async def test_the_rest_of_a_crash(self) -> None:
        """What no row names is removed, and counted; what rows name is left."""
        said: list[str] = []

        def observe(event: Any) -> None:
            said.append(event.get("swept", ""))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        server = await self.serve_cloud()
        wire = await self.user(server, 1, "/ann")
        await wire.write("/ann/a", b"hers" * 10_000)
        await server.stopService()
        rest = Path("project/cloud/objects/ab") / ("ab" + "0" * 30)
        rest.write_bytes(b"x" * 5)
        await self.start(self.cloud_setup(), cloud_storage=CloudStorageServer(port=0))
        self.assertFalse(rest.exists())
        self.assertEqual(
            [each for each in said if each],
            [
                "0 objects, all of them named by rows",
                "2 objects, and 1 files of 5 bytes removed that no row names",
            ],
        )

    async def test_metrics_of_it_alone(self) -> None:
        """A cloud without a main server tells its own numbers, and none of groups, which it does not have."""
        server = CloudStorageServer(port=0, setup=self.cloud_setup())
        server.startService()
        self.addCleanup(server.stopService)
        await server.when_ready()
        found = [(name, *labels.values()) for name, _, labels, _ in samples(server._running())]
        self.assertIn(("fluxon_connections", "cloud"), found)
        self.assertIn(("fluxon_queue", "cloud"), found)
        self.assertFalse([name for name, *_ in found if "group" in name])
