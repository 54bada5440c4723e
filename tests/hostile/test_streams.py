"""Streams and clients that do not play fair: each ends its own connection, at a cost that is stated, and no other's."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

from raw_peer import HELLO, Get, Put, RawPeer, connect
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from fluxon.commands import Hello
from fluxon.errors import FluxonError
from fluxon.limits import KIB, MIB, Limits
from fluxon.rpc import FileSource, Incoming, Opening, Outgoing, Peer, Responders, ServerFactory, send_directly
from fluxon.wire import RAW, Answer, Chunk, Credit, End, Failed, Flow, frame
from fluxon.wire.messages import write_credit, write_end
from fluxon.workers import WorkerPool

reactor: Any = _reactor
PATIENCE = 20.0
SIZE = 64 * MIB
WINDOW = 256 * KIB


class Attacker(RawPeer):
    """A client that opens streams; in a thread."""

    def __init__(self, number: int, *, buffer: int | None = None) -> None:
        super().__init__(connect(number, PATIENCE, receive_buffer=buffer))

    def until(self, *kinds: type) -> Any:
        """The next message of one of the kinds; others are dropped."""
        message = self.next(*kinds)
        if message is None:
            raise ConnectionError("it ended")
        return message

    def ask(self, command: str, **arguments: Any) -> Answer | Failed:
        self.conversation.ask(command, arguments, waiter="w", opens=command != "hello")
        self.flush()
        message: Answer | Failed = self.until(Answer, Failed)
        return message

    def greet(self) -> Attacker:
        assert isinstance(self.ask("hello", **HELLO), Answer)
        return self

    def open(self, command: str, **arguments: Any) -> Flow:
        answer = self.ask(command, **arguments)
        assert isinstance(answer, Answer), answer.code
        flow = self.conversation.streams.attach(answer.value["stream"], command == "put", "mine")
        if command == "put" and not flow.credit:
            self.until(Credit)
        return flow

    def grant(self, flow: Flow, count: int) -> None:
        self.conversation.streams.grant(flow, count)
        self.flush()

    def is_served(self) -> bool:
        """Whether a request is answered on this connection."""
        return isinstance(self.ask("get", offset=0, length=0), (Answer, Failed))


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class StreamAttackTests(TestCase):
    timeout = 120
    limits = Limits(output_stalled=1.5, stream_idle=1.5, streams=4)

    async def setUp(self) -> None:
        self.pool = WorkerPool("file", 2, reactor)
        self.file = tempfile.NamedTemporaryFile()  # noqa: SIM115
        self.file.truncate(SIZE)
        self.taken = 0
        self.held = 0
        self.busy = False
        table = Responders({Get: self.get, Put: self.put, Hello: self.hello})
        self.factory = ServerFactory(table, reactor, self.limits)
        self.port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(self.factory)
        self.number = self.port.getHost().port

    async def tearDown(self) -> None:
        await self.port.stopListening()
        for peer in list(self.factory.peers):
            peer.protocol.abort("the test is over")
        while self.factory.peers:
            await deferLater(reactor, 0.001)
        self.pool.stop()
        self.file.close()

    def hello(self, peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        peer.greeted = True
        peer.protocol.greeted()
        return {}

    def get(self, peer: Peer, arguments: dict[str, Any]) -> Opening:
        descriptor = os.open(self.file.name, os.O_RDONLY)
        return Opening({}, Outgoing(FileSource(descriptor, 0, arguments["length"], self.pool.submit)))

    def put(self, peer: Peer, arguments: dict[str, Any]) -> Opening:
        return Opening({}, Incoming(self, window=WINDOW))

    # A sink, which is slow if ``busy``.

    def data(self, piece: memoryview) -> Deferred[None] | None:
        self.taken += len(piece)
        if not self.busy:
            return None
        self.held += len(piece)
        return deferLater(reactor, 0.01, self.let_go, len(piece))

    def let_go(self, size: int) -> None:
        self.held -= size

    def ended(self, error: FluxonError | None) -> None:
        """The rest of a sink."""

    # What tests do.

    async def attack(self, attack: Callable[[Attacker], Any], greeted: bool = True) -> Any:
        """``attack`` a connection in a thread; another one is served all the same, and nothing is left of the first."""

        def run() -> Any:
            attacker = Attacker(self.number)
            try:
                return attack(attacker.greet() if greeted else attacker)
            finally:
                attacker.socket.close()

        outcome = await deferToThread(run)
        self.assertTrue(await deferToThread(lambda: Attacker(self.number).greet().is_served()))
        return outcome

    async def assert_ends(self, offend: Callable[[Attacker], Any], greeted: bool = True) -> None:
        def run(attacker: Attacker) -> bool:
            offend(attacker)
            return attacker.ends()

        self.assertTrue(await self.attack(run, greeted))

    async def test_before_hello(self) -> None:
        """A stranger's chunk, Credit or End, also a large chunk's header alone."""
        for data in (
            frame(b"\0\0\0\0data", RAW),
            write_credit(0, 1),
            write_end(0),
            (MIB + 5).to_bytes(4, "big") + b"\x02\0\0\0\0",
        ):
            await self.assert_ends(lambda attacker, data=data: attacker.send(data), greeted=False)  # type: ignore[misc]

    async def test_unknown_streams(self) -> None:
        """Tags that no answer named, with and without other streams."""
        for data in (frame(b"\0\0\0\7data", RAW), write_credit(7, 1), write_end(7), write_end(7, "Cancelled")):

            def offend(attacker: Attacker, data: bytes = data) -> None:
                attacker.open("put")
                attacker.send(data)

            await self.assert_ends(lambda attacker, data=data: attacker.send(data))  # type: ignore[misc]
            await self.assert_ends(offend)

    async def test_more_than_granted(self) -> None:
        """A byte too many, at once or when the window is used up; nothing of that chunk reaches the sink."""

        def at_once(attacker: Attacker) -> None:
            flow = attacker.open("put")
            flow.credit = 2**31
            attacker.send(attacker.conversation.streams.chunk(flow, WINDOW + 1) + bytes(WINDOW + 1))

        def against_its_direction(attacker: Attacker) -> None:
            flow = attacker.open("get", offset=0, length=SIZE)
            attacker.send(frame(flow.tag.to_bytes(4, "big") + b"x", RAW))

        await self.assert_ends(at_once)
        await self.assert_ends(against_its_direction)
        self.assertEqual(self.taken, 0)

    async def test_ends_twice(self) -> None:
        """And chunks and credit after the end."""

        def offend(attacker: Attacker, more: bytes) -> None:
            flow = attacker.open("put")
            attacker.send(write_end(flow.tag) + more)

        for more in (write_end(0), write_end(0, "Cancelled"), frame(b"\0\0\0\0x", RAW), write_credit(0, 1)):
            await self.assert_ends(lambda attacker, more=more: offend(attacker, more))  # type: ignore[misc]

    async def test_endless_credit(self) -> None:
        """Up to 4 GiB it is a strange window; then it is an offence."""

        def offend(attacker: Attacker) -> None:
            flow = attacker.open("get", offset=0, length=SIZE)
            attacker.send(write_credit(flow.tag, 2**32 - 1) * 2)

        await self.assert_ends(offend)

    async def test_crumbs_of_credit(self) -> None:
        """Credit byte by byte is a chunk for each: little for much work, and no offence; others are served."""

        def crumble(attacker: Attacker) -> int:
            flow = attacker.open("get", offset=0, length=5_000)
            heard = 0
            for _ in range(5_000):
                attacker.send(write_credit(flow.tag, 1))
            flow.credit = 5_000
            while heard < 5_000:
                heard += len(attacker.until(Chunk).data)
            return heard

        self.assertEqual(await self.attack(crumble), 5_000)

    def opened(self) -> int:
        """How many descriptors there are of the file that is sent, the test's own included."""
        name, count = os.path.realpath(self.file.name), 0
        for each in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                count += os.readlink(f"/proc/self/fd/{each}") == name
        return count

    async def test_grants_and_never_reads(self) -> None:
        """Aborted after the stall time, and what it cost until then is a few blocks; by either kind of transport."""
        for direct in (False, True):
            if direct:
                assert send_directly(self.port)
            attackers = [await deferToThread(lambda: Attacker(self.number, buffer=4_096).greet()) for _ in range(20)]
            flows = [await deferToThread(each.open, "get", offset=0, length=SIZE) for each in attackers]
            before = resident()
            for attacker, flow in zip(attackers, flows, strict=True):
                await deferToThread(attacker.grant, flow, 2**31)
            await deferLater(reactor, 0.5)
            self.assertLess(resident() - before, 20 * 2 * MIB)
            self.assertTrue(await deferToThread(lambda: Attacker(self.number).greet().is_served()))
            began = time.monotonic()
            while any(peer.streams for peer in self.factory.peers):
                await deferLater(reactor, 0.01)
                self.assertLess(time.monotonic() - began, PATIENCE)
            for each in attackers:
                each.socket.close()
            # A block that a thread was reading just then is read to its end before its file is closed.
            while self.opened() > 1:
                await deferLater(reactor, 0.01)
                self.assertLess(time.monotonic() - began, PATIENCE)
            self.assertEqual(self.opened(), 1)

    async def test_takes_places_and_does_nothing(self) -> None:
        """As many streams as a connection may have; one more is refused, and idle ones are given up in time."""

        def occupy(attacker: Attacker) -> list[str]:
            for _ in range(4):
                attacker.open("get", offset=0, length=SIZE)
            refused = attacker.ask("put")
            assert isinstance(refused, Failed)
            return [refused.code, *(attacker.until(End).code for _ in range(4))]

        self.assertEqual(await self.attack(occupy), ["ResourceExhausted", *["DeadlineExceeded"] * 4])

    async def test_never_confirms(self) -> None:
        """Streams that the client never ends keep their places: its own loss."""

        self.assertEqual(await self.attack(self._unconfirmed), "ResourceExhausted")

    @staticmethod
    def _unconfirmed(attacker: Attacker) -> str:
        for _ in range(4):
            attacker.ask("get", offset=0, length=0)
            attacker.conversation.output.clear()
        code: str = attacker.ask("put").code  # type: ignore[union-attr]
        return code

    async def test_slow_sink(self) -> None:
        """A server that is slow to store what comes holds the window and no more, however fast it is sent."""
        self.busy = True
        most = 0

        def flood(attacker: Attacker) -> None:
            flow = attacker.open("put")
            sent = 0
            while sent < 4 * MIB:
                while not flow.credit:
                    attacker.until(Credit)
                size = min(flow.credit, 64 * KIB)
                attacker.send(attacker.conversation.streams.chunk(flow, size) + bytes(size))
                sent += size

        flooding = self.attack(flood)
        done: list[Any] = []
        waiting = Deferred.fromCoroutine(flooding).addBoth(done.append)
        while not done:
            most = max(most, self.held)
            await deferLater(reactor, 0.001)
        await waiting
        while self.held:
            await deferLater(reactor, 0.001)
        self.assertEqual(done, [None])
        self.assertLessEqual(most, WINDOW)
        self.assertGreater(most, 0)
