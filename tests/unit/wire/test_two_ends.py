"""Two conversations over a link that loses nothing and cuts as it likes, against a model that is a list and a dict."""

from __future__ import annotations

from typing import Any

from effort import times
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import NotFound, ResourceExhausted
from fluxon.wire import Answer, Ask, Cancel, Conversation, Failed

sides = st.integers(0, 1)
payloads = st.one_of(st.integers(-5, 5), st.text(max_size=3), st.binary(max_size=40), st.just([{"a": None}] * 60))


class TwoEnds(RuleBasedStateMachine):
    """What is asked here is answered there exactly once, with what was asked; nothing is lost, doubled or mixed up."""

    @initialize(
        limits=st.lists(st.integers(1, 4), min_size=4, max_size=4),
        waiting=st.integers(0, 6),
        compress=st.sampled_from([None, 1, 200]),
    )
    def begin(self, limits: list[int], waiting: int, compress: int | None) -> None:
        self.ends = [
            Conversation(
                receive_limit=10_000,
                send_limit=10_000,
                in_flight=limits[side],
                ask_limit=limits[2 + side],
                waiting_limit=waiting,
            )
            for side in range(2)
        ]
        for end in self.ends:
            end.compress_from = compress
        self.waiting_limit = waiting
        self.links = [b"", b""]  # on the way from side 0 and from side 1
        self.asked: list[dict[int, Any]] = [{}, {}]  # waiter -> payload, not answered and not given up
        self.tags: list[dict[int, int]] = [{}, {}]  # waiter -> tag
        self.given_up: list[set[int]] = [set(), set()]
        self.answered: list[set[int]] = [set(), set()]
        self.working: list[dict[int, Any]] = [{}, {}]  # tag -> payload, on the side that answers
        self.count = 0

    def take(self, side: int) -> None:
        end = self.ends[side]
        assert end.output_size == sum(map(len, end.output))
        self.links[side] += b"".join(end.output)
        end.output.clear()
        end.output_size = 0

    @rule(side=sides, payload=payloads)
    def ask(self, side: int, payload: Any) -> None:
        waiter = self.count
        self.count += 1
        end = self.ends[side]
        full = end._out() >= end.ask_limit or bool(end._waiting)
        try:
            tag = end.ask("call", {"payload": payload, "waiter": waiter}, waiter=waiter)
        except ResourceExhausted:
            assert full and len(end._waiting) >= self.waiting_limit
            return
        assert tag not in [self.tags[side][each] for each in self.asked[side]]
        self.asked[side][waiter] = payload
        self.tags[side][waiter] = tag

    @rule(side=sides, which=st.integers(0, 50))
    def abandon(self, side: int, which: int) -> None:
        if self.asked[side]:
            waiter = sorted(self.asked[side])[which % len(self.asked[side])]
            sent = self.ends[side].abandon(self.tags[side][waiter])
            del self.asked[side][waiter]
            if sent:
                self.given_up[side].add(waiter)

    @rule(side=sides, share=st.floats(0, 1), pieces=st.integers(1, 5))
    def deliver(self, side: int, share: float, pieces: int) -> None:
        """Some of what is on its way arrives at the other side, in so many reads."""
        self.take(side)
        size = int(len(self.links[side]) * share)
        arriving, self.links[side] = self.links[side][:size], self.links[side][size:]
        step = max(1, -(-len(arriving) // pieces))
        for start in range(0, len(arriving), step):
            for message in self.ends[1 - side].receive(arriving[start : start + step]):
                self.hear(1 - side, message)

    def hear(self, side: int, message: Any) -> None:
        if isinstance(message, Ask):
            assert message.tag not in self.working[side]
            self.working[side][message.tag] = message.arguments
        elif isinstance(message, Cancel):
            assert message.tag in self.working[side]
        else:
            waiter = message.waiter
            assert waiter not in self.answered[side] and waiter not in self.given_up[side]
            self.answered[side].add(waiter)
            payload = self.asked[side].pop(waiter)
            if isinstance(message, Answer):
                assert message.value == [payload, waiter]
            else:
                assert isinstance(message, Failed)
                assert message.code in ("NotFound", "ResourceExhausted", "Unserialisable")
                if message.code == "NotFound":
                    assert message.details == {"waiter": waiter}

    @rule(side=sides, which=st.integers(0, 50), how=st.sampled_from(["answer", "fail", "set"]))
    def finish(self, side: int, which: int, how: str) -> None:
        if self.working[side]:
            tag = sorted(self.working[side])[which % len(self.working[side])]
            arguments = self.working[side].pop(tag)
            if how == "answer":
                self.ends[side].answer(tag, [arguments["payload"], arguments["waiter"]])
            elif how == "fail":
                self.ends[side].fail(tag, NotFound("no", details={"waiter": arguments["waiter"]}))
            else:
                try:
                    self.ends[side].answer(tag, {1, 2})
                except Exception as error:
                    assert type(error).__name__ == "Unserialisable"

    @rule(side=sides)
    def ping(self, side: int) -> None:
        self.ends[side].ping(self.count)
        self.take(side)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "ends"):
            return
        for side, end in enumerate(self.ends):
            assert {each.waiter for each in end.asked.values()} == set(self.asked[side])
            assert set(end.answering) == set(self.working[side])
            assert len(end.answering) <= end.in_flight
            assert end._out() <= end.ask_limit
            assert end.waiting_bytes == sum(len(each.frame) for each in end.asked.values() if each.frame is not None)

    def teardown(self) -> None:
        """Everything is delivered and answered: then nobody waits on either side, and nothing is left over."""
        if not hasattr(self, "ends"):
            return
        # One at a time, and the next leaves when the answer before it has come.
        for _ in range(2 * self.count + 2):
            for side in (0, 1):
                self.deliver(side, 1.0, 1)
            for side in (0, 1):
                while self.working[side]:
                    self.finish(side, 0, "answer")
        for side, end in enumerate(self.ends):
            assert not self.asked[side] and not end.asked and not end._waiting
            assert not end._abandoned and end._unsolicited == 0
            assert end.close() == []


class TwoEndsTests(SynchronousTestCase):
    """The machine, as a test."""

    def test_every_ask_is_answered_once(self) -> None:
        """120 runs of up to sixty steps of asks, answers, failures, cancels and pings, arbitrarily interleaved."""
        machine = TwoEnds.TestCase
        machine.settings = settings(
            max_examples=times(120), stateful_step_count=60, deadline=None, report_multiple_bugs=False
        )
        machine("runTest").debug()
