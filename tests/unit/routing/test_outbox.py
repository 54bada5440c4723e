"""Outboxes against scripted connections and a clock: what is sent, when, and under which number."""

from __future__ import annotations

from typing import Any

from turning import TURN, Turns
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import FluxonError, OutcomeUnknown, ResourceExhausted, Unavailable, stopping
from fluxon.limits import Limits
from fluxon.routing.away import Away
from fluxon.routing.delivery import Result
from fluxon.routing.keeping import Keeping
from fluxon.routing.kept import OVERHEAD, Kept
from fluxon.routing.outbox import Outbox
from fluxon.wire import decode, encode


class Line:
    """What an outbox needs of a connection."""

    def __init__(self) -> None:
        self.lost = False
        #: Whether it says at once that it takes no more.
        self.refuses = False
        self.asked: list[tuple[int, Any, Deferred[Any]]] = []
        self.cancelled: list[Any] = []

    def ask(self, command: Any, arguments: dict[str, Any], timeout: float | None = None) -> Deferred[Any]:
        payload = decode(arguments["payload"].data)
        answer: Deferred[Any] = Deferred(lambda _: self.cancelled.append(payload))
        self.asked.append((arguments["number"], payload, answer))
        if self.refuses:
            answer.errback(ResourceExhausted())
        return answer

    @property
    def payloads(self) -> list[Any]:
        return [payload for _, payload, _ in self.asked]

    def lose(self) -> None:
        self.lost = True
        for _, _, answer in self.asked:
            if not answer.called:
                answer.errback(OutcomeUnknown())

    def answer(self, index: int, value: Any = None) -> None:
        answer = self.asked[index][2]
        answer.errback(Failure(value)) if isinstance(value, FluxonError) else answer.callback(value)


class Session:
    """What an outbox needs of a session."""

    user_id = 1
    public_id = "s"
    losses = losses_told = 0


class OutboxTests(SynchronousTestCase):
    """One."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000)
        self.keeping = Keeping(self.clock, Limits())
        self.session: Any = Session()
        self.outbox = Outbox(self.keeping, self.session)

    def connect(self) -> Any:
        line: Any = Line()
        self.outbox.move(line)
        self.outbox.send()
        return line

    def put(self, *payloads: Any, keep: float = 60) -> list[Deferred[Result]]:
        return [self.outbox.put(Kept("f", encode(each), keep)) for each in payloads]

    def states(self, outcomes: list[Deferred[Result]]) -> list[str]:
        return [self.successResultOf(each).state for each in outcomes]

    def test_a_few_at_once(self) -> None:
        """32 are on their way; each answer lets the next go."""
        outcomes = self.put(*range(100))
        self.assertEqual(set(self.states(outcomes)), {"queued"})
        line = self.connect()
        self.assertEqual(line.payloads, list(range(32)))
        line.answer(5)
        line.answer(0)
        self.assertEqual(line.payloads, list(range(34)))

    def test_bytes_at_once(self) -> None:
        """A quarter of a MiB, or one that is larger: a client that comes back is not cut off for what awaits it."""
        self.put(*["x" * 100_000] * 5, "y" * 300_000, "z")
        line = self.connect()
        self.assertEqual(len(line.asked), 2)
        for index in range(5):
            line.answer(index)
        self.assertEqual(line.payloads[-1], "y" * 300_000)

    def test_again_under_the_same_number(self) -> None:
        """What had no answer goes to the next connection, before what was put in meanwhile; an answer is the end."""
        first = self.connect()
        outcomes = self.put("a", "b", "c")
        first.answer(1, 5)
        self.assertEqual(self.successResultOf(outcomes[1]).value, 5)
        first.lose()
        self.outbox.move(None)
        self.assertEqual(self.states([outcomes[0], outcomes[2]]), ["queued", "queued"])
        self.put("d")
        second = self.connect()
        self.assertEqual(second.payloads, ["a", "c", "d"])
        self.assertEqual([second.asked[0][0], second.asked[1][0]], [first.asked[0][0], first.asked[2][0]])
        numbers = [number for number, _, _ in second.asked]
        self.assertEqual(numbers, sorted(numbers))

    def test_seen(self) -> None:
        """What a hello says was carried out is not sent again."""
        first = self.connect()
        outcomes = self.put("a", "b", "c")
        self.outbox.seen(first.asked[1][0])
        self.assertEqual(self.states(outcomes[:2]), ["handled", "handled"])
        self.assertNoResult(outcomes[2])
        self.assertEqual(self.connect().payloads, ["c"])

    def test_numbers_of_another_process(self) -> None:
        """A client that got larger ones elsewhere is sent what it never had, under new numbers."""
        self.put("a", "b")
        seen = next(reversed(self.outbox.entries)) + 1_000_000
        self.keeping.resumed(Line(), self.session_with_outbox(), seen)  # type: ignore[arg-type]
        line = self.connect()
        self.assertEqual(line.payloads, ["a", "b"])
        self.assertGreater(line.asked[0][0], seen)

    def session_with_outbox(self) -> Any:
        self.session.outbox = self.outbox
        return self.session

    def test_absurd_numbers(self) -> None:
        """A client cannot use up the numbers of all others."""
        self.session.outbox = None
        self.keeping.resumed(Line(), self.session, 2**63 - 1)  # type: ignore[arg-type]
        self.assertLess(self.keeping.next_number(), 2**53)

    def test_a_client_that_takes_no_more(self) -> None:
        """Nothing is sent for a second, then the same again; so when it cannot say what became of one, or closes."""
        for error in (ResourceExhausted(), OutcomeUnknown(), stopping()):
            outcomes = self.put("a")
            line = self.connect()
            line.answer(0, error)
            outcomes += self.put("b")
            self.assertEqual(line.payloads, ["a"])
            self.clock.advance(1)
            self.assertEqual(line.payloads, ["a", "a", "b"])
            line.answer(1)
            line.answer(2)
            self.assertEqual(self.keeping.kept, 0)

    def test_several_that_are_not_taken(self) -> None:
        """They wait together, and are asked again together; so when the first of them says so at once."""
        line = self.connect()
        self.put("a", "b")
        line.answer(0, ResourceExhausted())
        line.answer(1, ResourceExhausted())
        self.assertEqual(len(self.clock.getDelayedCalls()), 3)  # one to ask again, and one for the time of each
        self.clock.advance(1)
        self.assertEqual(line.payloads, ["a", "b", "a", "b"])
        self.outbox.move(None)
        full: Any = Line()
        full.refuses = True
        self.outbox.move(full)
        self.outbox.send()
        self.assertEqual(full.payloads, ["a"])
        full.refuses = False
        self.clock.advance(1)
        self.assertEqual(full.payloads, ["a", "a", "b"])

    def test_not_taken_where_it_is_no_more(self) -> None:
        """What the connection before says of being full holds nothing up on the one that is there now."""
        first = self.connect()
        outcomes = self.put("a")
        second = self.connect()
        first.answer(0, ResourceExhausted())
        outcomes += self.put("b")
        self.assertEqual(second.payloads, ["a", "b"])
        second.answer(0, 1)
        second.answer(1, 2)
        self.assertEqual([self.successResultOf(each).value for each in outcomes], [1, 2])
        self.assertEqual((self.clock.getDelayedCalls(), self.keeping.kept), ([], 0))

    def test_a_late_answer(self) -> None:
        """Of the connection before: it counts, and its loss does not."""
        first = self.connect()
        outcomes = self.put("a", "b")
        second = self.connect()
        first.answer(0, 7)
        self.assertEqual(self.successResultOf(outcomes[0]).value, 7)
        second.answer(0, 8)
        first.lose()
        self.assertNoResult(outcomes[1])
        second.answer(1, Unavailable("of its function"))
        self.assertEqual(self.states(outcomes[1:]), ["failed"])

    def test_a_client_that_closes(self) -> None:
        """What it answers meanwhile is no answer: it waits for the connection that comes next."""
        first = self.connect()
        outcomes = self.put("a", "b")
        first.answer(0, stopping())
        self.assertNoResult(outcomes[0])
        first.lose()
        self.outbox.move(None)
        self.assertEqual(self.states(outcomes), ["queued", "queued"])
        self.clock.advance(1)
        self.assertEqual(self.connect().payloads, ["a", "b"])

    def test_its_time(self) -> None:
        """What is given up is told, not begun any more, and counted as a loss; no timer is left."""
        line = self.connect()
        outcomes = self.put("a", keep=5) + self.put("b")
        self.clock.advance(5)
        self.assertEqual(self.states(outcomes[:1]), ["failed"])
        self.assertEqual((line.cancelled, self.session.losses), (["a"], 1))
        line.answer(1)
        self.assertEqual((self.clock.getDelayedCalls(), self.keeping.kept), ([], 0))

    def test_the_time_of_many(self) -> None:
        """What is kept for many ends for some of them in each turn, by one timer, and is nowhere afterwards."""
        self.clock = Turns()
        self.keeping = Keeping(self.clock, Limits())
        kept = Kept("f", encode("x" * 10_000), 5)
        sessions: list[Any] = [Session() for _ in range(150)]
        for each in sessions:
            Outbox(self.keeping, each).put(kept)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertLess(self.keeping.kept, 10_100 + 150 * OVERHEAD)
        left = []
        self.clock.advance(5)
        while kept.entries:
            left.append(len(kept.entries))
            self.clock.advance(TURN)
        self.assertEqual(left, [86, 22])
        self.assertEqual({each.losses for each in sessions}, {1})
        self.assertEqual((self.clock.getDelayedCalls(), self.keeping.kept), ([], 0))

    def test_one_that_comes_when_all_others_are_done(self) -> None:
        """A request that another client is given later ends when it was to end, not so long after that."""
        kept = Kept("f", encode("x"), 5)
        line = self.connect()
        done = self.outbox.put(kept)
        line.answer(0)
        self.assertEqual(self.successResultOf(done).state, "handled")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(3)
        other: Any = Session()
        Outbox(self.keeping, other).put(kept)
        self.clock.advance(1.9)
        self.assertEqual(len(kept.entries), 1)
        self.clock.advance(0.1)
        self.assertEqual((kept.entries, other.losses), ({}, 1))
        self.assertEqual((self.clock.getDelayedCalls(), self.keeping.kept), ([], 0))

    def test_the_end(self) -> None:
        """Whoever waits hears of it, and nothing is left."""
        line = self.connect()
        outcomes = self.put("a", "b")
        line.answer(0, ResourceExhausted())
        outcomes += self.put("c")  # not sent: the client has too much already
        self.keeping.stop()
        results = [self.successResultOf(each) for each in outcomes]
        self.assertEqual([each.state for each in results], ["timeout", "timeout", "offline"])
        codes = [each.error and each.error.code for each in results]
        self.assertEqual(codes, ["OutcomeUnknown", "OutcomeUnknown", "Unavailable"])
        self.assertEqual((self.clock.getDelayedCalls(), self.keeping.kept, self.keeping.outboxes), ([], 0, set()))

    def test_whoever_hears_may_ask_for_more(self) -> None:
        """At once, from within the end of another."""
        self.connect()
        outcomes = self.put("a", "b")
        outcomes[0].addCallback(lambda result: self.put("c") and result)
        self.outbox.move(None)
        self.assertEqual(self.connect().payloads, ["a", "b", "c"])


class AwayTests(SynchronousTestCase):
    """Those who are expected back."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.forgotten: list[Any] = []
        self.away = Away(self.clock, 10, 3, self.forgotten.append)

    def test_time(self) -> None:
        """Each has its own; one who came back and left again has it anew. One timer at most."""
        sessions: list[Any] = [object() for _ in range(3)]
        for each in sessions:
            self.away.add(each)
            self.clock.advance(1)
        self.away.add(sessions[0])
        self.away.discard(sessions[1])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(9.5)
        self.assertEqual(self.forgotten, [sessions[2]])
        self.assertIn(sessions[0], self.away)
        self.clock.advance(10)
        self.assertEqual(self.forgotten, [sessions[2], sessions[0]])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_many(self) -> None:
        """Those longest away go first."""
        sessions: list[Any] = [object() for _ in range(5)]
        for each in sessions:
            self.away.add(each)
        self.assertEqual(self.forgotten, sessions[:2])
        self.assertEqual(list(self.away), sessions[2:])
        self.away.stop()
        self.assertEqual((len(self.away), self.clock.getDelayedCalls()), (0, []))
