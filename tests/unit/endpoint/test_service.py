"""``AsyncServer`` as a Twisted service: starting, stopping, company, and everything that can be wrong at the start."""

from __future__ import annotations

import socket
import stat
import threading
from pathlib import Path
from typing import Any

from descriptors import open_files
from serving import Person, ServingTestCase, Wire
from twisted.application.service import MultiService, Service
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, serverFromString
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

from fluxon.connect import connect
from fluxon.endpoint import AsyncServer
from fluxon.errors import (
    ConfigurationError,
    InsecureSecrets,
    Unavailable,
)
from fluxon.routing import Request


async def echo(request: Request) -> Any:
    return request.payload


async def who(request: Request) -> Any:
    return None if request.user is None else request.user.username


def descriptors() -> set[str]:
    """What this process has open, without what Python and the reactor keep."""
    return {each for each in open_files().values() if each.startswith(("socket:", str(Path.cwd())))}


class Observed(ServingTestCase):
    """``self.logged()`` is what was logged, as text."""

    def setUp(self) -> None:
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def logged(self, word: str) -> list[str]:
        texts = [str(each.get("reason") or each.get("line") or each.get("address") or "") for each in self.events]
        return [each for each in texts if word in each]


class LifeTests(Observed):
    """Start, stop, and what callers hear meanwhile."""

    async def test_beside_another_service(self) -> None:
        """A parent starts and stops it with its other services, and two servers fit into one parent."""
        started: list[str] = []

        class Other(Service):
            def startService(self) -> None:
                started.append("other")

        parent = MultiService()
        Other().setServiceParent(parent)
        servers = [AsyncServer(port=0, setup=self.setup_of(echo, folder=name)) for name in ("one", "two")]
        for server in servers:
            server.setServiceParent(parent)
        parent.startService()
        self.addCleanup(lambda: parent.running and parent.stopService())
        for server in servers:
            await server.when_ready()
            self.assertEqual(await (await self.wire(server)).call("echo", 1), 1)
        self.assertEqual(started, ["other"])
        await parent.stopService()
        for server in servers:
            self.assertRaises(Unavailable, lambda server=server: server.listening_port)

    async def test_start_stop_start(self) -> None:
        """It can be started again, at once, and serves the same users; nothing stays open in between."""
        before = descriptors()
        server = await self.serve(echo, who, users=True)
        await Person.Insert(username="ann", password="x")
        for _ in range(2):
            await server.stopService()
            self.assertEqual(descriptors(), before)
            server.startService()
            await server.when_ready()
            self.assertEqual(await Person.Count(), 1)
            wire = await self.wire(server)
            self.assertEqual(await wire.call("echo", 1), 1)
            await wire.abort()

    async def test_start_before_the_stop_is_over(self) -> None:
        """Told to start while it stops, it starts when that is done; the last word holds, whatever came before."""
        server = await self.serve(echo, users=True)
        stopped = server.stopService()
        server.startService()
        ready = server.when_ready()
        await stopped
        await ready
        self.assertEqual(await (await self.wire(server)).call("echo", 1), 1)
        server.stopService()
        server.startService()
        last = server.stopService()
        await self.assertFailure(server.when_ready(), Unavailable)
        await last
        self.assertRaises(Unavailable, lambda: server.listening_port)

    async def test_stop_during_start(self) -> None:
        """It is carried to its end, so that its outcome is known, and then stopped; nothing stays open."""
        before = descriptors()
        server = AsyncServer(port=0, setup=self.setup_of(echo, users=True))
        server.startService()
        order: list[str] = []
        waiting = server.when_ready().addCallback(lambda _: order.append("ready"))
        await server.stopService().addCallback(lambda _: order.append("stopped"))
        await waiting
        self.assertEqual(order, ["ready", "stopped"])
        self.assertEqual(descriptors(), before)

    async def test_stopped_before_its_turn(self) -> None:
        """A start that was taken back while another stop was going on does not happen."""
        server = await self.serve(echo, users=True)
        first = server.stopService()
        server.startService()
        waiting = server.when_ready()
        second = server.stopService()
        await self.assertFailure(waiting, Unavailable)
        await first
        await second
        self.assertRaises(Unavailable, lambda: server.listening_port)

    async def test_when_ready(self) -> None:
        """Before the start it waits for it, while it runs it is there, after the stop it fails and does not hang."""
        server = AsyncServer(port=0, setup=self.setup_of(echo))
        early = server.when_ready()
        server.startService()
        self.assertIs(await early, server)
        self.assertIs(await server.when_ready(), server)
        await server.stopService()
        await self.assertFailure(server.when_ready(), Unavailable)

    async def test_asked_while_it_does_not_run(self) -> None:
        """Its parts and its calls say that it does not run, instead of an AttributeError."""
        server = AsyncServer(port=0, setup=self.setup_of(echo))
        for use in (
            lambda: server.sessions,
            lambda: server.database,
            lambda: server.listening_port,
            lambda: server.reverse_request(1, "x"),
            lambda: server.call_client(1, "x"),
        ):
            self.assertRaises(Unavailable, use)

    async def test_one_project_in_two_servers(self) -> None:
        """Models belong to one database: the second server says so, and the first one goes on."""
        first = await self.serve(echo, users=True)
        second = AsyncServer(port=0, setup=self.setup_of(echo, folder="second", users=True))
        second.startService()
        error = await self.fails(ConfigurationError, second.when_ready())
        self.assertIn("bound to another database", error.text)
        self.assertEqual(await Person.Count(), 0)
        self.assertEqual(await (await self.wire(first)).call("echo", 1), 1)
        await second.stopService()

    async def test_starting_keeps_the_reactor_free(self) -> None:
        """Keys, schema and database are opened in threads: the reactor turns while they are."""
        turns = 0
        server = AsyncServer(port=0, setup=self.setup_of(echo, users=True))
        server.startService()
        self.addCleanup(server.stopService)
        ready = server.when_ready()
        while not ready.called:
            turns += 1
            await deferLater(reactor, 0)
        await ready
        self.assertGreater(turns, 3)


class DrainTests(Observed):
    """Stopping lets what runs end."""

    async def test_running_views_end(self) -> None:
        """A coroutine and a plain view give their answers; a new request is told that the server stops."""
        go: Deferred[None] = Deferred()
        released = threading.Event()
        self.addCleanup(released.set)

        async def waits(request: Request) -> str:
            await go
            delivered = await request.connection.send("told", 1)
            return f"done {delivered}"

        def hangs(request: Request) -> str:
            released.wait(20)
            return "done"

        server = await self.serve(waits, hangs, echo)
        wire, idle = await self.wire(server), await self.wire(server)
        wire.functions["told"] = lambda payload: payload + 1
        asked, hung = wire.ask("waits"), wire.ask("hangs")
        await wire.call("echo")
        over: list[Any] = []
        stopped = server.stopService().addCallback(over.append)
        error = await self.fails(Unavailable, wire.call("echo"))
        self.assertIn("stopping", error.text)
        await idle.lost
        self.assertEqual((asked.called, hung.called, over), (False, False, []))
        go.callback(None)
        self.assertEqual(await asked, "done 2")
        released.set()
        self.assertEqual(await hung, "done")
        await stopped
        await wire.lost

    async def test_views_that_do_not_end(self) -> None:
        """After ``Limits.drain`` their connections are ended; a hung thread keeps nothing alive."""
        released = threading.Event()
        self.addCleanup(released.set)

        def hangs(request: Request) -> None:
            released.wait(20)

        async def never(request: Request) -> None:
            await Deferred()

        server = await self.serve(hangs, never, echo, limits={"drain": 0.1})
        wire = await self.wire(server)
        lost = [wire.ask("hangs"), wire.ask("never")]
        await wire.call("echo")
        await server.stopService()
        for each in lost:
            await self.fails(Exception, each)
        released.set()

    async def test_in_a_hurry(self) -> None:
        """Told once more, it does not wait."""

        async def never(request: Request) -> None:
            await Deferred()

        server = await self.serve(never, echo, limits={"drain": 1_000})
        wire = await self.wire(server)
        wire.ask("never").addErrback(lambda _: None)
        await wire.call("echo")
        stopped = server.stopService()
        while not wire.peer.lost:
            server.hurry()
            await deferLater(reactor, 0.005)
        await stopped

    async def test_strangers_who_never_said_hello(self) -> None:
        """They do not keep a server from stopping."""
        server = await self.serve(echo)
        wire = await self.wire(server, greet=False)
        await server.stopService()
        await wire.lost

    async def test_a_view_without_a_client(self) -> None:
        """One that goes on writing though its client is gone does not keep the database open."""
        written: list[Any] = []

        async def write(request: Request) -> None:
            try:
                while True:
                    written.append(await Person.Insert(username=f"person {len(written)}", password="x"))
            except (Unavailable, ConfigurationError):  # while it closes, and when it is closed
                written.append("the end")

        before = descriptors()
        server = await self.serve(write, users=True)
        wire = await self.wire(server)
        wire.ask("write").addErrback(lambda _: None)
        while not written:
            await deferLater(reactor, 0)
        await wire.abort()
        await server.stopService()
        while written[-1] != "the end":
            await deferLater(reactor, 0)
        self.assertEqual(descriptors(), before)


class ListeningTests(Observed):
    """Where it listens, and with what around it."""

    async def answers(self, where: str, **keywords: Any) -> Any:
        client = await connect(reactor, where, **keywords)
        self.addCleanup(client.close)
        return await client.call("echo", [1, "ä"])

    async def test_descriptions_and_endpoints(self) -> None:
        """A port, a description, an endpoint object: all listen; a bare port on this machine alone."""
        for number, keywords in enumerate(
            (
                {"port": "0"},
                {"endpoint": "tcp:0:interface=127.0.0.1"},
                {"endpoint": serverFromString(reactor, "tcp:0:interface=127.0.0.1")},
                {"endpoint": TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")},
                {"host": "127.0.0.1"},
            )
        ):
            server = AsyncServer(**{"port": 0, **keywords}, setup=self.setup_of(echo, folder=f"p{number}"))
            server.startService()
            await server.when_ready()
            host = server.listening_port.getHost()
            self.assertEqual(host.host, "127.0.0.1")
            self.assertEqual(await (await self.wire(server)).call("echo", 1), 1)
            await server.stopService()

    async def test_unix_socket(self) -> None:
        """A socket in the file system; there is no peername, and the socket goes with the server."""

        async def peername(request: Request) -> Any:
            return request.peername

        server = await self.start(self.setup_of(peername), endpoint="unix:chat.socket")
        wire = await Wire().connect("unix:chat.socket")
        self.addCleanup(wire.abort)
        await wire.hello(features=("lz4",))
        self.assertIsNone(await wire.call("peername"))
        await server.stopService()
        self.assertFalse(Path("chat.socket").exists())

    async def test_ipv6(self) -> None:
        """``host="::1"``."""
        if not socket.has_ipv6:
            self.skipTest("no IPv6 here")
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("this machine has no ::1")
        server = await self.start(self.setup_of(echo), host="::1")
        port = server.listening_port.getHost().port
        self.assertTrue(self.logged(f"[::1]:{port}"))
        wire = await Wire().connect(rf"tcp:\:\:1:{port}")
        self.addCleanup(wire.abort)
        await wire.hello()
        self.assertEqual(await wire.call("echo", 1), 1)

    async def test_tls(self) -> None:
        """``secure=True`` with the certificate of the secrets folder."""
        server = await self.start(self.setup_of(echo), secure=True, host="127.0.0.1")
        port = server.listening_port.getHost().port
        answer = await self.answers(f"localhost:{port}", secure=True, trust="project/keys/certificate.pem")
        self.assertEqual(answer, [1, "ä"])

    async def test_what_is_no_place(self) -> None:
        """Descriptions that Twisted does not know: refused in words, before anything is opened."""
        for keywords, word in (
            ({"port": "nonsense:1"}, "'nonsense:1' is no endpoint"),
            ({"endpoint": "nonsense"}, "'nonsense' is no endpoint"),
            ({"manhole": "nonsense:1"}, "manhole: 'nonsense:1' is no endpoint"),
            ({"metrics": "nonsense:1"}, "metrics: 'nonsense:1' is no endpoint"),
        ):
            server = AsyncServer(setup=self.setup_of(echo, folder="nowhere"), **keywords)  # type: ignore[arg-type]
            server.startService()
            error = await self.fails(ConfigurationError, server.when_ready())
            self.assertIn(word, error.text)
            self.assertEqual(len(self.logged(error.text)), 1)
            self.events.clear()
            await server.stopService()
        self.assertFalse(Path("nowhere", "keys").exists())

    def test_no_setup(self) -> None:
        """Without a setup there is no server; the text shows where it comes from."""
        for wrong in (None, {}, "router"):
            error = self.assertRaises(ConfigurationError, AsyncServer, setup=wrong)
            self.assertIn("router.setup", error.text)


class FailureTests(Observed):
    """A start that fails says why in one line, and leaves nothing open."""

    async def refused(self, setup: Any, kind: type[BaseException], *words: str, **keywords: Any) -> None:
        before = descriptors()
        server = AsyncServer(**{"port": 0, **keywords}, setup=setup)
        server.startService()
        error = await self.fails(kind, server.when_ready())
        for word in words:
            self.assertIn(word, str(error))
        self.assertEqual(self.logged(str(error)), [str(error)])
        self.assertEqual(descriptors(), before)
        self.assertEqual([each for each in threading.enumerate() if "writer" in each.name], [])
        await server.stopService()

    async def test_port_in_use(self) -> None:
        """The port is named; database, keys and log files are closed again."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            setup = self.setup_of(echo, users=True, logs_dir="logs")
            await self.refused(setup, Unavailable, str(port), "in use", port=port)
        self.assertIn("cannot start", Path("logs", "fluxon.log").read_text())
        # The same setup serves when the port is free.
        await self.start(setup)

    async def test_secrets_that_others_can_read(self) -> None:
        """Loose modes are refused with what to type."""
        setup = self.setup_of(echo, users=True)
        setup.secrets.open()
        Path("project/keys").chmod(0o755)
        await self.refused(setup, InsecureSecrets, "chmod 700")

    async def test_secrets_that_are_a_file(self) -> None:
        """What is no folder is none."""
        Path("keys").write_text("")
        await self.refused(self.setup_of(echo, secrets="keys"), (ConfigurationError, OSError))  # type: ignore[arg-type]

    async def test_database_that_cannot_be(self) -> None:
        """A path in a folder that is not there, or that is a folder, or no database."""
        Path("folder").mkdir()
        Path("text").write_text("this is no database, and it is long enough to be seen as none. " * 10)
        for path in ("nowhere/people.sqlite3", "folder", "text"):
            await self.refused(self.setup_of(echo, users=True, database_path=path), Exception)
            self.events.clear()

    async def test_a_certificate_that_is_none(self) -> None:
        """A secure server whose certificate cannot be read does not start without."""
        setup = self.setup_of(echo, users=True)
        setup.secrets.open()
        Path(setup.secrets.certificate_path).write_text("-----BEGIN CERTIFICATE-----\n")
        await self.refused(setup, Exception, secure=True, host="127.0.0.1")

    async def test_on_failure(self) -> None:
        """Whoever asked is told when a start fails, and not when it is stopped meanwhile."""
        told: list[Any] = []
        server = AsyncServer(port="nonsense:1", setup=self.setup_of(echo))
        server.on_failure(lambda failure: told.append(failure.value))
        server.startService()
        await self.fails(ConfigurationError, server.when_ready())
        self.assertEqual([type(each) for each in told], [ConfigurationError])
        await server.stopService()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            server.configured_port = taken.getsockname()[1]
            server.startService()
            await server.stopService()
        self.assertEqual(len(told), 1)

    async def test_a_database_that_is_none(self) -> None:
        """What was given as the adapter makes something else: said by the option's name, with what it made."""
        setup = self.setup_of(echo, database_path="x.sqlite3", database_api=lambda path: path)
        server = AsyncServer(setup=setup)
        server.startService()
        error = await self.fails(ConfigurationError, server.when_ready())
        self.assertIn("database_api made no database, but 'x.sqlite3'", error.text)
        await server.stopService()

    async def test_logs_that_cannot_be(self) -> None:
        """A file where the folder should be."""
        Path("logs").write_text("")
        await self.refused(self.setup_of(echo, logs_dir="logs"), OSError, "logs")


class LogTests(Observed):
    """The log folder."""

    async def test_nothing_private(self) -> None:
        """Payloads, passwords and tokens stay out, whatever fails; the file is for its owner and group."""

        async def fails(request: Request) -> None:
            raise ValueError("something broke")

        async def sign_up(request: Request) -> Any:
            await request.login(await Person.Insert(**request.payload))
            return {"secret": object(), "password": request.payload["password"]}

        async def again(request: Request) -> Any:
            return await Person.Update({Person.username: request.payload["username"]})

        server = await self.serve(fails, sign_up, again, echo, users=True, logs_dir="logs")
        wire = await self.wire(server, "v1.forged.token-of-a-thief.mac")
        private = {"username": "ann-the-private", "password": "S3cret-of-ann"}
        tokens = [wire.token]
        for view, payload in (
            ("fails", private),
            ("sign_up", private),
            ("sign_up", private),
            ("again", {"username": "x" * 300}),
            ("echo", private),
            ("no_such_view", private),
        ):
            await wire.ask(view, payload).addErrback(lambda _: None)
            tokens.append(wire.token)
        await wire.abort()
        await server.stopService()
        self.flushLoggedErrors()
        text = Path("logs/fluxon.log").read_text()
        self.assertIn("listening on", text)
        self.assertIn("incident", text)
        self.assertIn("something broke", text)
        lines = Path("logs/fluxon.jsonl").read_text()
        for secret in ("ann-the-private", "S3cret-of-ann", "token-of-a-thief", *map(str, tokens)):
            self.assertNotIn(secret, text + lines)
        for name in ("fluxon.log", "fluxon.jsonl"):
            self.assertEqual(stat.S_IMODE(Path("logs", name).stat().st_mode) & 0o027, 0)

    async def test_first_schema(self) -> None:
        """On an empty database the models become schema 1, and the log says so; later starts say nothing."""
        server = await self.serve(echo, users=True)
        self.assertTrue(self.logged("schema_00001"))
        self.assertTrue(Path("project/schema/schema_00001.sql").exists())
        await server.stopService()
        self.events.clear()
        server.startService()
        await server.when_ready()
        self.assertEqual(self.logged("schema"), [])
