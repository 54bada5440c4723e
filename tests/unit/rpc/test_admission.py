"""Which asks are taken: how often, from which address, when there is a crowd; and who is read later."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from fluxon.limits import Limits
from fluxon.rates import Bucket
from fluxon.rpc.allowances import Allowances
from fluxon.rpc.busy import BusyReads
from fluxon.rpc.load import Load
from fluxon.wire.messages import write_ask

ELSEWHERE = "192.0.2.7"


class Session:
    """What allowances need of one."""

    bucket: Bucket | None = None


class RateTests(SynchronousTestCase):
    make_line: Any

    def line_from(self, host: str | None, **limits: Any) -> Any:
        """A server's connection from ``host``, without a session."""
        line = self.make_line(**limits)
        self.connect(line, host)
        return line

    def connect(self, line: Any, host: str | None) -> None:
        """Another connection, which has asked something before it said hello."""
        line.connect(host=host)
        line.factory.introduce(line.peer)

    def codes(self, line: Any, times: int) -> list[str]:
        outcomes = [line.outcome(line.ask("echo", number)) for number in range(times)]
        return [getattr(each, "code", "ok") for each in outcomes]

    def test_crossed(self) -> None:
        """Beyond its rate an ask is ResourceExhausted and says when to ask again; then it is taken."""
        line = self.line_from(ELSEWHERE, request_rate_per_address=10, request_burst=0.5)
        self.assertEqual(self.codes(line, 7), ["ok"] * 5 + ["ResourceExhausted"] * 2)
        error = line.outcome(line.ask("echo"))
        self.assertAlmostEqual(error.details["retry_after"], 0.1)
        self.assertEqual(error.text, "more than 10 requests a second of one address; try again in 0.1 s")
        line.clock.advance(0.1)
        self.assertEqual(self.codes(line, 2), ["ok", "ResourceExhausted"])

    def test_an_address_is_one(self) -> None:
        """Another connection of its /64, or one that comes when the first has gone, has no more; others have."""
        line = self.line_from("2001:db8::1", request_rate_per_address=10, request_burst=0.5)
        self.codes(line, 5)
        self.connect(line, "2001:db8::2")
        self.assertEqual(self.codes(line, 1), ["ResourceExhausted"])
        line.transport.abortConnection()
        line.clock.advance(0)
        self.connect(line, "2001:db8::1")
        self.assertEqual(self.codes(line, 1), ["ResourceExhausted"])
        self.connect(line, "2001:db8:0:1::1")
        self.assertEqual(self.codes(line, 1), ["ok"])

    def test_this_machine(self) -> None:
        """Has no bound by default, and the one that is set if one is."""
        self.assertIsNone(self.line_from("127.0.0.1").peer.allowance)
        self.assertIsNone(self.line_from(None).peer.allowance)
        self.assertIsNotNone(self.line_from(ELSEWHERE).peer.allowance)
        self.assertIsNone(self.line_from(ELSEWHERE, request_rate=0, request_rate_per_address=0).peer.allowance)
        self.assertIsNotNone(self.line_from("127.0.0.1", request_rate_per_address=5_000).peer.allowance)

    def test_who_goes_on_is_not_read(self) -> None:
        """After 64 refusals in a row the connection is read no more for a moment; its other half is, and it lives."""
        line = self.line_from(ELSEWHERE, request_rate_per_address=1, request_burst=1.0)
        self.codes(line, 64)
        self.assertFalse(line.transport.paused)
        self.codes(line, 1)
        self.assertTrue(line.transport.paused)
        line.clock.advance(0.9)
        self.assertTrue(line.transport.paused)
        line.clock.advance(0.2)
        self.assertFalse(line.transport.paused)
        self.assertEqual(self.codes(line, 2), ["ok", "ResourceExhausted"])

    def test_lost_while_it_is_not_read(self) -> None:
        """Nothing is left of it."""
        line = self.line_from(ELSEWHERE, request_rate_per_address=1, request_burst=1.0)
        self.codes(line, 65)
        line.transport.abortConnection()
        line.clock.advance(5)
        self.assertEqual(line.ended, "ConnectionAborted")

    def test_connections(self) -> None:
        """Those of one address are counted, unless it is this machine's and no number was set."""
        for host, limits, refused in (
            (ELSEWHERE, {}, "there are too many connections from its address"),
            ("127.0.0.1", {}, None),
            ("127.0.0.1", {"connections_per_address": 1_000}, "there are too many connections from its address"),
        ):
            factory = self.make_line(**limits).factory
            factory._by_address["192.0.2.7"] = factory._by_address["127.0.0.1"] = 1_000
            self.assertEqual(factory.refusal(host), refused)

    def test_a_session_is_one(self) -> None:
        """On however many connections, and from wherever: what one of them has used the others have not."""
        allowances = Allowances(Limits(request_rate=10, request_burst=0.5))
        holder, other = Session(), Session()
        left = []
        for address, session in ((ELSEWHERE, holder), ("198.51.100.7", holder), (ELSEWHERE, other)):
            allowance = allowances.of(address, session, 0.0)
            assert allowance is not None
            left.append(0)
            while allowance.refill(0.0) is None:
                left[-1] += allowance.left + 1
        self.assertEqual(left, [5, 0, 5])

    def test_addresses_are_forgotten(self) -> None:
        """What is remembered of addresses does not grow without end, and nobody is forgotten too early."""
        allowances = Allowances(Limits())
        busy = allowances.of(ELSEWHERE, None, 0.0)
        assert busy is not None
        busy.refill(5.0)
        for number in range(5_000):
            allowances.of(f"10.0.{number // 250}.{number % 250}", None, 5.0)
        self.assertLess(len(allowances._by_address), 1_100)
        self.assertIn(ELSEWHERE, allowances._by_address)
        self.assertGreater(allowances.busiest(5.0), 0)


class CrowdTests(SynchronousTestCase):
    make_line: Any

    def test_the_last_places(self) -> None:
        """They are for connections that have nothing under way; and when those are taken, nobody has one."""
        load = Load(16, 8)
        for _ in range(14):
            self.assertFalse(load.crowded)
            load.begin()
        self.assertTrue(load.crowded)
        self.assertEqual((load.takes(False), load.takes(True)), (False, True))
        load.begin()
        load.begin()
        self.assertEqual((load.takes(False), load.takes(True)), (False, False))
        load.end()
        self.assertEqual((load.takes(False), load.takes(True)), (False, True))

    def test_across_connections(self) -> None:
        """A greedy connection is refused what another one still gets; and again served when there is room."""
        line = self.make_line(in_flight_total=8)
        waiting: list[Deferred[Any]] = []
        line.jobs["wait"] = lambda _: waiting.append(Deferred()) or waiting[-1]
        tags = [line.ask("wait") for _ in range(8)]
        self.assertEqual(line.code(tags[7]), "ResourceExhausted")
        self.assertEqual(line.code(line.ask("echo", 1)), "ResourceExhausted")
        greedy = line.peer, line.remote, line.transport, line.protocol
        line.connect()
        self.assertEqual(line.outcome(line.ask("echo", 2)), 2)
        mine = line.ask("wait")
        self.assertEqual(line.outcome(mine), ...)
        self.assertEqual(line.code(line.ask("echo", 3)), "ResourceExhausted")
        waiting[0].callback("done")
        waiting[-1].callback("mine")
        self.assertEqual(line.outcome(mine), "mine")
        line.peer, line.remote, line.transport, line.protocol = greedy
        line._read = 0
        line.remote.output.clear()
        self.assertEqual(line.factory.load.count, 6)
        self.assertEqual(line.outcome(line.ask("echo", 4)), 4)


class BusyTests(SynchronousTestCase):
    make_line: Any

    def test_share(self) -> None:
        """Whoever they are, connections with heavy reads get half of the time together, each in its turn."""
        now = [0.0]
        busy = BusyReads(Limits(), lambda: now[0])
        read_at = dict.fromkeys("abcd", 0.0)
        worked = 0.0
        for _ in range(400):
            name = min(read_at, key=lambda each: read_at[each])
            now[0] = max(now[0], read_at[name])
            began = now[0]
            now[0] += 0.025
            worked += 0.025
            read_at[name] = now[0] + busy.pause_after(began)
        self.assertLess(abs(worked / now[0] - 0.5), 0.02)
        self.assertEqual(busy.count, 400)

    def test_what_is_quick(self) -> None:
        """Costs nothing, however often."""
        now = [0.0]
        busy = BusyReads(Limits(), lambda: now[0])
        for _ in range(100):
            began = now[0]
            now[0] += 0.004
            self.assertEqual(busy.pause_after(began), 0)

    def test_charged(self) -> None:
        """Whoever is not alone is charged for what was quick as well, and there is time again when it is paid."""
        now = [1.0]
        busy = BusyReads(Limits(), lambda: now[0])
        now[0] += 0.004
        busy.charge(1.0, alone=True)
        self.assertEqual((busy.wait(), busy.presses(now[0])), (0, False))
        busy.charge(1.0, alone=False)
        self.assertAlmostEqual(busy.wait(), 0.004)
        self.assertTrue(busy.presses(now[0]))
        now[0] += 0.005
        self.assertEqual((busy.wait(), busy.presses(now[0])), (0, False))

    def test_longest(self) -> None:
        """No pause is longer than its limit, nor than the heartbeat."""
        for limits, longest in ((Limits(), 10), (Limits(heartbeat=2), 2)):
            now = [0.0]
            busy = BusyReads(limits, lambda now=now: now[0])
            pauses = []
            for _ in range(30):
                now[0] += 1
                pauses.append(busy.pause_after(now[0] - 1))
            self.assertEqual(max(pauses), longest)

    def test_a_pause_that_has_begun(self) -> None:
        """Another one that is asked for meanwhile makes it no longer, nor shorter."""
        line = self.make_line()
        line.protocol.pause_reading(1.0)
        line.protocol.pause_reading(5.0)
        line.protocol.pause_reading(0.1)
        line.clock.advance(0.9)
        self.assertTrue(line.transport.paused)
        line.clock.advance(0.1)
        self.assertFalse(line.transport.paused)
        line.protocol.pause_reading(2.0)
        line.transport.lose(ConnectionError())
        self.assertEqual(line.clock.getDelayedCalls(), [])

    def test_a_transport_that_cannot_pause(self) -> None:
        """Nobody waits for it: what it brings is worked on as it comes, and no timer is made for it."""
        line = self.make_line()
        line.transport.pauseProducing = line.transport.resumeProducing = None
        timers = len(line.clock.getDelayedCalls())
        line.protocol.pause_reading(1.0)
        self.assertEqual(len(line.clock.getDelayedCalls()), timers)
        line.factory.busy.now = line.clock.seconds
        line.protocol.conversation.take(2**20, 2**20)
        line.jobs["work"] = lambda _: setattr(line.clock, "rightNow", line.clock.rightNow + 1.0) or "done"
        tags = [line.put("work", [[]] * 10_000) for _ in range(3)]
        line.push()
        self.assertEqual(len(line.factory.heavy), 1)
        line.clock.pump([1.0] * 8)
        self.assertEqual(len(line.factory.heavy), 0)
        self.assertEqual([line.outcome(each) for each in tags], ["done"] * 3)

    def test_a_connection(self) -> None:
        """It is read again after its pause, and answered meanwhile; a small read is not even timed."""
        line = self.make_line()
        seconds = iter([0.0, 0.5])
        line.factory.busy.now = lambda: next(seconds)
        tag = line.put("echo", "x" * 5_000)
        line.push()
        self.assertEqual(len(line.outcome(tag)), 5_000)
        self.assertTrue(line.transport.paused)
        line.raw(write_ask(77, "do", {"job": "echo", "value": 1}, None, {}))
        line.clock.advance(0.6)
        self.assertFalse(line.transport.paused)
