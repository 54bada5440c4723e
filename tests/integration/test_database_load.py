"""The database under many callers at once: everybody gets his own answer, whatever his neighbours do."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor, threads
from twisted.internet.defer import CancelledError, Deferred, DeferredList, gatherResults
from twisted.python import threadable
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from fluxon.database import models, schema
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where
from fluxon.errors import DeadlineExceeded, Unavailable

CALLERS = 64

#: Runs until it is interrupted.
ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


class CountedReactor:
    """The real reactor, counting its wake-ups."""

    def __init__(self) -> None:
        self.woken = 0

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        self.woken += 1
        reactor.callFromThread(function, *arguments)  # type: ignore[attr-defined]


def endless(connection: Any) -> None:
    """A read that only a stop ends."""
    connection.script(ENDLESS)


class ManyCallers(TestCase):
    """Real threads, a real file, the real reactor."""

    async def setUp(self) -> None:
        self.patch(threadable, "ioThread", threadable.getThreadID())
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)

        class Counter(models.Model):
            name = models.CharField(max_length=100, unique=True)
            value = models.IntegerField(default=0)

        self.model = Counter
        self.counted = CountedReactor()
        self.database = SQLiteDatabase(folder / "data.sqlite3", models=[Counter])
        await self.database.start(self.counted)
        self.addCleanup(lambda: self.database.stop())
        await threads.deferToThread(schema.create_tables, self.database)
        self.keys = await self.model.Insert([{"name": f"c{number}"} for number in range(CALLERS)])

    def at_once(self, caller: Any) -> Deferred[Any]:
        """``caller(number)`` for all of them, as coroutines."""
        return gatherResults([Deferred.fromCoroutine(caller(number)) for number in range(CALLERS)], consumeErrors=True)

    async def test_reads_and_writes_beside_an_endless_query(self) -> None:
        """Each reads what it wrote, by itself, in lists and from threads; the stop ends the query."""
        slow = self.database.read(endless)
        chance = random.Random(3)

        async def caller(number: int) -> None:
            key, mine = self.keys[number], where[self.model.id == self.keys[number]]
            for value in range(1, 9):
                self.assertEqual(await self.model.Update({"value": value}, mine), 1)
                way = chance.randrange(3)
                if way == 0:
                    found = await self.model.Get(key)
                elif way == 1:
                    found = (await self.model.Check(mine))[0]
                else:
                    found = await threads.deferToThread(self.model.Get, key)
                self.assertEqual(tuple(found), (key, f"c{number}", value))

        await self.at_once(caller)
        self.assertFalse(slow.called)
        await self.database.stop()
        await self.assertFailure(slow, DeadlineExceeded)

    async def test_errors_are_their_callers_own(self) -> None:
        """A read that raises and a write that raises, among others in the same batch and the same commit."""

        def fails(connection: Any, number: int) -> None:
            raise KeyError(number)

        async def caller(number: int) -> Any:
            if number % 4 == 0:
                return (await self.database.read(fails, number).addErrback(lambda failure: failure.value)).args[0]
            if number % 4 == 1:
                return (await self.database.write(fails, number).addErrback(lambda failure: failure.value)).args[0]
            if number % 4 == 2:
                self.assertIs(await self.model.Insert(name="c0"), False)
                return number
            return (await self.model.Get(self.keys[number])).id - self.keys[0]

        self.assertEqual(await self.at_once(caller), list(range(CALLERS)))
        self.assertEqual(await self.model.Count(), CALLERS)

    async def test_cancelling_some(self) -> None:
        """They fail at once with CancelledError; the others are answered, each with its own row."""
        calls = [self.model.Get(key) for key in self.keys]
        for each in calls[::2]:
            each.cancel()
        outcomes = await DeferredList(calls, consumeErrors=True)
        for number, (answered, result) in enumerate(outcomes):
            if number % 2:
                self.assertEqual((answered, result.name), (True, f"c{number}"))
            else:
                self.assertIs(type(result.value), CancelledError)

    async def test_stop_while_busy(self) -> None:
        """Every read is answered or Unavailable, every write is done, and none is forgotten."""
        slow = self.database.read(endless)
        reads = DeferredList([self.model.Get(key) for key in self.keys], consumeErrors=True)
        writes = [self.model.Insert(name=f"late {number}") for number in range(CALLERS)]
        await self.database.stop()
        await self.assertFailure(slow, DeadlineExceeded, Unavailable)  # as it had begun or not
        for answered, result in await reads:
            if not answered:
                assert isinstance(result, Failure)
                self.assertIs(type(result.value), Unavailable)
        self.assertEqual(len(set(await gatherResults(writes))), CALLERS)
        await self.database.start(reactor)
        self.assertEqual(await self.model.Count(), 2 * CALLERS)

    async def test_stop_ends_reads_that_are_about_to_begin(self) -> None:
        """An interrupt ends only what runs at that moment; a stop is not held up by what begins right after it."""
        for pause in (0, 0.0001, 0.001, 0.01):

            def begins(connection: Any, pause: float = pause) -> None:
                time.sleep(pause)
                connection.script(ENDLESS)

            await self.model.Count()
            calls = [self.database.read(begins) for _ in range(3)]
            outcomes = DeferredList(calls, consumeErrors=True)
            await self.database.stop()
            for _, failure in await outcomes:
                self.assertIn(type(failure.value), (DeadlineExceeded, Unavailable))
            await self.database.start(self.counted)

    async def test_answers_cross_together(self) -> None:
        """Sixty-four reads, or inserts, that are asked for together come back in a few wake-ups, not in 64."""
        for calls in (
            lambda: [self.model.Get(key) for key in self.keys],
            lambda: [self.model.Insert(name=f"new {key}") for key in self.keys],
        ):
            before = self.counted.woken
            await gatherResults(calls())
            self.assertLess(self.counted.woken - before, CALLERS // 2)
