"""Other sides that do not read: what they cost, what waits for them, and when they are given up."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from fluxon.limits import KIB, MIB
from fluxon.rpc.counting import Counting
from fluxon.wire.messages import write_ask, write_ping


class BackpressureCase(SynchronousTestCase):
    make_line: Any

    def setUp(self) -> None:
        self.line = self.make_line()
        self.line.jobs["make"] = lambda size: b"x" * size
        self.ran: list[Any] = []
        self.line.jobs["note"] = self.note

    def note(self, value: Any) -> Any:
        self.ran.append(value)
        return value

    @property
    def backlog(self) -> int:
        return int(self.line.protocol.backlog)

    def stop_reading(self) -> None:
        self.line.transport.reading = False

    def fill(self, size: int = 2 * MIB) -> int:
        """Leave so much output unread; the tag of its ask."""
        self.stop_reading()
        tag = int(self.line.ask("make", size))
        self.assertTrue(self.line.peer.holding)
        return tag

    def read_all(self) -> None:
        self.line.transport.take()
        self.line.clock.advance(0)
        self.line.transport.take()


class HoldTests(BackpressureCase):
    """Requests of a side that does not read wait until it does."""

    def test_resume(self) -> None:
        """They are worked on in order, none lost, once the output is read; and their answers leave by themselves."""
        big = self.fill()
        tags = [self.line.ask("note", number) for number in range(20)]
        self.assertEqual(self.ran, [])
        self.read_all()
        self.assertEqual(len(self.line.outcome(big)), 2 * MIB)
        self.assertEqual([self.line.outcome(tag) for tag in tags], list(range(20)))
        self.assertEqual(self.ran, list(range(20)))
        self.assertFalse(self.line.peer.holding)
        self.assertEqual(self.backlog, 0)

    def test_resume_within_a_turn(self) -> None:
        """Where several connections are read in one turn, what goes on in it is told of at its end, not before."""
        big, turn, told = self.fill(), self.line.factory.turn, []
        observer = Counting()
        self.line.jobs["note"] = lambda value: setattr(self.line.peer.current, "observer", observer) or value
        tag = self.line.ask("note", 7)
        self.line.clock.advance(3)
        turn.begin()
        self.line.transport.take()
        told.append((turn.open, turn.began, observer.prompt, observer.requests.count))
        turn.end()
        told.append((turn.open, turn.began, observer.prompt, observer.requests.count))
        self.assertEqual(told, [(True, 3.0, 1, 0), (False, 3.0, 0, 1)])
        self.assertEqual((len(self.line.outcome(big)), self.line.outcome(tag)), (2 * MIB, 7))

    def test_resume_by_sips(self) -> None:
        """However little is read at once, everything arrives, in order, with a bounded queue in the transport."""
        big = self.fill()
        tags = [self.line.ask("make", 300 * KIB) for _ in range(10)]
        largest = 0
        while self.line.transport.queue:
            largest = max(largest, len(self.line.transport.queue))
            self.line.transport.take(50_000)
            self.line.clock.advance(0)
        self.assertEqual(len(self.line.outcome(big)), 2 * MIB)
        self.assertEqual([len(self.line.outcome(tag)) for tag in tags], [300 * KIB] * 10)
        self.assertLessEqual(largest, 320 * KIB)

    def test_held_answers_do_not_pile_up(self) -> None:
        """When what was held is worked on, it stops again as soon as its answers are not taken."""
        self.fill()
        tags = [self.line.ask("make", MIB) for _ in range(20)]
        while not self.backlog < 300 * KIB:
            self.line.transport.take(len(self.line.transport.queue))
        self.line.transport.take(len(self.line.transport.queue))  # and reads nothing after that
        self.assertLessEqual(self.backlog, 3 * MIB)
        self.assertTrue(self.line.peer.holding)
        while self.line.transport.queue:
            self.line.transport.take()
            self.line.clock.advance(0)
        self.assertEqual([len(self.line.outcome(tag)) for tag in tags], [MIB] * 20)

    def test_within_one_read(self) -> None:
        """Asks behind the one whose answer fills the output are held, though they came in the same read."""
        self.stop_reading()
        self.line.put("make", 2 * MIB)
        self.line.put("note", 1)
        self.line.push()
        self.assertEqual(self.ran, [])

    def test_cancelled(self) -> None:
        """A held one can be cancelled: it is never run."""
        self.fill()
        tags = [self.line.ask("note", number) for number in range(3)]
        self.line.cancel(tags[1])
        self.read_all()
        self.assertEqual(self.line.code(tags[1]), "Cancelled")
        self.assertEqual(self.ran, [0, 2])
        self.assertEqual(self.line.peer._held.size, 0)

    def test_deadline(self) -> None:
        """A held one keeps to its deadline, and is then never run."""
        self.fill()
        tag = self.line.ask("note", 1, 3)
        self.line.clock.advance(3)
        self.read_all()
        self.assertEqual(self.line.code(tag), "DeadlineExceeded")
        self.assertEqual(self.ran, [])

    def test_bounded(self) -> None:
        """What is held is bounded in bytes: more is ResourceExhausted."""
        self.fill()
        tags = [self.line.ask("note", "v" * MIB) for _ in range(3)]
        self.assertEqual(len(self.line.protocol.conversation.answering), 2)
        self.read_all()
        self.assertEqual(self.line.code(tags[2]), "ResourceExhausted")
        self.assertEqual(len(self.ran), 2)

    def test_still_heard(self) -> None:
        """Answers to what this side asked are taken while its requests wait: two full ends cannot deadlock."""
        do = self.line.peer
        command = self.commands[0]
        asked = do.ask(command, {"job": "x", "value": 1})
        self.line.pull()
        self.fill()
        self.line.remote.answer(self.line.asked[0].tag, "heard")
        self.line.push()
        self.assertEqual(self.successResultOf(asked), "heard")

    def test_lost(self) -> None:
        """What was held when the connection was lost is never run, and no timer is left."""
        self.fill()
        self.line.ask("note", 1)
        self.line.transport.lose(ConnectionError())
        self.line.clock.advance(100)
        self.assertEqual(self.ran, [])
        self.assertEqual(self.line.clock.getDelayedCalls(), [])
        self.assertEqual(self.line.protocol.conversation.answering, {})

    commands: Any


class AbortTests(BackpressureCase):
    """What ends a side that does not read."""

    def test_stall(self) -> None:
        """Unread output for 60 s ends the connection; the clock starts again whenever something was taken."""
        line = self.line = self.make_line(output_stalled=60.0, heartbeat=1_000.0, frame_stall=1_000.0)
        line.jobs["make"] = lambda size: b"x" * size
        self.fill()
        line.clock.advance(59)
        line.transport.take(256 * KIB)
        line.clock.advance(59)
        self.assertIsNone(line.ended)
        line.clock.advance(1)
        self.assertEqual(line.ended, "ConnectionAborted")
        self.assertEqual(line.clock.getDelayedCalls(), [])

    def many_answers(self, between: Any) -> list[int]:
        """128 answers of 100,000 bytes that nobody reads, ``between()`` after each; their tags."""
        jobs: list[Deferred[Any]] = []
        self.line.jobs["wait"] = lambda _: jobs.append(Deferred()) or jobs[-1]
        tags = [self.line.ask("wait") for _ in range(128)]
        self.stop_reading()
        for job in jobs:
            job.callback(b"x" * 100_000)
            between()
        return tags

    def assert_surplus_dropped(self, tags: list[int]) -> None:
        """The first answers arrive when they are read, the others are errors, and the connection serves."""
        self.assertIsNone(self.line.ended)
        while self.line.transport.queue:
            self.line.transport.take()
            self.line.clock.advance(0)
        outcomes = [self.line.outcome(tag) for tag in tags]
        read = [len(each) for each in outcomes if isinstance(each, bytes)]
        self.assertEqual(read, [100_000] * len(read))
        self.assertGreater(len(read), 28)
        self.assertEqual({each.code for each in outcomes[len(read) :]}, {"OutcomeUnknown"})
        self.line.transport.reading = True
        self.assertEqual(self.line.outcome(self.line.ask("echo", 1)), 1)

    def test_never_reads(self) -> None:
        """Answers that end in turn after turn: what is above 3 MiB is dropped and said so, and the rest is not lost."""
        sizes: list[int] = []

        def note_size() -> None:
            self.line.clock.advance(0)
            sizes.append(self.backlog + len(self.line.transport.queue))

        tags = self.many_answers(note_size)
        self.assertLessEqual(max(sizes), 3 * MIB + 4 * 100_000)
        self.assertGreater(max(sizes), 2.5 * MIB)
        self.assert_surplus_dropped(tags)

    def test_burst(self) -> None:
        """The same answers ready in one turn: no more is kept of them than of answers that come one by one."""
        tags = self.many_answers(lambda: None)
        self.assertLess(self.backlog + len(self.line.transport.queue), 3 * MIB + 4 * 100_000)
        self.assert_surplus_dropped(tags)

    def test_an_answer_alone(self) -> None:
        """One answer may be larger than all of that: nothing waits behind it."""
        done: Deferred[bytes] = Deferred()
        self.line.jobs["wait"] = lambda _: done
        self.stop_reading()
        tag = self.line.ask("wait")
        done.callback(b"x" * (10 * MIB))
        self.read_all()
        while self.line.transport.queue:
            self.line.transport.take()
            self.line.clock.advance(0)
        self.assertEqual(len(self.line.outcome(tag)), 10 * MIB)

    def test_burst_that_is_read(self) -> None:
        """For one who reads, 128 answers of one turn arrive, in slices."""
        jobs: list[Deferred[Any]] = []
        self.line.jobs["wait"] = lambda _: jobs.append(Deferred()) or jobs[-1]
        tags = [self.line.ask("wait") for _ in range(128)]
        for job in jobs:
            job.callback(b"x" * 100_000)
        self.assertEqual([len(self.line.outcome(tag)) for tag in tags], [100_000] * 128)
        self.assertLessEqual(max(self.line.transport.writes), 256 * KIB)

    def wait_to_be_read(self) -> None:
        """What took long goes on in its turn."""
        while self.line.transport.paused and self.line.ended is None:
            self.line.clock.advance(0.01)

    def test_ping_flood(self) -> None:
        """Whoever floods with pings and never reads the pongs is given up."""
        self.stop_reading()
        flood = write_ping(1) * 10_000
        sent = 0
        while self.line.ended is None and sent < 20 * MIB:
            self.line.raw(flood)
            self.wait_to_be_read()
            sent += len(flood)
        self.assertEqual(self.line.ended, "ConnectionAborted")
        self.assertLessEqual(sent, 5 * MIB)

    def test_refusals_flood(self) -> None:
        """Refusing what is held beyond the bound is output too, and bounded with the rest."""
        self.fill()
        tags = iter(range(10, 2**31))
        for _ in range(500):
            if self.line.ended is not None:
                break
            asks = (write_ask(next(tags), "do", {"job": "note", "value": 1}, None, {}) for _ in range(1_000))
            self.line.raw(b"".join(asks))
            self.wait_to_be_read()
        self.assertEqual(self.line.ended, "ConnectionAborted")
        self.assertEqual(self.ran, [])

    def test_slow_reader_of_a_large_answer(self) -> None:
        """An answer of 15 MiB may take its time: pings, refusals and smaller answers beside it end nothing."""
        line = self.line = self.make_line(view_timeout=86_400.0)
        jobs: list[Deferred[Any]] = []
        line.jobs.update(wait=lambda _: jobs.append(Deferred()) or jobs[-1], make=lambda size: b"x" * size)
        waiting = [line.ask("wait") for _ in range(10)]
        large = self.fill(15 * MIB)
        while self.backlog:
            line.transport.take(MIB // 4)
            if jobs:
                jobs.pop().callback("beside it")
            line.clock.advance(24)
            line.raw(write_ping(1))
        self.read_all()
        self.assertIsNone(line.ended)
        self.assertEqual(len(line.outcome(large)), 15 * MIB)
        self.assertEqual([line.outcome(tag) for tag in waiting], ["beside it"] * 10)

    def test_small_transport_writes(self) -> None:
        """However large an answer, the transport gets it in slices, so that it can say when it is full."""
        self.line.ask("make", 3 * MIB)
        self.assertLessEqual(max(self.line.transport.writes), 256 * KIB)
