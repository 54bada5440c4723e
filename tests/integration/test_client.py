"""The client for Twisted programs against a real server on the same reactor, over real sockets."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python import threadable
from twisted.trial.unittest import TestCase

from fluxon.connect import Client, ConnectionInterface, connect
from fluxon.connect import reconnecting as reconnecting_module
from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.endpoint import AsyncServer
from fluxon.errors import (
    Cancelled,
    ConfigurationError,
    DeadlineExceeded,
    Internal,
    InvalidPayload,
    OutcomeUnknown,
    PermissionDenied,
    ProtocolError,
    Unavailable,
    UnknownView,
    Unserialisable,
    UntrustedServer,
)
from fluxon.routing import Setup


def views(never: list[Deferred[None]]) -> dict[str, Any]:
    """A project's models and views, made anew: a model belongs to one database.

    ``slow`` leaves in ``never`` what it waits for.
    """

    class User(models.AuthenticatedUser):
        username = models.CharField(max_length=100, unique=True)

    async def echo(request: Any) -> Any:
        return request.payload

    async def slow(request: Any) -> None:
        waiting: Deferred[None] = Deferred()
        never.append(waiting)
        await waiting

    async def refuse(request: Any) -> None:
        raise PermissionDenied("not for you")

    async def sign_in(request: Any) -> None:
        rows = await User.Check(fetch=1)
        await request.login(rows[0].id if rows else await User.Insert(username="emma"))

    async def sign_out(request: Any) -> None:
        await request.logout()

    async def who(request: Any) -> Any:
        return request.user.username if request.user else None

    async def session(request: Any) -> Any:
        return request.sessionid

    async def call_back(request: Any) -> Any:
        return await request.connection.send(request.payload["name"], request.payload["payload"])

    mapping = [echo, slow, refuse, sign_in, sign_out, who, session, call_back]
    return {"models": [User], "mapping": {each.__name__: each for each in mapping}}


class ClientTestCase(TestCase):
    """A server of each test's own, which may be stopped and started again."""

    secure = False

    async def setUp(self) -> None:
        before = threadable.ioThread
        threadable.registerAsIOThread()
        self.addCleanup(setattr, threadable, "ioThread", before)
        self.folder = Path(tempfile.mkdtemp(prefix="fluxon-client-"))
        self.addCleanup(shutil.rmtree, self.folder)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.never: list[Deferred[None]] = []
        self.server = self.make_server()
        await self.start_server()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.stop_server()))

    def make_server(self) -> AsyncServer:
        setup = Setup(
            **views(self.never),
            secrets=self.folder / "secrets",
            database_path=self.folder / "database.sqlite3",
            database_api=SQLiteDatabase,
            database_schema_dir=self.folder / "schema",
        )
        return AsyncServer(port=self.port, secure=self.secure, setup=setup, host="127.0.0.1", reactor=reactor)

    async def start_server(self) -> None:
        self.server.startService()
        await self.server.when_ready()

    async def stop_server(self) -> None:
        if self.server.running:
            await self.server.stopService()

    async def connect(self, where: Any = None, **keywords: Any) -> Client:
        if self.secure:
            keywords = {"secure": True, "trust": self.folder / "secrets" / "certificate.pem", **keywords}
        client = await connect(
            reactor, where or f"localhost:{self.port}", **{"random": lambda: 0.0, "timeout": 10, **keywords}
        )
        self.addCleanup(client.close)
        return client

    async def until_lost(self, client: Client) -> None:
        while client._connector.current is not None:
            await deferLater(reactor, 0.001)


class CallTests(ClientTestCase):
    """Calls, and what can go wrong with one."""

    async def test_values_cross(self) -> None:
        """What the view returns is what the Deferred fires with."""
        client = await self.connect()
        for value in (None, {"a": [1, 2.5, b"x"]}, "naïve ✓"):
            self.assertEqual(await client.call("echo", value), value)

    async def test_any_endpoint(self) -> None:
        """A description or an endpoint of Twisted's does as well as host and port."""
        for where in (
            f"tcp:host=localhost:port={self.port}",
            TCP4ClientEndpoint(reactor, "127.0.0.1", self.port),
        ):
            self.assertEqual(await (await self.connect(where)).call("echo", 1), 1)

    async def test_errors(self) -> None:
        """A view's error, an unknown view, a payload that cannot be sent: each as itself, and the client goes on."""
        client = await self.connect()
        await self.assertFailure(client.call("refuse"), PermissionDenied)
        await self.assertFailure(client.call("nothing"), UnknownView)
        await self.assertFailure(client.call("echo", object()), Unserialisable)
        await self.assertFailure(client.call(""), InvalidPayload)
        await self.assertFailure(client.call("echo", timeout=0), InvalidPayload)
        self.assertEqual(await client.call("echo", 1), 1)

    async def test_deadline(self) -> None:
        """A call ends by its timeout, or by the client's own."""
        client = await self.connect(timeout=0.2)
        await self.assertFailure(client.call("slow"), DeadlineExceeded)
        await self.assertFailure(client.call("slow", timeout=0.1), DeadlineExceeded)
        self.assertEqual(await client.call("echo", 1), 1)

    async def test_cancel(self) -> None:
        """A cancelled call fails at once, and leaves nothing that waits."""
        client = await self.connect()
        call = client.call("slow")
        await client.call("echo")
        call.cancel()
        await self.assertFailure(call, Cancelled)
        current = client._connector.current
        assert current is not None
        self.assertEqual(dict(current.peer.conversation.asked), {})

    async def test_many_at_once(self) -> None:
        """More calls than the server takes at once wait their turn; every answer goes where it belongs."""
        client = await self.connect()
        answers = await gatherResults([client.call("echo", number) for number in range(500)])
        self.assertEqual(answers, list(range(500)))

    async def test_closed(self) -> None:
        """Closing fails what is under way and what comes later; closing twice is no error."""
        client = await self.connect()
        call = client.call("slow")
        await client.call("echo")
        await client.close()
        await self.assertFailure(call, OutcomeUnknown)
        self.never.pop().callback(None)
        self.assertIn("closed", (await self.assertFailure(client.call("echo"), Unavailable)).text)
        await client.close()
        self.assertIn("stopped", repr(client))

    async def test_forgotten_await(self) -> None:
        """A call that is not awaited cannot be taken for its answer."""
        client = await self.connect()
        call = client.call("echo", False)
        self.assertRaises(TypeError, bool, call)
        self.assertIs(await call, False)


class ReverseTests(ClientTestCase):
    """The server calls."""

    async def test_every_kind_of_function(self) -> None:
        """Plain functions, coroutines and Deferreds; each may call the server itself."""

        async def waits(a: int) -> Any:
            return await client.call("echo", a + 1)

        def deferred(a: int) -> Any:
            return client.call("echo", a + 2)

        client = await self.connect(functions={"plain": lambda a: a, "waits": waits})
        client.reverse_request_mapping({"deferred": deferred})
        for name, expected in (("plain", 1), ("waits", 2), ("deferred", 3)):
            self.assertEqual(await client.call("call_back", {"name": name, "payload": {"a": 1}}), expected)

    async def test_failures(self) -> None:
        """An unknown name, a wrong payload and a bug are each told to the server; the bug is logged here."""

        def broken() -> None:
            raise ZeroDivisionError

        client = await self.connect(functions={"broken": broken})
        for name, payload, error in (
            ("nothing", None, UnknownView),
            ("broken", {"surplus": 1}, InvalidPayload),
            ("broken", None, Internal),
        ):
            await self.assertFailure(client.call("call_back", {"name": name, "payload": payload}), error)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class SessionTests(ClientTestCase):
    """Who is logged in, over connections and restarts."""

    async def test_login_and_logout(self) -> None:
        """The session follows both."""
        client = await self.connect()
        await client.call("sign_in")
        self.assertEqual(await client.call("who"), "emma")
        await client.call("sign_out")
        self.assertIsNone(await client.call("who"))

    async def test_shared_session(self) -> None:
        """Two clients of one session log in and out together."""
        one = await self.connect()
        other = await self.connect(session=one)
        await one.call("sign_in")
        self.assertEqual(await gatherResults([other.call("who") for _ in range(5)]), ["emma"] * 5)
        await other.call("sign_out")
        self.assertIsNone(await one.call("who"))
        self.assertEqual(await one.call("session"), await other.call("session"))

    async def test_restart(self) -> None:
        """A call made while the server is away waits for it, and is still logged in."""
        client = await self.connect()
        await client.call("sign_in")
        await self.stop_server()
        await self.until_lost(client)
        call = client.call("who")
        self.server = self.make_server()
        await self.start_server()
        self.assertEqual(await call, "emma")

    async def test_lost_session(self) -> None:
        """An anonymous session dies with its server; the program is told."""
        lost: Deferred[str] = Deferred()
        client = await self.connect(on_session_lost=lambda: lost.callback("told"))
        before = await client.call("session")
        await self.stop_server()
        self.server = self.make_server()
        await self.start_server()
        self.assertEqual(await lost, "told")
        self.assertNotEqual(await client.call("session"), before)

    async def test_server_stays_away(self) -> None:
        """A call ends with its own timeout, and nothing was sent."""
        client = await self.connect()
        await self.stop_server()
        await self.until_lost(client)
        error = await self.assertFailure(client.call("echo", timeout=0.3), Unavailable)
        self.assertIn("nothing was sent", error.text)


class SecureTests(ClientTestCase):
    """The same over TLS."""

    secure = True

    async def test_call_and_restart(self) -> None:
        """TLS, a login, a lost connection and another handshake."""
        client = await self.connect()
        await client.call("sign_in")
        await self.stop_server()
        self.server = self.make_server()
        await self.start_server()
        await self.until_lost(client)
        self.assertEqual(await client.call("who"), "emma")

    async def test_untrusted(self) -> None:
        """Without trust= the generated certificate is refused, and the text says what to pass."""
        error = await self.assertFailure(connect(reactor, f"localhost:{self.port}", secure=True), UntrustedServer)
        self.assertIn("trust=", error.text)

    async def test_untrusted_and_waited_for(self) -> None:
        """Waiting does not mend a certificate: both clients tell at once."""
        where = f"localhost:{self.port}"
        await self.assertFailure(connect(reactor, where, secure=True, wait_for_server=3_600), UntrustedServer)
        blocking = ConnectionInterface("localhost", self.port, secure=True, wait_for_server=3_600)
        self.addCleanup(blocking.close)
        await self.assertFailure(deferToThread(blocking.when_connected), UntrustedServer)

    async def test_plain_client(self) -> None:
        """The advice is secure=True."""
        error = await self.assertFailure(connect(reactor, f"localhost:{self.port}"), Unavailable, ProtocolError)
        self.assertIn("secure=True", error.text)


class NotConnectedTests(TestCase):
    """What ``connect`` fails with; nothing is left behind by it."""

    async def refused(self, where: Any, *kinds: type[Exception], **keywords: Any) -> Any:
        return await self.assertFailure(connect(reactor, where, **keywords), *kinds)

    async def serve(self, first: bytes, *, close: bool = False) -> str:
        """Something that says ``first`` to whoever comes."""

        class Other(Protocol):
            def connectionMade(self) -> None:
                self.transport.write(first)
                if close:
                    self.transport.loseConnection()

        port = reactor.listenTCP(0, Factory.forProtocol(Other), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"127.0.0.1:{port.getHost().port}"

    async def test_nobody_listens(self) -> None:
        """Host and port are named."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            where = f"127.0.0.1:{probe.getsockname()[1]}"
        self.assertIn(f"nobody listens at {where}", (await self.refused(where, Unavailable)).text)

    async def test_unknown_host(self) -> None:
        """The name is named."""
        self.assertIn("no-such-host", (await self.refused("no-such-host.invalid:80", Unavailable)).text)

    async def test_other_servers(self) -> None:
        """HTTP, SSH and TLS are recognised."""
        for first, words in (
            (b"HTTP/1.1 400\r\n\r\n", "HTTP"),
            (b"SSH-2.0-x\r\n", "SSH"),
            (b"\x15\x03\x03\0\2\2\x16", "TLS"),
        ):
            self.assertIn(words, (await self.refused(await self.serve(first), ProtocolError)).text)

    async def test_closes_at_once(self) -> None:
        """A server that closes is told from one that says something else."""
        error = await self.refused(await self.serve(b"", close=True), Unavailable)
        self.assertIn("closed the connection", error.text)

    async def test_closes_within_its_first_answer(self) -> None:
        """Nothing was wrong so far: a lost connection, and no server of another kind."""
        error = await self.refused(await self.serve(b"\0\0\0", close=True), Unavailable)
        self.assertIn("within the server's first answer", error.text)

    async def test_never_answers(self) -> None:
        """An attempt ends."""
        self.patch(reconnecting_module, "ATTEMPT", 0.2)
        error = await self.refused(await self.serve(b""), Unavailable)
        self.assertIn("does not answer", error.text)

    async def test_no_tls(self) -> None:
        """A TLS client at another server is refused, whatever that says."""
        where = await self.serve(b"HTTP/1.1 400\r\n\r\n")
        await self.refused(where, UntrustedServer, ProtocolError, secure=True)

    async def test_wrong_arguments(self) -> None:
        """What can never work fails at once."""
        await self.refused("nothing:at:all", ConfigurationError)
        await self.refused(8080, ConfigurationError)
        await self.refused("localhost:99999", ConfigurationError)
        await self.refused("localhost", ConfigurationError, trust="file.pem")
        await self.refused("unix:/run/nothing", ConfigurationError, secure=True)
        await self.refused("localhost:8080", ConfigurationError, secure=True, trust="/nowhere.pem")

    async def test_waits_for_the_server(self) -> None:
        """A client run as a service keeps trying; once the server is there, it is connected."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        client = Client(reactor, f"127.0.0.1:{port}", random=lambda: 0.0)
        client.startService()
        self.addCleanup(client.close)
        await self.assertFailure(client.when_connected(), Unavailable)
        folder = Path(tempfile.mkdtemp(prefix="fluxon-client-"))
        self.addCleanup(shutil.rmtree, folder)

        async def echo(request: Any) -> Any:
            return request.payload

        server = AsyncServer(port=port, setup=Setup(mapping={"echo": echo}, secrets=folder / "secrets"))
        server.startService()
        await server.when_ready()
        self.addCleanup(server.stopService)
        while (
            not client._connector._pausing and client._connector.current is None
        ):  # an attempt from before the server listened may still be failing
            await deferLater(reactor, 0.001)
        await client.when_connected()
        self.assertEqual(await client.call("echo", 1), 1)
        # Called from a thread, a Deferred client is of no use; its blocking sibling is.
        with ConnectionInterface("127.0.0.1", port) as blocking:
            self.assertEqual(await deferToThread(blocking.send_request, "echo", 2), 2)
