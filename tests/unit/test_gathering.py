"""Requests that one thread does together: which ones, what each is told, and what of them waits."""

from __future__ import annotations

import threading
from itertools import chain
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from fluxon.errors import ResourceExhausted, Unavailable
from fluxon.fairness import FairThreads
from fluxon.gathering import CALLS, MOST, Gathering
from fluxon.outcomes import Outcome
from fluxon.workers import WorkerPool


class GatheringTests(TestCase):
    """Real threads; the function waits until the test lets it go on."""

    timeout = 30

    def setUp(self) -> None:
        self.released = threading.Event()
        self.addCleanup(self.released.set)
        self.calls: list[list[Any]] = []

    def gathering(self, size: int = 8, queue: int = 400) -> Gathering:
        self.threads = FairThreads(WorkerPool("test", size, reactor), queue, 4, 2)
        self.addCleanup(self.threads.stop)
        return Gathering(self.threads, self.work)

    def work(self, requests: list[Any]) -> list[Outcome]:
        self.calls.append(requests)
        self.released.wait(20)
        if "all" in requests:
            raise KeyError("all")
        return [(None, ValueError(each)) if each == "bad" else (each, None) for each in requests]

    async def until_begun(self, count: int) -> None:
        while len(self.calls) < count:
            await deferLater(reactor, 0.002)

    async def test_what_comes_together(self) -> None:
        """What waits when a thread is free is one call, in order and not too large; each request hears of itself."""
        gathering = self.gathering()
        first = [gathering.run("a", number) for number in range(CALLS)]
        await self.until_begun(1)
        rest = [gathering.run("a", number) for number in range(CALLS, CALLS + MOST + 3)]
        self.released.set()
        self.assertEqual(await gatherResults(first + rest), list(range(CALLS + MOST + 3)))
        self.assertEqual(sorted(chain(*self.calls)), list(range(CALLS + MOST + 3)))
        self.assertLess(len(self.calls), 3 + CALLS)
        self.assertTrue(all(call == sorted(call) and len(call) <= MOST for call in self.calls), self.calls)
        self.assertEqual((self.threads.waiting, gathering._sessions, self.threads._parts), (0, {}, {}))

    async def test_an_error_is_one_requests(self) -> None:
        """The others have their results; and if the function itself fails, all of that call hear it."""
        gathering = self.gathering()
        self.released.set()
        good, bad = gathering.run("a", 1), gathering.run("a", "bad")
        await self.assertFailure(bad, ValueError)
        self.assertEqual(await good, 1)
        await self.assertFailure(gathering.run("a", "all"), KeyError)
        self.assertEqual(await gathering.run("a", 2), 2)

    async def test_sessions_have_calls_of_their_own(self) -> None:
        """Nobody is in a call with somebody else, nor waits for more than two calls of their own."""
        gathering = self.gathering(size=8)
        asked = [gathering.run(session, session) for session in ("a", "b") for _ in range(100)]
        await self.until_begun(2 * CALLS)
        self.assertEqual({len(set(call)) for call in self.calls}, {1})
        self.released.set()
        await gatherResults(asked)

    async def test_given_up(self) -> None:
        """What waits is not done and gives its place back; what is being done ends when it ends."""
        gathering = self.gathering(size=1)
        running = gathering.run("a", 1)
        await self.until_begun(1)
        waiting = [gathering.run("a", number) for number in (2, 3, 4)]
        self.assertEqual(self.threads.waiting, 3)
        for each in (running, *waiting[:2]):
            each.cancel()
        for each in waiting[:2]:
            await self.assertFailure(each, CancelledError)
        self.assertEqual(self.threads.waiting, 2)  # the last one, and the call that will do it
        self.assertFalse(running.called)
        self.released.set()
        self.assertEqual(await gatherResults([running, waiting[2]]), [1, 4])
        self.assertEqual(await gathering.run("a", 5), 5)
        self.assertEqual([*chain(*self.calls)], [1, 4, 5])
        self.assertEqual((self.threads.waiting, self.threads._parts), (0, {}))

    async def test_an_address_has_its_part(self) -> None:
        """However many sessions one makes: no more of its requests wait than its part of the queue."""
        gathering = self.gathering(size=1, queue=16)
        running = gathering.run("a", 0, "192.0.2.1")
        await self.until_begun(1)
        asked = [gathering.run(f"s{number % 3}", number, "192.0.2.1") for number in range(20)]
        refused = [each for each in asked if each.called]
        self.assertEqual(len(refused), 20 - 8)
        for each in refused:
            await self.assertFailure(each, ResourceExhausted)
        other = gathering.run("b", "b", "198.51.100.1")
        self.released.set()
        self.assertEqual(
            len(await gatherResults([running, other, *(each for each in asked if each not in refused)])), 10
        )
        self.assertEqual((self.threads.waiting, self.threads._parts), (0, {}))

    async def test_bounded(self) -> None:
        """A session has a quarter of the places to wait; all together no more than there are."""
        gathering = self.gathering(size=1, queue=8)
        running = gathering.run("a", 0)
        await self.until_begun(1)
        waiting = [gathering.run("a", number) for number in (1, 2)]
        await self.assertFailure(gathering.run("a", 3), ResourceExhausted)
        others = [gathering.run(session, session) for session in "bcde"]
        self.released.set()
        self.assertEqual(await gatherResults([running, *waiting, *others]), [0, 1, 2, *"bcde"])

    async def test_no_thread(self) -> None:
        """Whoever finds none is told, with all that waited in the same session; later ones are served."""
        gathering = self.gathering(size=1, queue=1)
        running = gathering.run("a", 0)
        await self.until_begun(1)
        waiting = gathering.run("b", 1)
        await self.assertFailure(gathering.run("c", 2), ResourceExhausted)
        self.released.set()
        self.assertEqual(await gatherResults([running, waiting]), [0, 1])
        self.assertEqual(await gathering.run("c", 3), 3)
        self.assertEqual(gathering._sessions, {})

    async def test_giving_up_while_others_are_told(self) -> None:
        """Who hears that there is no thread may give up another that waited with it: each has one outcome."""
        gathering = self.gathering(size=1)
        running = gathering.run("a", 0)
        await self.until_begun(1)
        first, second = (gathering.run("a", number) for number in (1, 2))
        first.addErrback(lambda failure: second.cancel() or failure)
        self.threads.stop()
        await self.assertFailure(first, Unavailable)
        await self.assertFailure(second, CancelledError)
        self.released.set()
        self.assertEqual(await running, 0)
        self.assertEqual((self.threads.waiting, gathering._sessions), (0, {}))

    async def test_stopping(self) -> None:
        """What waits is told, what runs ends, and nothing begins any more."""
        gathering = self.gathering(size=1)
        running = gathering.run("a", 0)
        await self.until_begun(1)
        waiting = [gathering.run("a", number) for number in range(1, 40)]
        self.threads.stop()
        for each in waiting:
            await self.assertFailure(each, Unavailable)
        await self.assertFailure(gathering.run("b", 1), Unavailable)
        self.released.set()
        self.assertEqual(await running, 0)
        self.assertEqual(self.calls, [[0]])
