"""Few hashes at once, whichever threads ask."""

from __future__ import annotations

import threading

from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.hashing import HASHES_AT_ONCE, in_turn


class InTurn(SynchronousTestCase):
    """Work that would rather run all at once."""

    def test_never_more_than_the_places(self) -> None:
        """Of a dozen threads so many are inside, both at once, and every one gets its result."""
        lock, inside, most = threading.Lock(), 0, 0
        together = threading.Barrier(HASHES_AT_ONCE, timeout=20)
        answers: list[int] = []

        def work(number: int) -> int:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            together.wait()  # breaks, and fails the test, if fewer than that run at once
            with lock:
                inside -= 1
            return number

        def ask(number: int) -> None:
            answers.append(in_turn(work, number))

        asking = [threading.Thread(target=ask, args=(number,)) for number in range(6 * HASHES_AT_ONCE)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(20)
        self.assertEqual(sorted(answers), list(range(6 * HASHES_AT_ONCE)))
        self.assertEqual(most, HASHES_AT_ONCE)

    def test_a_failure_frees_its_place(self) -> None:
        """Errors do not use the places up."""
        for _ in range(3 * HASHES_AT_ONCE):
            self.assertRaises(ZeroDivisionError, in_turn, lambda: 1 / 0)
        self.assertEqual(in_turn(lambda: 5), 5)
