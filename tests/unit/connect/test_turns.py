"""Work in turns: one at a time, in order, and a piece that waits lets others go on."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import turns as turns_module
from fluxon.connect.turns import Turns, current
from fluxon.errors import ResourceExhausted, Unavailable, says_stopping

#: Far longer than anything here takes; a wait that ends by it fails its test.
PATIENCE = 10.0


class TurnsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.turns = Turns("test")
        self.seen: SimpleQueue[object] = SimpleQueue()
        self.addCleanup(self.turns.stop)

    def take(self, count: int) -> list[object]:
        return [self.seen.get(timeout=PATIENCE) for _ in range(count)]

    def test_in_order_and_one_at_a_time(self) -> None:
        """No two pieces overlap, and the order is that of submission."""
        inside: list[int] = []

        def piece(number: int) -> None:
            inside.append(number)
            self.seen.put((number, len(inside)))
            inside.remove(number)

        for number in range(200):
            self.turns.submit(lambda number=number: piece(number))
        self.assertEqual(self.take(200), [(number, 1) for number in range(200)])

    def test_yielding_lets_the_next_begin(self) -> None:
        """A piece that waits for what a later piece does gets it: the later one runs meanwhile."""
        done = threading.Event()

        def first() -> None:
            with self.turns.yielded():
                self.seen.put(done.wait(PATIENCE))
            self.seen.put("first goes on")

        self.turns.submit(first)
        self.turns.submit(done.set)
        self.assertEqual(self.take(2), [True, "first goes on"])

    def test_going_on_needs_the_turn(self) -> None:
        """After it yielded, a piece goes on only when nobody else runs; and then before new work."""
        answered, proceed = threading.Event(), threading.Event()

        def first() -> None:
            with self.turns.yielded():
                answered.wait(PATIENCE)
            self.seen.put("first")

        def second() -> None:
            self.seen.put("second begins")
            answered.set()
            proceed.wait(PATIENCE)
            self.seen.put("second ends")

        self.turns.submit(first)
        self.turns.submit(second)
        self.turns.submit(lambda: self.seen.put("third"))
        self.assertEqual(self.take(1), ["second begins"])
        while not self.turns._back:  # until the first one queues for its turn
            threading.Event().wait(0.001)
        proceed.set()
        self.assertEqual(self.take(3), ["second ends", "first", "third"])

    def test_nested_to_any_depth(self) -> None:
        """Every piece waits for the one submitted by it: fifty turns given away, fifty taken back."""
        events = [threading.Event() for _ in range(51)]

        def piece(level: int) -> None:
            if level < 50:
                with self.turns.yielded():
                    self.turns.submit(lambda: piece(level + 1))
                    events[level + 1].wait(PATIENCE)
            events[level].set()
            self.seen.put(level)

        self.turns.submit(lambda: piece(0))
        self.assertEqual(sorted(self.take(51), key=str), sorted(range(51), key=str))

    def test_failures_do_not_stop_it(self) -> None:
        """An exception of one piece, even SystemExit, costs the next ones nothing, and is logged."""

        def fails() -> None:
            raise SystemExit

        self.turns.submit(fails)
        self.turns.submit(lambda: self.seen.put("next"))
        self.assertEqual(self.take(1), ["next"])
        self.assertEqual(len(self.flushLoggedErrors(SystemExit)), 1)

    def test_knows_whose_turn_a_thread_holds(self) -> None:
        """Inside a piece the current turns are these; elsewhere there are none."""
        self.turns.submit(lambda: self.seen.put(current.turns))
        self.assertEqual(self.take(1), [self.turns])
        self.assertIsNone(current.turns)

    def test_bounded(self) -> None:
        """A server that calls faster than the functions run is refused, not stored."""
        self.patch(turns_module, "MAX_WAITING", 3)
        release = threading.Event()
        self.addCleanup(release.set)
        self.turns.submit(lambda: release.wait(PATIENCE))
        for _ in range(3):
            self.turns.submit(lambda: None)
        self.assertRaises(ResourceExhausted, self.turns.submit, lambda: None)

    def test_stop_begins_nothing_more(self) -> None:
        """What waits when it is stopped never runs, and is told so; what comes later is refused."""
        dropped: list[int] = []
        release = threading.Event()

        def first() -> None:
            self.seen.put("first")
            release.wait(PATIENCE)
            self.seen.put("first ends")

        self.turns.submit(first)
        self.turns.submit(lambda: self.seen.put("never"), dropped=lambda: dropped.append(1))
        self.take(1)
        self.turns.stop()
        self.assertEqual(dropped, [1])
        self.assertTrue(
            says_stopping(self.assertRaises(Unavailable, self.turns.submit, lambda: self.seen.put("never")))
        )
        release.set()
        self.assertEqual(self.take(1), ["first ends"])
        self.assertTrue(self.seen.empty())

    def test_stop_ends_threads(self) -> None:
        """Neither a thread that waits for work nor one that is at work outlives it for long."""
        release = threading.Event()
        workers: list[threading.Thread] = []

        def work() -> None:
            workers.append(threading.current_thread())
            with self.turns.yielded():
                self.seen.put("yielded")
                release.wait(PATIENCE)

        for _ in range(3):
            self.turns.submit(work)
        self.take(3)
        release.set()
        for _ in range(3):
            self.turns.submit(lambda: self.seen.put("idle soon"))
        self.take(3)
        self.turns.stop()
        for each in workers:
            each.join(PATIENCE)
        self.assertEqual([each for each in workers if each.is_alive()], [])

    def test_few_threads(self) -> None:
        """Pieces that do not wait share one thread, however many there are."""
        threads: set[str] = set()
        for _ in range(50):
            self.turns.submit(lambda: (threads.add(str(threading.get_ident())), self.seen.put(1)))
            self.take(1)
        self.assertLessEqual(len(threads), 2)
