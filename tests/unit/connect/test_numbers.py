"""Which numbered calls a client has carried out: none twice, none forgotten, whatever order they end in."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.numbers import Numbers


class NumbersTests(SynchronousTestCase):
    """One session's."""

    def setUp(self) -> None:
        self.numbers = Numbers()
        self.again: list[int] = []

    def arrive(self, number: int) -> bool:
        return self.numbers.arrive(number, lambda: self.again.append(number))

    def test_one_after_the_other(self) -> None:
        """With gaps; what was carried out and comes again is answered at once."""
        self.assertEqual(self.numbers.seen, 0)
        for number in (3, 4, 9):
            self.assertTrue(self.arrive(number))
            self.numbers.done(number)
            self.assertEqual(self.numbers.seen, number)
        self.assertFalse(self.arrive(4))
        self.assertEqual(self.again, [4])

    def test_what_has_not_ended(self) -> None:
        """Holds back what is said in a hello; come again, it waits for its end, once on each connection."""
        for number in (1, 2, 3):
            self.assertTrue(self.arrive(number))
        self.numbers.done(3)
        self.numbers.done(1)
        self.assertEqual(self.numbers.seen, 1)
        self.assertFalse(self.arrive(2))
        self.assertFalse(self.arrive(2))
        self.assertEqual(self.again, [])
        self.numbers.done(2)
        self.assertEqual(self.again, [2, 2])
        self.assertEqual(self.numbers.seen, 3)

    def test_refused(self) -> None:
        """What could not be begun may come again, and is not said to have been seen."""
        for number in (1, 2):
            self.arrive(number)
        self.numbers.refused(1)
        self.numbers.done(2)
        self.assertEqual(self.numbers.seen, 0)
        self.assertTrue(self.arrive(1))
        self.assertFalse(self.arrive(1))
        self.numbers.done(1)
        self.assertEqual((self.numbers.seen, self.again), (2, [1]))

    def test_many_connections_that_were_lost(self) -> None:
        """A call that hangs does not collect one waiter for each of them."""
        self.arrive(1)
        for _ in range(100):
            self.arrive(1)
        self.numbers.done(1)
        self.assertLess(len(self.again), 10)

    def test_more_refused_than_are_remembered(self) -> None:
        """The oldest are then taken for carried out, so that what is kept for them has a bound; the newest may come."""
        for number in range(1, 1_102):
            self.assertTrue(self.arrive(number))
            self.numbers.refused(number)
        self.assertEqual(self.numbers.seen, 101)
        self.assertFalse(self.arrive(101))
        self.assertEqual(self.again, [101])
        self.assertTrue(self.arrive(102))

    @settings(deadline=None)
    @given(st.data())
    def test_at_random(self, data: st.DataObject) -> None:
        """The rest is sent again whenever: each runs once, in order, and ``seen`` is never ahead of what was done."""
        numbers = Numbers()
        kept = sorted(data.draw(st.sets(st.integers(1, 40), min_size=1)))
        ran: list[int] = []
        ended: set[int] = set()
        open_ones: list[int] = []
        while True:
            kept = [each for each in kept if each > numbers.seen]
            if not kept:
                break
            for number in kept[: data.draw(st.integers(1, len(kept)))]:
                if numbers.arrive(number, lambda: None):
                    ran.append(number)
                    open_ones.append(number)
                while open_ones and data.draw(st.booleans()):
                    number = open_ones.pop(data.draw(st.integers(0, len(open_ones) - 1)))
                    ended.add(number)
                    numbers.done(number)
                self.assertTrue(all(each in ended for each in ran if each <= numbers.seen))
            while open_ones and data.draw(st.booleans()):
                number = open_ones.pop()
                ended.add(number)
                numbers.done(number)
            if not open_ones and not [each for each in kept if each > numbers.seen]:
                break
            if len(open_ones) == len(kept):
                number = open_ones.pop(0)
                ended.add(number)
                numbers.done(number)
        self.assertEqual(ran, sorted(set(ran)))
