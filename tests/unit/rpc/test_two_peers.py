"""Two peers over a line in memory, by random: asks, cancels, deadlines, streams, unread output, and the end of it all.

Whatever the order: every ask has one outcome, and it is true; no job runs twice, nor after it was said that it never
was sent; every sink and source hears one end; and when the line is gone nothing is left of it in the reactor.
"""

from __future__ import annotations

from typing import Any

from effort import times
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from two_peers import WINDOW, Job, Pair, Sink, Source

from fluxon.errors import FluxonError, OutcomeUnknown
from fluxon.rpc import Incoming, Outgoing

sides = st.integers(0, 1)
numbers = st.integers(0, 50)

#: More than any ask, view, stream or silence takes here.
LONG = 400.0


class Asked:
    """One ask, and what became of it."""

    def __init__(self, side: int, kind: str, reply: Any) -> None:
        self.side = side
        self.kind = kind
        self.reply = reply
        self.outcomes: list[Any] = []


class TwoPeers(RuleBasedStateMachine):
    """See the module."""

    @initialize(
        in_flight=st.integers(5, 7),
        total=st.integers(1, 12),
        waiting=st.integers(1, 4),
        streams=st.integers(1, 2),
        high=st.sampled_from([300, 5_000]),
    )
    def begin(self, in_flight: int, total: int, waiting: int, streams: int, high: int) -> None:
        self.limits = {
            "in_flight": in_flight,
            "in_flight_total": total,
            "waiting_asks": waiting,
            "streams": streams,
            "output_high": high,
            "output_abort": 20_000,
            "view_timeout": 20,
            "stream_idle": 60,
        }
        self.pair = Pair(**self.limits)
        self.asks: list[Asked] = []
        self.streams: list[Any] = []
        self.sinks: list[Sink] = []
        self.sources: list[Source] = []
        self.logged: list[Any] = []
        globalLogPublisher.addObserver(self.observe)

    def observe(self, event: dict[str, Any]) -> None:
        if event["log_level"] >= LogLevel.error:
            self.logged.append(event)

    @rule(
        side=sides,
        kind=st.sampled_from(["now", "fail", "later", "later", "stubborn", "get", "get", "put", "put"]),
        timeout=st.sampled_from([None, 0.5, 5.0, 30.0]),
        urgent=st.booleans(),
    )
    def ask(self, side: int, kind: str, timeout: float | None, urgent: bool) -> None:
        if side == 0 and kind in ("get", "put"):
            return  # the end that accepted the connection opens streams
        reply = self.pair.sides[side].peer.ask(Job, {"kind": kind, "number": len(self.asks)}, timeout, urgent=urgent)
        asked = Asked(side, kind, reply)
        self.asks.append(asked)
        reply.addBoth(self.note, len(self.asks) - 1)

    def note(self, outcome: Any, number: int) -> None:
        asked = self.asks[number]
        asked.outcomes.append(outcome)
        began = self.pair.sides[1 - asked.side].began
        if not isinstance(outcome, Failure):
            assert number in began
            if asked.kind in ("get", "put"):
                self.attach(asked.kind, outcome["stream"])
            else:
                assert outcome == [number]
            return
        error = outcome.value
        assert isinstance(error, FluxonError), error
        if error.code == "NotFound":
            assert asked.kind == "fail" and error.details == {"number": number}
        elif isinstance(error, OutcomeUnknown):
            assert self.pair.sides[asked.side].transport.disconnected
        elif "nothing was sent" in error.text or "before it was sent" in error.text or "nothing was done" in error.text:
            assert number not in began
        else:
            assert error.code in ("Cancelled", "DeadlineExceeded", "ResourceExhausted", "Unavailable"), error

    def attach(self, kind: str, tag: int) -> None:
        stream: Any
        if kind == "get":
            self.sinks.append(Sink(slow=bool(len(self.sinks) % 2)))
            stream = Incoming(self.sinks[-1], WINDOW)
        else:
            self.sources.append(Source(3_000))
            stream = Outgoing(self.sources[-1])
        self.streams.append(stream)
        try:
            self.pair.sides[1].peer.attach(tag, stream)
        except FluxonError:
            assert self.pair.cut and stream.over

    @rule(which=numbers)
    def cancel(self, which: int) -> None:
        if self.asks:
            self.asks[which % len(self.asks)].reply.cancel()

    @rule(side=sides, which=numbers)
    def finish(self, side: int, which: int) -> None:
        work = self.pair.sides[side].work
        if work:
            number = sorted(work)[which % len(work)]
            work[number].finish([number])
            self.pair.follow()

    @rule(side=sides, size=st.sampled_from([1, 50, 700, 10_000, 100_000]), pieces=st.integers(1, 4))
    def deliver(self, side: int, size: int, pieces: int) -> None:
        self.pair.deliver(side, size, pieces)

    @rule(seconds=st.sampled_from([0.0, 0.4, 3.0, 21.0]))
    def wait(self, seconds: float) -> None:
        self.pair.clock.advance(seconds)
        self.pair.follow()

    @rule(which=numbers)
    def give_up_stream(self, which: int) -> None:
        open_ones = [stream for side in self.pair.sides for stream in side.peer.streams]
        if open_ones:
            open_ones[which % len(open_ones)].give_up(FluxonError("given up"))

    @rule(slow=st.booleans())
    def take(self, slow: bool) -> None:
        """Sinks take what they hold; those to come are slow, or not."""
        for each in self.all_sinks():
            each.take()
        self.pair.sides[0].slow = slow

    def all_sinks(self) -> list[Sink]:
        return self.sinks + [each for side in self.pair.sides for each in side.sinks]

    def all_sources(self) -> list[Source]:
        return self.sources + [each for side in self.pair.sides for each in side.sources]

    @rule(side=sides, how=st.sampled_from(["lose", "close", "drain", "drain"]), chance=st.integers(0, 5))
    def end(self, side: int, how: str, chance: int) -> None:
        if chance:
            return
        if how == "lose":
            self.pair.lose()
        else:
            getattr(self.pair.sides[side].protocol, how)()
        self.pair.follow()

    @invariant()
    def adds_up(self) -> None:
        if not hasattr(self, "pair"):
            return
        for side in self.pair.sides:
            conversation = side.conversation
            running = [work for work in side.work.values() if not work.done]
            assert len(running) == side.factory.load.count <= self.limits["in_flight_total"]
            assert len(conversation.answering) + conversation._lingering <= self.limits["in_flight"]
            assert conversation.output_size == sum(map(len, conversation.output))
            assert len(side.peer.streams) <= 2 * self.limits["streams"]
        # Two of each connection's, and those of streams.
        assert len(self.pair.clock.getDelayedCalls()) <= 2 * 6
        for each in self.all_sinks():
            assert len(each.ends) <= 1
        for source in self.all_sources():
            assert source.closed <= 1

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        try:
            self.come_to_rest()
            self.nothing_is_left()
        finally:
            globalLogPublisher.removeObserver(self.observe)

    def come_to_rest(self) -> None:
        """All work ends, all is delivered, and everybody has the time that they had asked for."""
        quiet = 0
        while quiet < 2:
            self.pair.follow()
            moved = 0
            for side in (0, 1):
                for number, work in list(self.pair.sides[side].work.items()):
                    work.finish([number])
                for each in self.all_sinks():
                    each.take()
                moved += self.pair.deliver(side, 10**6, 1)
            quiet = 0 if moved else quiet + 1
        assert all(len(asked.outcomes) == 1 for asked in self.asks), "an ask without an outcome"
        if not self.pair.cut:
            for side in self.pair.sides:
                assert not side.conversation.answering and not side.conversation.asked and not side.peer.streams
                assert not side.conversation._abandoned and not side.conversation._lingering
                assert side.conversation._in_flight_size == 0

    def nothing_is_left(self) -> None:
        self.pair.lose()
        self.pair.clock.advance(LONG)
        assert self.pair.clock.getDelayedCalls() == []
        assert all(len(asked.outcomes) == 1 for asked in self.asks)
        for side in self.pair.sides:
            peer = side.peer
            assert len(side.lost) == 1 and not side.factory.peers and side.factory.load.count == 0
            assert not (peer._tasks or peer._lingering or peer._held or peer._cancelled or peer.streams)
            assert not side.conversation.answering
        assert all(len(each.ends) == 1 for each in self.all_sinks())
        assert all(source.closed == 1 for source in self.all_sources())
        for stream, source in zip([s for s in self.streams if s.sending], self.sources, strict=True):
            assert stream.outcome is not None or not source.left
        assert self.logged == []


class TwoPeersTests(SynchronousTestCase):
    """The machine, as a test."""

    def test_any_order(self) -> None:
        """60 histories of up to 50 steps; ``FLUXON_EFFORT`` asks for more."""
        machine = TwoPeers.TestCase
        machine.settings = settings(
            max_examples=times(60), stateful_step_count=50, deadline=None, report_multiple_bugs=False
        )
        machine("runTest").debug()
