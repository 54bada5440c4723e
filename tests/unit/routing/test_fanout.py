"""One call into ten thousand connections: how it is spread, what it costs, and what becomes of it.

No sockets, and a clock of the test's own; the connections are real ones over transports in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from turning import TURN, Turns
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from fluxon.commands import Call
from fluxon.errors import InvalidPayload, ResourceExhausted
from fluxon.limits import MIB, Limits
from fluxon.routing.delivery import Delivery
from fluxon.routing.fanout import SLICE, Fanout
from fluxon.routing.keeping import Keeping
from fluxon.routing.sending import Who
from fluxon.rpc import Peer, Responders, ServerFactory
from fluxon.wire import decode
from fluxon.wire.messages import write_answer, write_failed

MANY = 10_000


@attrs.frozen
class Name:
    """What a sending asks of sessions."""

    user_id: int | None
    public_id: str


class All:
    """An audience of connections."""

    def __init__(self, members: Sequence[Peer]) -> None:
        self.members = members
        self.away: list[Who] = []

    async def clients(self, part: Sequence[Peer], away: list[Who]) -> Sequence[Peer]:
        away += self.away
        self.away = []
        return part

    def who(self, member: Peer) -> Who:
        return member.session.user_id, member.session.public_id


class FanoutTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Turns()
        self.limits = Limits(waiting_asks=3, connections_per_address=2 * MANY)
        self.factory = ServerFactory(Responders({Call: lambda peer, arguments: None}), self.clock, self.limits)
        self.fanout = Fanout(self.clock, self.limits, Keeping(self.clock, self.limits))

    def tearDown(self) -> None:
        # What is under way ends.
        for _ in range(20):
            self.clock.advance(1)

    def connect(self, count: int) -> list[Peer]:
        peers = []
        for number in range(count):
            protocol = self.factory.buildProtocol(None)
            protocol.makeConnection(StringTransport())
            protocol.peer.greeted = True
            protocol.greeted()
            protocol.peer.session = Name(number, f"s{number}")
            peers.append(protocol.peer)
        return peers

    def send(
        self, peers: Sequence[Peer], payload: Any = "hi", line: str = "room", timeout: float = 10, **told: Any
    ) -> Deferred[Delivery]:
        return self.fanout.send(line, All(peers), "told", payload, timeout, told.get("acknowledge", True))

    def turn(self) -> None:
        self.clock.advance(TURN)

    def sent(self, peer: Peer) -> bytes:
        value: bytes = peer.protocol.transport.value()
        return value

    def answer(self, peer: Peer, tag: int) -> None:
        peer.protocol.dataReceived(write_answer(tag, b"\xf6"))


class SpreadingTests(FanoutTestCase):
    """Who is sent what, and when."""

    def test_ten_thousand(self) -> None:
        """A slice a turn, the same bytes to each; when all have answered the whole is known, and nothing is left."""
        peers = self.connect(MANY)
        timers = len(self.clock.getDelayedCalls())
        done = self.send(peers)
        turns = 1
        while not self.sent(peers[-1]):
            self.assertEqual(sum(bool(self.sent(each)) for each in peers), turns * SLICE)
            self.turn()
            turns += 1
            if turns == 5:  # counted often enough
                break
        while not self.sent(peers[-1]):
            self.turn()
            turns += 1
        self.assertEqual(turns, -(-MANY // SLICE))
        frames = {self.sent(each) for each in peers}
        self.assertEqual(len(frames), 1)
        _, tag, *rest = decode(frames.pop()[5:])
        self.assertEqual(rest, ["call", {"view": "told", "payload": "hi"}, 10, {}])
        # One timer for all of them.
        self.assertEqual(len(self.clock.getDelayedCalls()), timers + 1)
        for peer in peers:
            self.assertNoResult(done)
            self.answer(peer, tag)
        delivery = self.successResultOf(done)
        self.assertEqual((len(delivery), delivery.count("handled")), (MANY, MANY))
        self.assertEqual(len(self.clock.getDelayedCalls()), timers)
        self.assertEqual([len(peers[0].conversation.asked), self.fanout._lines], [0, {}])

    def test_others_are_served_meanwhile(self) -> None:
        """A small group does not wait for a large one; one line keeps its order."""
        peers = self.connect(3 * SLICE)
        self.send(peers, "first")
        self.send(peers, "second")
        self.send(peers[-1:], "other", line="another")
        self.assertIn(b"other", self.sent(peers[-1]))
        for _ in range(7):
            self.turn()
        for peer in peers:
            self.assertLess(self.sent(peer).index(b"first"), self.sent(peer).index(b"second"))

    def test_too_much_at_once(self) -> None:
        """Who sends faster than it can be spread is told so; what waits is bounded."""
        peers = self.connect(2 * SLICE)
        for _ in range(4):
            self.send(peers)
        self.assertRaises(ResourceExhausted, self.send, peers)
        self.assertRaises(InvalidPayload, self.send, peers, timeout=0)

    def test_one_who_does_not_read(self) -> None:
        """It holds back nobody and is ended when too much waits for it; what waits is the bytes that all are sent."""
        slow, good = self.connect(2)
        slow.protocol.pauseProducing()
        payload = "x" * MIB
        waiting: list[tuple[Any, ...]] = []
        for number in range(1, 8):
            self.send([slow, good], payload, timeout=10)
            self.turn()
            self.assertEqual(len(self.sent(good)) // MIB, number)
            backlog = slow.protocol._backlog
            assert backlog is not None
            waiting.append(tuple(backlog._pieces))
            self.assertLessEqual(backlog.size, self.limits.output_abort + 2 * MIB)
        self.assertTrue(slow.lost)
        self.assertEqual(slow.protocol.backlog, 0)
        # The very objects that were made once for everybody.
        self.assertEqual(len({id(piece) for piece in waiting[3]}), 4)


class OutcomeTests(FanoutTestCase):
    """What is told of it."""

    def test_each_kind(self) -> None:
        """Answers, errors, lost connections, those away, and those who are too slow, whose ask is taken back."""
        good, bad, lost, slow = self.connect(4)
        audience = All([good, bad, lost, slow])
        audience.away = [(7, "")]
        done = self.fanout.send("room", audience, "told", None, 5, True)
        tag = decode(self.sent(good)[5:])[1]
        self.answer(good, tag)
        bad.protocol.dataReceived(write_failed(tag, "NotFound", "no such function", {"large": "details"}))
        lost.protocol.connectionLost()
        slow.protocol.transport.clear()
        self.clock.advance(4.9)
        self.assertNoResult(done)
        self.clock.advance(0.1)
        delivery = self.successResultOf(done)
        found = [(each.state, each.user_id, each.session, each.error and each.error.code) for each in delivery]
        told = sorted(found, key=lambda each: str(each[1]))
        self.assertEqual(
            told,
            [
                ("handled", 0, "s0", None),
                ("failed", 1, "s1", "NotFound"),
                ("timeout", 2, "s2", "OutcomeUnknown"),
                ("timeout", 3, "s3", "DeadlineExceeded"),
                ("offline", 7, "", "Unavailable"),
            ],
        )
        self.assertEqual(decode(self.sent(slow)[5:]), [3, tag])
        # A late answer is none, and no offence.
        self.answer(slow, tag)
        self.assertFalse(slow.lost)

    def test_those_whose_turn_did_not_come(self) -> None:
        """When the time is over before all were sent to, the rest is not; they are told apart from nobody."""
        peers = self.connect(2 * SLICE)
        done = self.send(peers, timeout=TURN)
        self.turn()
        delivery = self.successResultOf(done)
        self.assertEqual((len(delivery), delivery.count("timeout")), (2 * SLICE, 2 * SLICE))
        self.assertEqual(sum(bool(self.sent(each)) for each in peers), SLICE)

    def test_without_acknowledgement(self) -> None:
        """It is done when all were sent it; an answer that comes in time or not changes nothing."""
        peers = self.connect(2)
        done = self.send(peers, acknowledge=False)
        delivery = self.successResultOf(done)
        self.assertEqual((delivery.count("sent"), bool(delivery)), (2, True))
        self.answer(peers[0], decode(self.sent(peers[0])[5:])[1])
        self.clock.advance(10)
        self.assertEqual((len(peers[1].conversation.asked), [each.lost for each in peers]), (0, [False, False]))

    def test_lost_before_it_left(self) -> None:
        """Who has too much to answer already is asked later; whose connection ends before that was not asked."""
        self.factory.limits = Limits(waiting_asks=3, in_flight=5)
        (peer,) = self.connect(1)
        outcomes = [self.send([peer], line=line) for line in ("room", "another")]
        self.turn()
        peer.protocol.connectionLost()
        found = [next(iter(self.successResultOf(each))) for each in outcomes]
        self.assertEqual([each.state for each in found], ["timeout", "offline"])

    def test_lost_when_it_is_told(self) -> None:
        """Whoever hears of the whole may end a connection that was too slow: it has its result already."""
        good, slow = self.connect(2)
        done = self.send([good, slow], timeout=5)
        done.addCallback(lambda delivery: slow.protocol.connectionLost() or delivery)
        self.answer(good, decode(self.sent(good)[5:])[1])
        self.clock.advance(5)
        delivery = self.successResultOf(done)
        self.assertEqual((len(delivery), [delivery.count(each) for each in ("handled", "timeout")]), (2, [1, 1]))
        self.assertEqual((slow.lost, slow.conversation.asked), (True, {}))

    def test_told_to_one_that_is_gone(self) -> None:
        """Between being found and being told a connection may end: nothing was sent, and the others have theirs."""
        gone, there = self.connect(2)
        for each in (gone, there):
            each.conversation.may_tell = True
        gone.protocol.connectionLost()
        delivery = self.successResultOf(self.send([gone, there], acknowledge=False))
        self.assertEqual({each.user_id: each.state for each in delivery}, {0: "offline", 1: "sent"})
        self.assertEqual(self.sent(gone), b"")

    def test_nobody(self) -> None:
        """Nobody is at once, and not true."""
        delivery = self.successResultOf(self.send([]))
        self.assertEqual((len(delivery), bool(delivery)), (0, False))
