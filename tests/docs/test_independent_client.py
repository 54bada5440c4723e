"""The specification suffices: a client that knows nothing else speaks with a real server."""

from __future__ import annotations

import ast
import importlib.util
import json
import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.python.threadable import registerAsIOThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.endpoint import AsyncServer
from fluxon.errors import NotFound
from fluxon.limits import Limits
from fluxon.routing import Setup

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "tests" / "docs" / "independent_client.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("independent_client", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


independent = load()


class IndependenceTests(SynchronousTestCase):
    """It is what it says."""

    def test_imports_nothing_of_ours(self) -> None:
        """Only the standard library, and of that no CBOR, no lz4, no Twisted."""
        imported = set()
        for node in ast.walk(ast.parse(SOURCE.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module))
        self.assertEqual(imported, {"__future__", "collections.abc", "json", "socket", "struct", "sys", "typing"})

    def test_reads_and_writes_the_vectors(self) -> None:
        """Its few lines of CBOR read every value of the vectors, and write those that have one form."""
        for each in json.loads((ROOT / "tests" / "vectors" / "values.json").read_text("utf-8")):
            with self.subTest(each["name"]):
                body = bytes.fromhex(each["hex"])
                value, end = independent.read_value(body)
                self.assertEqual(end, len(body))
                if each["sent"] and not (isinstance(value, float) and not math.isfinite(value)):
                    self.assertEqual(independent.write_value(value), body)

    def test_reads_the_messages(self) -> None:
        """And every message that is not compressed or raw, to the items that the text names."""
        for each in json.loads((ROOT / "tests" / "vectors" / "messages.json").read_text("utf-8")):
            frame = bytes.fromhex(each["hex"])
            if frame[4] == 0:
                message, end = independent.read_value(frame, 5)
                self.assertEqual(end, len(frame))
                self.assertEqual(message[1:], list(each["message"].values())[1:])


class Views:
    """What the server of these tests offers."""

    def __init__(self) -> None:
        self.server: AsyncServer | None = None
        self.count_of: dict[str, int] = {}
        #: What "slow" waits for.
        self.waiting: list[Deferred[None]] = []

    def let_go(self) -> None:
        """End what is slow: work goes on when its connection is lost."""
        for each in self.waiting:
            if not each.called:
                each.callback(None)

    async def echo(self, request: Any) -> Any:
        return request.payload

    def add(self, request: Any) -> Any:
        return request.payload["a"] + request.payload["b"]

    async def missing(self, request: Any) -> Any:
        raise NotFound("no such room", details={"room": 7})

    async def broken(self, request: Any) -> Any:
        return 1 / 0

    async def slow(self, request: Any) -> Any:
        waiting: Deferred[None] = Deferred()
        self.waiting.append(waiting)
        await waiting

    async def ask_back(self, request: Any) -> Any:
        assert self.server is not None
        return await self.server.call_client(request.connection, "double", request.payload)

    async def who(self, request: Any) -> Any:
        return request.sessionid

    async def count(self, request: Any) -> int:
        self.count_of[request.sessionid] = self.count_of.get(request.sessionid, 0) + 1
        return self.count_of[request.sessionid]

    async def enter(self, request: Any) -> None:
        await request.login(1)

    def mapping(self) -> dict[str, Callable[[Any], Any]]:
        names = ("echo", "add", "missing", "broken", "slow", "ask_back", "who", "count", "enter")
        return {name: getattr(self, name) for name in names}


class ServerTestCase(TestCase):
    """``AsyncServer`` over TCP, clients in threads."""

    limits: dict[str, int] = {"frame_anonymous": 20_000}
    #: Whether there is a database with users.
    users = False

    async def setUp(self) -> None:
        registerAsIOThread()
        folder = Path(tempfile.mkdtemp(prefix="fluxon-spec-"))
        self.addCleanup(shutil.rmtree, folder)
        views = Views()
        database: dict[str, Any] = {
            "models": [Person],
            "database_api": SQLiteDatabase,
            "database_path": folder / "database.sqlite3",
            "database_schema_dir": folder / "schema",
        }
        setup = Setup(
            mapping=views.mapping(),
            secrets=folder / "secrets",
            limits=Limits(heartbeat=0.2, **self.limits),
            **(database if self.users else {}),
        )
        self.server = views.server = AsyncServer(setup=setup, endpoint="tcp:0:interface=127.0.0.1")
        self.server.startService()
        self.addCleanup(self.server.stopService)
        self.addCleanup(views.let_go)
        await self.server.when_ready()
        self.port = self.server.listening_port.getHost().port

    def in_thread(self, work: Callable[[Any], Any], **options: Any) -> Deferred[Any]:
        """``work(client)`` with a client of its own, off the reactor's thread."""

        def run() -> Any:
            client = independent.Client("127.0.0.1", self.port, **options)
            try:
                return work(client)
            finally:
                client.close()

        return deferToThread(run)


class IndependentClientTests(ServerTestCase):
    """What the specification promises to a client."""

    async def test_calls(self) -> None:
        """Hello, then calls: an async view, a plain one, every type that crosses."""
        values = [None, True, -5, 2**62, 1.5, "Grüße", b"\x00\xff", [1, [2]], {"a": {"b": []}}]
        values += [
            independent.Tagged(0, "2024-05-06T12:30:00Z"),
            independent.Tagged(1004, "2024-02-29"),
            independent.Tagged(61888, "23:59:59.000001"),
            independent.Tagged(4, [-2, 1999]),
            independent.Tagged(37, b"\x01" * 16),
        ]
        self.assertEqual(await self.in_thread(lambda client: client.call("add", {"a": 1, "b": 2})), 3)
        self.assertEqual(await self.in_thread(lambda client: [client.call("echo", each) for each in values]), values)

    async def test_errors(self) -> None:
        """A view's own error, an incident, an unknown view, an unknown command, wrong arguments: then it goes on."""

        def work(client: Any) -> list[Any]:
            seen = []
            for ask in (
                lambda: client.call("missing"),
                lambda: client.call("broken"),
                lambda: client.call("nothing"),
                lambda: client.ask("dance", {}),
                lambda: client.ask("call", {"view": "echo"}),
                lambda: client.call("slow", timeout=0.05),
                lambda: client.call("echo", "still here"),
            ):
                try:
                    seen.append(ask())
                except independent.Failure as failure:
                    seen.append((failure.code, failure.details))
            return seen

        seen = await self.in_thread(work)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual([each if isinstance(each, str) else each[0] for each in seen], [
            "NotFound", "Internal", "UnknownView", "NotFound", "InvalidPayload", "DeadlineExceeded", "still here",
        ])  # fmt: skip
        self.assertEqual(seen[0][1], {"room": 7})
        self.assertIsInstance(seen[1][1]["incident"], str)

    async def test_many_at_once(self) -> None:
        """Asks sent before the first answer is read are all answered, each under its tag."""

        def work(client: Any) -> list[Any]:
            tags = [client.begin("call", {"view": "echo", "payload": number}) for number in range(100)]
            return [client.finish(tag) for tag in reversed(tags)]

        self.assertEqual(await self.in_thread(work), list(reversed(range(100))))

    async def test_reverse(self) -> None:
        """While it waits for an answer the server calls it; a function that it lacks is an error there."""
        double = {"double": lambda payload: payload * 2}
        self.assertEqual(await self.in_thread(lambda client: client.call("ask_back", 21), functions=double), 42)

        def work(client: Any) -> str:
            try:
                client.call("ask_back", 21)
            except independent.Failure as failure:
                return str(failure.code)
            return "none"

        self.assertEqual(await self.in_thread(work), "UnknownView")

    async def test_resume(self) -> None:
        """The token of one connection's hello gives the next the same session; a forged one gives a fresh session."""
        session, token = await self.in_thread(lambda client: (client.call("who"), client.token))
        again = await self.in_thread(lambda client: (client.call("who"), client.fresh), token=token)
        self.assertEqual(again, (session, False))
        forged = await self.in_thread(lambda client: (client.call("who"), client.fresh), token=token[:-1] + "!")
        self.assertNotEqual(forged[0], session)
        self.assertTrue(forged[1])

    async def test_pings(self) -> None:
        """A client that reads answers the server's Pings, and outlives many times the heartbeat."""

        def work(client: Any) -> Any:
            client.socket.settimeout(1.5)
            try:
                while True:
                    client.receive_one()
            except TimeoutError:
                raise AssertionError("no Ping came") from None
            except StopPinging:
                return client.call("echo", "alive")

        pings = 0
        act = independent.Client.act

        def counted(client: Any, message: list[Any]) -> None:
            nonlocal pings
            act(client, message)
            if message[0] == independent.PING:
                pings += 1
                if pings == 4:
                    raise StopPinging

        self.patch(independent.Client, "act", counted)
        self.assertEqual(await self.in_thread(work), "alive")

    async def test_limits(self) -> None:
        """What hello's answer promises is so: a frame of exactly the limit is taken, one byte more ends it."""

        def work(client: Any, excess: int) -> Any:
            self.assertEqual(client.limit_out, 20_000)
            payload = b"x" * 19_000
            size = len(independent.write_value([0, 1, "call", {"view": "echo", "payload": payload}, None, {}])) + 1
            payload += b"x" * (20_000 - size + excess)
            client.limit_out += excess
            return len(client.call("echo", payload))

        self.assertGreater(await self.in_thread(lambda client: work(client, 0)), 19_000)
        with self.assertRaises((ConnectionError, OSError)):
            await self.in_thread(lambda client: work(client, 1))

    async def test_nothing_before_hello(self) -> None:
        """An ask before hello is ``Unauthenticated``, and the connection lives: hello still works."""

        def work() -> list[Any]:
            import socket

            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as bare:
                client = independent.Client.__new__(independent.Client)
                client.functions, client.answers, client.next_tag, client.received = {}, {}, 0, b""
                client.limit_out, client.limit_in, client.socket = 16_384, 2**24, bare
                try:
                    client.call("echo", 1)
                except independent.Failure as failure:
                    code = failure.code
                return [code, client.ask("hello", {"version": 1, "token": None, "seen": 0, "features": []})["version"]]

        self.assertEqual(await deferToThread(work), ["Unauthenticated", 1])

    async def test_the_wrong_version(self) -> None:
        """Is refused with an error that names both."""

        def work(client: Any) -> str:
            try:
                client.ask("hello", {"version": 2, "token": None, "seen": 0, "features": []})
            except independent.Failure as failure:
                return f"{failure.code} {failure}"
            return "none"

        outcome = await self.in_thread(work)
        self.assertIn("InvalidPayload", outcome)
        self.assertIn("version 1", outcome)


class Person(models.AuthenticatedUser):
    """The user of these tests."""

    username = models.CharField(max_length=100, unique=True)


class DeliveryTests(ServerTestCase):
    """What the specification says of delivery."""

    users = True

    async def test_carried_out_once(self) -> None:
        """A key asked for on two connections of a session, and one whose payload is another."""
        token, first = await self.in_thread(lambda client: (client.token, client.call_once("count", 1, "k")))
        again = await self.in_thread(
            lambda client: (client.recovered, client.call_once("count", 1, "k"), client.call("count", 1)), token=token
        )
        self.assertEqual((first, again), (1, (True, 1, 2)))

        def work(client: Any) -> str:
            try:
                client.call_once("count", 2, "k")
            except independent.Failure as failure:
                return str(failure.code)
            return "none"

        self.assertEqual(await self.in_thread(work, token=token), "Conflict")

    async def test_kept(self) -> None:
        """Calls wait for the client that lost its connection, come in order, and not again when it says what it saw."""
        heard: list[Any] = []
        hear = {"hear": heard.append}
        await Person.Insert(username="ann")

        def enter(client: Any) -> str:
            client.call("enter")
            return str(client.token)

        token = await self.in_thread(enter, functions=hear)
        for number in range(20):
            self.assertTrue(await self.server.reverse_request(1, "hear", number, keep=60))

        def listen(client: Any) -> tuple[bool, int]:
            client.call("add", {"a": 1, "b": 2})
            while len(heard) < 20:
                client.receive_one()
            return client.recovered, client.seen

        recovered, seen = await self.in_thread(listen, token=token, functions=hear)
        self.assertTrue(recovered)
        self.assertEqual(heard, list(range(20)))
        # The answers of the last may have been lost with the connection: they are not asked for again.
        self.assertEqual(await self.in_thread(lambda client: client.call("echo", 1), token=token, seen=seen), 1)
        self.assertEqual((await self.server.reverse_request(1, "hear", 20, keep=60)).results[0].state, "queued")

        def repeated(client: Any) -> Any:
            # A repeat is answered, and nothing else is done.
            answer = client.answer(9, "deliver", {"view": "hear", "payload": 0, "number": seen})
            client.goodbye()
            return answer

        self.assertEqual(await self.in_thread(repeated, token=token, seen=seen), [independent.ANSWER, 9, None])
        self.assertEqual(heard, list(range(20)))
        self.assertFalse(await self.server.reverse_request(1, "hear", 21, keep=60))


class StopPinging(Exception):
    """Enough pings were answered."""


class OffenceTests(ServerTestCase):
    """What the specification says ends a connection."""

    limits = {"frame_before_hello": 1_024, "frame_anonymous": 1_024, "items_before_hello": 50, "items_anonymous": 50}

    def outcome_of(self, data: bytes) -> Deferred[str]:
        """What the server does when a client sends ``data`` after its hello."""

        def work(client: Any) -> str:
            client.socket.sendall(data)
            try:
                while True:
                    client.receive_one()
                    if client.answers:
                        (message,) = client.answers.values()
                        return str(message[2])
            except (ConnectionError, OSError):
                return "ends"

        return self.in_thread(work)

    async def test_every_refused_vector(self) -> None:
        """Each ends the connection, or is answered, as the text says; and the server goes on with others."""
        for each in json.loads((ROOT / "tests" / "vectors" / "refused.json").read_text("utf-8")):
            with self.subTest(each["name"]):
                self.assertEqual(await self.outcome_of(bytes.fromhex(each["hex"])), each["outcome"])
        self.assertEqual(await self.in_thread(lambda client: client.call("add", {"a": 1, "b": 2})), 3)

    async def test_streams_that_were_never_opened(self) -> None:
        """A chunk, a Credit, an End: each ends the connection."""
        for each in json.loads((ROOT / "tests" / "vectors" / "messages.json").read_text("utf-8")):
            if each["message"]["kind"] in ("chunk", "credit", "end"):
                with self.subTest(each["name"]):
                    self.assertEqual(await self.outcome_of(bytes.fromhex(each["hex"])), "ends")

    async def test_one_tag_twice(self) -> None:
        """Two asks under way with one tag: ``OutcomeUnknown``, and the end."""
        slow = independent.write_value([0, 50, "call", {"view": "slow", "payload": None}, None, {}])
        frame = (len(slow) + 1).to_bytes(4, "big") + b"\x00" + slow

        def work(client: Any) -> tuple[str, str]:
            client.socket.sendall(frame * 2)
            try:
                code = client.finish(50)
            except independent.Failure as failure:
                code = failure.code
            try:
                client.receive_one()
            except (ConnectionError, OSError):
                return code, "ends"
            return code, "lives"

        self.assertEqual(await self.in_thread(work), ("OutcomeUnknown", "ends"))

    async def test_unsolicited_answers(self) -> None:
        """Nine are overlooked, the tenth ends the connection."""
        unsolicited = bytes.fromhex("00000009" + "00" + "83011a0000006303")
        self.assertEqual(await self.outcome_of(unsolicited * 10), "ends")

        def work(client: Any) -> Any:
            client.socket.sendall(unsolicited * 9)
            return client.call("echo", "still here")

        self.assertEqual(await self.in_thread(work), "still here")

    async def test_too_many_at_once(self) -> None:
        """Asks beyond ``in_flight`` are answered at once, those within it are worked on, the connection lives."""

        def work(client: Any) -> tuple[list[str], Any]:
            in_flight = client.limits["in_flight"]
            for _ in range(in_flight + 5):
                client.begin("call", {"view": "slow", "payload": None})
            codes = []
            while len(codes) < 5:
                client.receive_one()
                codes = [message[2] for message in client.answers.values()]
            client.send([3, 1])
            while 1 not in client.answers:
                client.receive_one()
            return codes, client.answers[1][2]

        self.assertEqual(await self.in_thread(work), (["ResourceExhausted"] * 5, "Cancelled"))
