"""``ConnectionInterface`` against a real server in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import fluxon
from fluxon.connect import ConnectionInterface
from fluxon.errors import (
    ConfigurationError,
    DeadlineExceeded,
    Internal,
    OutcomeUnknown,
    PermissionDenied,
    ProtocolError,
    ResourceExhausted,
    Unavailable,
    UnknownView,
    Unserialisable,
    UntrustedServer,
)

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 20.0

#: A child process finds the same Fluxon as this one.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fluxon.__file__).parent.parent)}

SERVER = """
import sys
from pathlib import Path
from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.endpoint import AsyncServer, run_server
from fluxon.errors import PermissionDenied
from fluxon.routing import Setup
from fluxon.security import Secrets
from twisted.internet import reactor
from twisted.internet.task import deferLater


class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)


async def echo(request):
    return request.payload


async def slow(request):
    await deferLater(reactor, 60)


async def refuse(request):
    raise PermissionDenied("not for you")


async def fail(request):
    raise ValueError("a secret of the server")


async def sign_in(request):
    rows = await User.Check(fetch=1)
    await request.login(rows[0].id if rows else await User.Insert(username="emma"))


async def sign_out(request):
    await request.logout()


async def who(request):
    return request.user.username if request.user else None


async def session(request):
    return request.sessionid


async def call_back(request):
    return await request.connection.send(request.payload["name"], request.payload["payload"])


async def tell_user(request):
    return await request.server.reverse_request(request.user.id, "told", request.payload)


async def large(request):
    return b"x" * request.payload


FOLDER = Path(__file__).parent
VIEWS = [echo, slow, refuse, fail, sign_in, sign_out, who, session, call_back, tell_user, large]
setup = Setup(
    mapping={view.__name__: view for view in VIEWS},
    models=[User],
    secrets=Secrets(FOLDER / "secrets"),
    database_schema_dir=FOLDER / "schema",
    database_path=FOLDER / "database.sqlite3",
    database_api=SQLiteDatabase,
)
server = AsyncServer(port=int(sys.argv[1]), secure=sys.argv[2] == "secure", setup=setup, host=sys.argv[3])
reactor.callWhenRunning(lambda: server.when_ready().addCallback(lambda _: print("READY", flush=True)))
run_server(server)
"""


class Server:
    """A server process, to be killed and started again at the same port."""

    def __init__(self, *, secure: bool = False, host: str = "127.0.0.1") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fluxon-client-"))
        (self.folder / "server.py").write_text(SERVER)
        self.secure = secure
        self.host = host
        with socket.create_server((host, 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.start()

    @property
    def certificate(self) -> str:
        return str(self.folder / "secrets" / "certificate.pem")

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "server.py", str(self.port), "secure" if self.secure else "plain", self.host],
            cwd=self.folder,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said.append(line)
            if line == "READY\n":
                break
        else:
            raise AssertionError("the server did not start:\n" + "".join(said))
        # Nobody may block on a full pipe.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)


class ServedTestCase(SynchronousTestCase):
    """One server for the tests of a class."""

    server: Server
    secure = False

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Server(secure=cls.secure)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.remove()

    def connect(self, **keywords: Any) -> ConnectionInterface:
        """A connection that this test closes."""
        if self.secure:
            keywords = {"secure": True, "trust": self.server.certificate, **keywords}
        connection = ConnectionInterface(keywords.pop("host", "localhost"), self.server.port, **keywords)
        self.addCleanup(connection.close)
        return connection


class RequestTests(ServedTestCase):
    """One request after the other, and what can go wrong with one."""

    def test_values_cross(self) -> None:
        """What the view returns is what the caller gets, for every kind of container and text."""
        connection = self.connect()
        for value in (None, True, -(2**63), 1.5, "naïve ✓", b"\x00\xff", [1, [2, {"a": None}]], {"k": [b"", ""]}):
            self.assertEqual(connection.send_request("echo", value), value)

    def test_named_as_in_the_documentation(self) -> None:
        """The keywords are the documented ones, and the payload may be left out."""
        connection = self.connect()
        self.assertEqual(connection.send_request(view_name="echo", payload={"a": 1}), {"a": 1})
        self.assertIsNone(connection.send_request("echo"))

    def test_errors_of_the_server(self) -> None:
        """An error of a view is raised as itself; a bug of a view tells no secret; the connection goes on."""
        connection = self.connect()
        refused = self.assertRaises(PermissionDenied, connection.send_request, "refuse")
        self.assertEqual(refused.text, "not for you")
        failed = self.assertRaises(Internal, connection.send_request, "fail")
        self.assertNotIn("secret", failed.text)
        self.assertIn("incident", failed.details)
        self.assertRaises(UnknownView, connection.send_request, "no_such_view")
        self.assertEqual(connection.send_request("echo", 1), 1)

    def test_what_cannot_be_sent(self) -> None:
        """Values that cannot cross, or are too large, are refused before anything is sent."""
        connection = self.connect()
        for value in (object(), {1: 2}, {"a": {3}}, 2**64):
            self.assertRaises(Unserialisable, connection.send_request, "echo", value)
        error = self.assertRaises(ResourceExhausted, connection.send_request, "echo", b"x" * 300_000)
        self.assertIn("file", error.text)
        self.assertEqual(connection.send_request("echo", b"x" * 200_000), b"x" * 200_000)

    def test_logging_in_allows_larger_frames(self) -> None:
        """The bound that the client keeps is the one that the server told, for who is logged in."""
        connection = self.connect()
        connection.send_request("sign_in")
        self.assertEqual(len(connection.send_request("echo", b"x" * 900_000)), 900_000)

    def test_large_answer(self) -> None:
        """Megabytes come back whole."""
        self.assertEqual(len(self.connect().send_request("large", 15_000_000)), 15_000_000)

    def test_deadline(self) -> None:
        """A view that takes too long costs its caller the timeout and no more, and says that it may have run."""
        connection = self.connect()
        connection.send_request("echo")
        began = time.monotonic()
        error = self.assertRaises(DeadlineExceeded, connection.send_request, "slow", timeout=0.2)
        self.assertLess(time.monotonic() - began, 5)
        self.assertIn("may or may not", error.text)
        self.assertEqual(connection.send_request("echo", "next"), "next")

    def test_default_timeout(self) -> None:
        """The timeout of the connection holds where the request has none of its own."""
        self.assertRaises(DeadlineExceeded, self.connect(timeout=0.3).send_request, "slow")

    def test_closed(self) -> None:
        """After close every request says so, and close may be called again."""
        connection = self.connect()
        with connection as same:
            self.assertIs(same, connection)
            connection.send_request("echo")
        self.assertIn("closed", self.assertRaises(Unavailable, connection.send_request, "echo").text)
        self.assertIn("closed", repr(connection))
        connection.close()

    def test_close_ends_what_waits(self) -> None:
        """A request under way in another thread ends at once, and its caller knows that it may have been done."""
        connection = self.connect()
        connection.send_request("echo")
        outcome: SimpleQueue[BaseException] = SimpleQueue()

        def ask() -> None:
            try:
                connection.send_request("slow")
            except BaseException as error:
                outcome.put(error)

        thread = threading.Thread(target=ask)
        thread.start()
        link = connection._connector.link
        assert link is not None
        while not link.conversation.asked:  # until it is sent
            time.sleep(0.001)
        connection.close()
        self.assertIsInstance(outcome.get(timeout=PATIENCE), OutcomeUnknown)
        thread.join()

    def test_threads_end(self) -> None:
        """A closed connection leaves no thread and no descriptor behind."""
        before, descriptors = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            with self.connect() as connection:
                connection.send_request("echo")
        self.assertEqual(set(threading.enumerate()) - before, set())
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), descriptors)

    def test_nobody_listens(self) -> None:
        """The first request says where nobody answers; making the connection is no error."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        with ConnectionInterface("127.0.0.1", port) as connection:
            began = time.monotonic()
            error = self.assertRaises(Unavailable, connection.send_request, "echo")
            self.assertIn(f"nobody listens at 127.0.0.1:{port}", error.text)
            self.assertLess(time.monotonic() - began, 5)

    def test_unknown_host(self) -> None:
        """A name that does not exist is told as such."""
        with ConnectionInterface("no-such-host.invalid", 8080) as connection:
            self.assertIn("no-such-host.invalid", self.assertRaises(Unavailable, connection.send_request, "x").text)

    def test_tls_client_at_a_plain_server(self) -> None:
        """The advice is to leave out secure=True."""
        with ConnectionInterface("localhost", self.server.port, secure=True) as connection:
            error = self.assertRaises(ProtocolError, connection.send_request, "echo")
        self.assertIn("does not speak TLS", error.text)

    def test_wrong_arguments(self) -> None:
        """What can never work is refused when the object is made."""
        for keywords in (
            {"host": ""},
            {"port": 0},
            {"port": "8080"},
            {"port": True},
            {"trust": "file.pem"},
        ):
            self.assertRaises(ConfigurationError, ConnectionInterface, **keywords)


class ThreadTests(ServedTestCase):
    """Many threads, and threads of others."""

    def test_sixteen_threads(self) -> None:
        """Every answer goes to the one who asked."""
        connection = self.connect()
        wrong: list[Any] = []

        def ask(number: int) -> None:
            for count in range(200):
                value = {"thread": number, "count": count, "text": "x" * (count * 7 % 900)}
                if connection.send_request("echo", value) != value:
                    wrong.append(value)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(PATIENCE * 3)
        self.assertEqual([each for each in threads if each.is_alive()], [])
        self.assertEqual(wrong, [])

    def test_more_at_once_than_the_server_takes(self) -> None:
        """Requests beyond the server's cap wait for their place instead of failing."""
        connection = self.connect()
        answers: SimpleQueue[Any] = SimpleQueue()

        def ask(number: int) -> None:
            answers.put(connection.send_request("echo", number))

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(300)]
        for each in threads:
            each.start()
        self.assertEqual(sorted(answers.get(timeout=PATIENCE) for _ in threads), list(range(300)))

    def test_neither_end_blocks_the_other(self) -> None:
        """Large payloads both ways from many threads: sockets full in both directions do not stop the traffic."""
        connection = self.connect()
        payload = os.urandom(250_000)
        wrong: SimpleQueue[bool] = SimpleQueue()

        def ask() -> None:
            for _ in range(5):
                wrong.put(connection.send_request("echo", payload) != payload)

        for _ in range(12):
            threading.Thread(target=ask).start()
        self.assertEqual([wrong.get(timeout=PATIENCE) for _ in range(60)], [False] * 60)

    def test_after_a_fork(self) -> None:
        """The child is told to make its own connection; closing there does not hurt the parent's."""
        connection = self.connect()
        connection.send_request("echo")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                connection.send_request("echo")
            except RuntimeError as error:
                status = 0 if "fork" in str(error) else 2
                connection.close()
            finally:
                os._exit(status)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertEqual(connection.send_request("echo", "still there"), "still there")

    def test_on_the_reactor_thread(self) -> None:
        """It would block everything, so it is refused, and the alternative is named."""
        from twisted.python import threadable

        connection = self.connect()
        connection.send_request("echo")
        before = threadable.ioThread
        threadable.registerAsIOThread()
        try:
            error = self.assertRaises(RuntimeError, connection.send_request, "echo")
        finally:
            threadable.ioThread = before
        self.assertIn("fluxon.connect.connect", str(error))

    def test_ctrl_c(self) -> None:
        """Ctrl+C ends a waiting request at once, tells the server, and the connection can be used afterwards."""
        connection = self.connect()
        connection.send_request("echo")
        link = connection._connector.link
        assert link is not None

        def interrupt() -> None:
            while not link.conversation.asked:
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)

        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        thread = threading.Thread(target=interrupt)
        thread.start()
        self.assertRaises(KeyboardInterrupt, connection.send_request, "slow")
        thread.join()
        self.assertEqual(connection.send_request("echo", 1), 1)
        self.assertEqual(dict(link.conversation.asked), {})

    def test_interpreter_ends(self) -> None:
        """A program that forgets to close, even in the middle of a request of another thread, ends all the same."""
        program = (
            "import sys, threading\n"
            "from fluxon.connect import ConnectionInterface\n"
            "connection = ConnectionInterface('localhost', int(sys.argv[1]))\n"
            "print(connection.send_request('echo', 'hello'))\n"
            "threading.Thread(target=connection.send_request, args=('slow',), daemon=True).start()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(self.server.port)],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "hello\n", ""))


class ReverseTests(ServedTestCase):
    """The server calls."""

    def test_called_with_the_payload(self) -> None:
        """A dict is keyword arguments; the function's result travels back."""
        connection = self.connect()
        connection.reverse_request_mapping({"add": lambda a, b: a + b, "first": lambda items: items[0]})
        request = {"name": "add", "payload": {"a": 2, "b": 3}}
        self.assertEqual(connection.send_request("call_back", request), 5)
        self.assertEqual(connection.send_request("call_back", {"name": "first", "payload": [7, 8]}), 7)

    def test_unknown_function(self) -> None:
        """The view gets UnknownView, as a client would."""
        request = {"name": "nothing", "payload": None}
        self.assertRaises(UnknownView, self.connect().send_request, "call_back", request)

    def test_failing_function(self) -> None:
        """A function's bug is logged here under an incident, and is an error there."""
        connection = self.connect()

        def broken() -> None:
            raise ZeroDivisionError

        connection.reverse_request_mapping({"broken": broken})
        error = self.assertRaises(Internal, connection.send_request, "call_back", {"name": "broken", "payload": None})
        self.assertIn("incident", error.details)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_function_asks_the_server(self) -> None:
        """A function that calls send_request does not deadlock, three calls deep."""
        connection = self.connect()

        def down(level: int) -> Any:
            if level == 0:
                return "bottom"
            return connection.send_request("call_back", {"name": "down", "payload": {"level": level - 1}})

        connection.reverse_request_mapping({"down": down})
        self.assertEqual(connection.send_request("call_back", {"name": "down", "payload": {"level": 3}}), "bottom")

    def test_in_order(self) -> None:
        """Messages arrive in the order in which the server sent them, none twice."""
        connection = self.connect()
        got: list[int] = []
        connection.reverse_request_mapping({"told": lambda number: got.append(number)})
        connection.send_request("sign_in")
        for number in range(50):
            self.assertTrue(connection.send_request("tell_user", {"number": number}))
        self.assertEqual(got, list(range(50)))


class SessionTests(ServedTestCase):
    """Who is logged in, over connections and restarts."""

    def test_login_and_logout(self) -> None:
        """The session follows login and logout, and the token with it."""
        connection = self.connect()
        self.assertIsNone(connection.send_request("who"))
        connection.send_request("sign_in")
        self.assertEqual(connection.send_request("who"), "emma")
        self.assertIn("logged in", repr(connection))
        connection.send_request("sign_out")
        self.assertIsNone(connection.send_request("who"))

    def test_two_clients_are_two_sessions(self) -> None:
        """Logging in on one says nothing about the other."""
        one, other = self.connect(), self.connect()
        one.send_request("sign_in")
        self.assertIsNone(other.send_request("who"))

    def test_shared_session(self) -> None:
        """Two connections of one session log in and out together, whichever does it."""
        one = self.connect()
        other = self.connect(session=one)
        self.assertEqual(one.send_request("session"), other.send_request("session"))
        one.send_request("sign_in")
        self.assertEqual(other.send_request("who"), "emma")
        other.send_request("sign_out")
        self.assertIsNone(one.send_request("who"))
        self.assertEqual(one.send_request("session"), other.send_request("session"))

    def test_shared_by_many_threads(self) -> None:
        """Whoever logs in while others ask on another connection costs nobody an error."""
        one = self.connect()
        other = self.connect(session=one)
        results: SimpleQueue[Any] = SimpleQueue()

        def ask() -> None:
            try:
                for _ in range(40):
                    results.put(other.send_request("echo", 1))
            except BaseException as error:
                results.put(error)

        for _ in range(4):
            threading.Thread(target=ask).start()
        for _ in range(10):
            one.send_request("sign_in")
        self.assertEqual([results.get(timeout=PATIENCE) for _ in range(160)], [1] * 160)
        self.assertEqual(other.send_request("who"), "emma")


class RestartTests(SynchronousTestCase):
    """The server is killed and comes back."""

    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.remove)
        self.lost: SimpleQueue[str] = SimpleQueue()
        self.connection = ConnectionInterface(
            "localhost", self.server.port, random=lambda: 0.0, on_session_lost=lambda: self.lost.put("lost")
        )
        self.addCleanup(self.connection.close)

    def kill_server(self) -> None:
        """Until the client has noticed: a request sent before that has an unknown outcome, which is another test."""
        self.server.kill()
        while self.connection._connector.link is not None:
            time.sleep(0.001)

    def test_still_logged_in(self) -> None:
        """A request made while the server is away waits for it, and the session is still logged in."""
        self.connection.send_request("sign_in")
        answer: SimpleQueue[Any] = SimpleQueue()
        for _ in range(2):
            self.kill_server()
            threading.Thread(target=lambda: answer.put(self.connection.send_request("who"))).start()
            self.server.start()
            self.assertEqual(answer.get(timeout=PATIENCE), "emma")
        self.assertTrue(self.lost.empty())

    def test_no_call_hangs(self) -> None:
        """What was under way when the server died ends at once, with an outcome that is told to be unknown."""
        self.connection.send_request("echo")
        outcomes: SimpleQueue[Any] = SimpleQueue()

        def ask() -> None:
            try:
                outcomes.put(self.connection.send_request("slow"))
            except BaseException as error:
                outcomes.put(error)

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for each in threads:
            each.start()
        link = self.connection._connector.link
        assert link is not None
        while len(link.conversation.asked) < 16:
            time.sleep(0.001)
        self.server.kill()
        for _ in threads:
            self.assertIsInstance(outcomes.get(timeout=PATIENCE), OutcomeUnknown)

    def test_server_stays_away(self) -> None:
        """A request that waits for the connection ends with its own timeout, and nothing was done."""
        self.connection.send_request("echo")
        self.kill_server()
        error = self.assertRaises(Unavailable, self.connection.send_request, "echo", timeout=0.5)
        self.assertIn("nothing was sent", error.text)

    def test_lost_session_is_told(self) -> None:
        """An anonymous session lives in the server's memory; the client learns that it is another one now."""
        before = self.connection.send_request("session")
        self.kill_server()
        self.server.start()
        self.assertNotEqual(self.connection.send_request("session"), before)
        self.assertEqual(self.lost.get(timeout=PATIENCE), "lost")


class SecureTests(ServedTestCase):
    """The same over TLS."""

    secure = True

    def test_request_login_reverse(self) -> None:
        """Requests, a login and a call back all work through TLS."""
        connection = self.connect()
        connection.reverse_request_mapping({"add": lambda a, b: a + b})
        request = {"name": "add", "payload": {"a": 2, "b": 3}}
        self.assertEqual(connection.send_request("call_back", request), 5)
        connection.send_request("sign_in")
        self.assertEqual(connection.send_request("who"), "emma")

    def test_sixteen_threads(self) -> None:
        """Records of many threads stay in order, and so do large ones."""
        connection = self.connect()
        payload = os.urandom(100_000)
        wrong: SimpleQueue[bool] = SimpleQueue()

        def ask() -> None:
            for _ in range(10):
                wrong.put(connection.send_request("echo", payload) != payload)

        for _ in range(16):
            threading.Thread(target=ask).start()
        self.assertEqual([wrong.get(timeout=PATIENCE) for _ in range(160)], [False] * 160)

    def test_unknown_certificate(self) -> None:
        """Without trust= the generated certificate is refused, and the text says what to pass."""
        with ConnectionInterface("localhost", self.server.port, secure=True) as connection:
            error = self.assertRaises(UntrustedServer, connection.send_request, "echo")
        self.assertIn("trust=", error.text)

    def test_wrong_host(self) -> None:
        """A certificate for other names is refused."""
        server = Server(secure=True, host="127.0.0.2")
        self.addCleanup(server.remove)
        with ConnectionInterface("127.0.0.2", server.port, secure=True, trust=server.certificate) as connection:
            error = self.assertRaises(UntrustedServer, connection.send_request, "echo")
        self.assertIn("127.0.0.2", error.text)

    def test_no_such_file(self) -> None:
        """A mistyped trust= names the file."""
        connection = self.connect(trust="/nowhere/certificate.pem")
        self.assertIn("certificate.pem", self.assertRaises(ConfigurationError, connection.send_request, "echo").text)

    def test_plain_client(self) -> None:
        """The advice is secure=True."""
        with ConnectionInterface("localhost", self.server.port) as connection:
            error = self.assertRaises((ProtocolError, Unavailable), connection.send_request, "echo")
        self.assertIn("secure=True", error.text)
