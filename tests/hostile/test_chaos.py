"""Numbered messages both ways through a network that misbehaves: what is acknowledged happened once, in order.

Upwards, clients of both kinds make requests that are carried out once, one after the other in each of their streams.
Downwards, the server keeps calls for their users. Between them stands ``ChaosProxy``, whose seed is printed, and taken
from ``FLUXON_TEST_CHAOS_SEED`` to see a run again. ``FLUXON_TEST_CHAOS`` is for how many seconds; plain TCP and
TLS have half of them each.

What has to hold, for each stream:

- A request that was answered was carried out once. One whose outcome is unknown was carried out once or not at all; one
  that failed otherwise, not at all.
- What the server was told is "handled" or "queued" is carried out by the client once. What was refused is not.
- Both in the order in which they were made.
- A message is never changed.
"""

from __future__ import annotations

import os
import threading
import time
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from chaos import ChaosProxy
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from fluxon.connect import Client, ConnectionInterface
from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.endpoint import AsyncServer
from fluxon.errors import DeadlineExceeded, FluxonError, InvalidPayload, OutcomeUnknown
from fluxon.limits import Limits
from fluxon.routing import Request, Setup
from fluxon.security import Secrets

SECONDS = float(os.environ.get("FLUXON_TEST_CHAOS", "8")) / 2
SEED = int(os.environ.get("FLUXON_TEST_CHAOS_SEED", "0")) or time.time_ns() % 2**32

#: Clients of each kind, and streams of each client.
CLIENTS, STREAMS = 2, 2
#: Between two calls of the server to one user, in seconds.
PACE = 0.004
#: Far longer than anything takes that goes well.
PATIENCE = 60.0

#: Delays between attempts far below what clients are given: it is not the waiting that is looked at.
IMPATIENT = -0.96


class ChaosUser(models.AuthenticatedUser):
    """Of these tests."""

    username = models.CharField(max_length=100, unique=True)


def message(stream: str, number: int, random: Random) -> dict[str, Any]:
    """One that shows whether it was changed on its way; some are larger than a read."""
    filling = random.randbytes(random.choice((0, 10, 300, 3_000, 70_000 if random.random() < 0.1 else 0)))
    return {"stream": stream, "number": number, "filling": filling, "sum": summed(stream, number, filling)}


def summed(stream: str, number: int, filling: bytes) -> bytes:
    return sha256(f"{stream} {number} ".encode() + filling).digest()


def check(stream: str, number: int, filling: bytes, sum: bytes) -> None:
    if sum != summed(stream, number, filling):
        raise InvalidPayload("it was changed on its way")


class Stream:
    """What one end did, and what it was told of it."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.unknown: list[int] = []
        self.refused: list[int] = []
        self.errors: list[FluxonError] = []
        #: At the other end.
        self.ran: list[int] = []

    def note(self, number: int, error: FluxonError | None) -> None:
        if error is None:
            self.acknowledged.append(number)
        elif isinstance(error, (OutcomeUnknown, DeadlineExceeded)):
            self.unknown.append(number)
        else:
            self.refused.append(number)
            self.errors.append(error)


@pytest.mark.timeout(SECONDS + 4 * PATIENCE)
class ChaosTests(TestCase):
    """A server, a bad network, and clients."""

    timeout = SECONDS + 3 * PATIENCE

    def setUp(self) -> None:
        self.up: dict[str, Stream] = {}
        self.down: dict[str, Stream] = {}
        self.stopping = threading.Event()
        self.random = Random(SEED)

    # --- the server ---------------------------------------------------------------------------------------------------

    async def serve(self, secure: bool) -> None:
        place = Path("server").absolute()
        place.mkdir()
        setup = Setup(
            mapping={"enter": self.enter, "post": self.post, "post_in_thread": self.post_in_thread},
            models=[ChaosUser],
            secrets=Secrets(place / "secrets"),
            database_api=SQLiteDatabase,
            database_path=place / "database.sqlite3",
            database_schema_dir=place / "schema",
            limits=Limits(heartbeat=0.4, outbox_bytes=4 * 2**20),
        )
        self.server = AsyncServer(endpoint="tcp:0:interface=127.0.0.1", secure=secure, setup=setup)
        self.server.startService()
        self.addCleanup(self.server.stopService)
        await self.server.when_ready()
        self.proxy = ChaosProxy(reactor, self.server.listening_port.getHost().port, self.random)
        self.proxy.pieces = secure
        self.port = await self.proxy.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.proxy.close()))
        self.certificate = str(place / "secrets" / "certificate.pem")

    async def enter(self, request: Request) -> int:
        user = await ChaosUser.Insert(username=request.payload)
        await request.login(user)
        return int(user)

    async def post(self, request: Request) -> int:
        number = self.carry_out(request)
        if number % 3 == 0:
            await deferLater(reactor, 0.002)
        return number

    def post_in_thread(self, request: Request) -> int:
        return self.carry_out(request)

    def carry_out(self, request: Request) -> int:
        check(**request.payload["message"])
        if request.key != request.payload["key"]:
            raise InvalidPayload("the key was changed on its way")
        stream, number = request.payload["message"]["stream"], int(request.payload["message"]["number"])
        self.up[stream].ran.append(number)
        return number

    async def tell(self, user: int, name: str) -> None:
        """Calls for one user, each kept, without waiting for one before the next."""
        stream = self.down[name]
        number = 0
        told: list[Deferred[None]] = []

        def outcome(delivery: Any, number: int) -> None:
            (result,) = delivery.results
            if delivery:
                stream.acknowledged.append(number)
            else:
                stream.refused.append(number)
                stream.errors.append(result.error)

        while not self.stopping.is_set():
            number += 1
            told.append(
                self.server.reverse_request(user, "hear", message(name, number, self.random), keep=PATIENCE * 9)
            )
            told[-1].addCallback(outcome, number)
            await deferLater(reactor, PACE)
        await gatherResults(told)

    # --- the clients --------------------------------------------------------------------------------------------------

    def hear(self, **heard: Any) -> None:
        check(**heard)
        self.down[heard["stream"]].ran.append(heard["number"])

    def requests(self, name: str) -> Any:
        """The requests of one stream, each with its key: view, payload, keywords."""
        random = Random(f"{SEED} {name}")
        number = 0
        while not self.stopping.is_set():
            number += 1
            key = f"{name} {number}"
            view = "post" if number % 5 else "post_in_thread"
            yield number, view, {"message": message(name, number, random), "key": key}, key

    def blocking(self, name: str, secure: bool) -> Deferred[Any]:
        """A client with threads, each of which is a stream."""
        trust = {"secure": True, "trust": self.certificate} if secure else {}
        connection = ConnectionInterface("localhost", self.port, timeout=PATIENCE, random=lambda: IMPATIENT, **trust)
        self.addCleanup(deferToThread, connection.close)
        connection.reverse_request_mapping({"hear": self.hear})

        def run(stream: str) -> None:
            for number, view, payload, key in self.requests(stream):
                try:
                    connection.send_request(view, payload, key=key)
                except FluxonError as error:
                    self.up[stream].note(number, error)
                else:
                    self.up[stream].note(number, None)

        def begin() -> int:
            return int(connection.send_request("enter", name, idempotent=True))

        entered: Deferred[int] = deferToThread(begin)
        return entered.addCallback(lambda user: (user, [lambda s=s: deferToThread(run, s) for s in self.streams(name)]))

    def deferring(self, name: str, secure: bool) -> Deferred[Any]:
        """A client on the reactor."""
        trust = {"secure": True, "trust": self.certificate} if secure else {}
        where = f"localhost:{self.port}"
        client = Client(
            reactor, where, timeout=PATIENCE, random=lambda: IMPATIENT, functions={"hear": self.hear}, **trust
        )
        client.startService()
        self.addCleanup(client.close)

        async def run(stream: str) -> None:
            for number, view, payload, key in self.requests(stream):
                try:
                    await client.call(view, payload, key=key)
                except FluxonError as error:
                    self.up[stream].note(number, error)
                    await deferLater(reactor, 0)
                else:
                    self.up[stream].note(number, None)

        entered = client.call("enter", name, idempotent=True)
        return entered.addCallback(
            lambda user: (user, [lambda s=s: Deferred.fromCoroutine(run(s)) for s in self.streams(name)])
        )

    def streams(self, name: str) -> list[str]:
        return [f"{name}/{number}" for number in range(STREAMS)]

    # --- the test -----------------------------------------------------------------------------------------------------

    async def chaos(self, secure: bool) -> None:
        print(f"FLUXON_TEST_CHAOS_SEED={SEED}")
        await self.serve(secure)
        names = {f"{kind}{n}": getattr(self, kind) for kind in ("blocking", "deferring") for n in range(CLIENTS)}
        self.down = {name: Stream() for name in names}
        self.up = {stream: Stream() for name in names for stream in self.streams(name)}
        entered = await gatherResults([begin(name, secure) for name, begin in names.items()])
        self.proxy.calm = False
        running = [begin() for _, streams in entered for begin in streams]
        running += [
            Deferred.fromCoroutine(self.tell(user, name)) for (user, _), name in zip(entered, names, strict=True)
        ]
        await deferLater(reactor, SECONDS)
        self.stopping.set()
        self.proxy.calm = True
        for each in tuple(self.proxy.ends):
            each.release()
        await gatherResults(running)
        await self.settle()
        self.report(secure)
        self.check_everything()

    async def settle(self) -> None:
        """Until the server keeps nothing any more: the last acknowledgements have arrived."""
        end = time.monotonic() + PATIENCE
        while self.server._running().foundation.keeping.kept and time.monotonic() < end:
            await deferLater(reactor, 0.02)

    def report(self, secure: bool) -> None:
        up, down = self.up.values(), self.down.values()
        print(
            f"{'TLS' if secure else 'plain'}, {SECONDS:g} s: {dict(self.proxy.happened)}; "
            f"up {sum(len(each.acknowledged) for each in up)} answered, "
            f"{sum(len(each.unknown) for each in up)} unknown, {sum(len(each.refused) for each in up)} failed; "
            f"down {sum(len(each.acknowledged) for each in down)} acknowledged, "
            f"{sum(len(each.refused) for each in down)} refused; "
            f"errors {sorted({f'{type(e).__name__}: {e.text[:60]}' for s in (*up, *down) for e in s.errors})}"
        )

    def check_everything(self) -> None:
        for name, stream in {**self.up, **self.down}.items():
            with self.subTest(name):
                self.assertEqual(stream.ran, sorted(stream.ran), f"{name}: out of order")
                self.assertEqual(len(set(stream.ran)), len(stream.ran), f"{name}: something ran twice")
                ran = set(stream.ran)
                self.assertEqual(set(stream.acknowledged) - ran, set(), f"{name}: acknowledged and lost")
                self.assertEqual(ran & set(stream.refused), set(), f"{name}: refused, and carried out")
                self.assertEqual(ran - set(stream.acknowledged) - set(stream.unknown), set())
        # It was no quiet day, and the network did not win either.
        self.assertGreater(self.proxy.happened["connections"], 2 * CLIENTS)
        self.assertGreater(min(len(each.acknowledged) for each in self.up.values()), 0)
        self.assertGreater(min(len(each.acknowledged) for each in self.down.values()), 0)

    async def test_plain(self) -> None:
        """Without TLS, where the wire's own rules find out what was duplicated."""
        await self.chaos(secure=False)

    async def test_with_tls(self) -> None:
        """With TLS."""
        await self.chaos(secure=True)
