"""``server.every`` and ``server.daily``: when jobs run, by the clock of a test; what fails, overlaps or hangs."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from fluxon.endpoint import AsyncServer
from fluxon.errors import ConfigurationError, Unavailable
from fluxon.limits import Limits
from fluxon.routing import Setup
from fluxon.testing import MemoryServer


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class JobTests(TestCase):
    """Jobs of a server whose time is the test's."""

    timeout = 60

    def setUp(self) -> None:
        self.runs: list[Any] = []

    async def serve(self, now: str = "2026-03-28 22:00", **keywords: Any) -> MemoryServer:
        app = await MemoryServer(Setup(mapping={}, secrets="secrets", **keywords), now=at(now))
        self.addCleanup(app.stop)
        return app

    def note(self, app: MemoryServer) -> Any:
        async def job(server: AsyncServer) -> None:
            self.runs.append(datetime.fromtimestamp(app.clock.seconds(), UTC).strftime("%d %H:%M"))

        return job

    async def test_every(self) -> None:
        """For the first time after so long, and then at even distances, until it is cancelled."""
        app = await self.serve()
        job = app.server.every(600, self.note(app))
        await app.clock.advance(599)
        self.assertEqual(self.runs, [])
        await app.clock.advance(1_201)
        self.assertEqual(self.runs, ["28 22:10", "28 22:20", "28 22:30"])
        job.cancel()
        await app.clock.advance(3_600)
        self.assertEqual(len(self.runs), 3)
        self.assertIn("note.<locals>.job (over)", repr(job))

    async def test_fractions(self) -> None:
        """Of a second: sums of them are rounded, and still no moment comes twice."""
        app = await self.serve()
        for seconds in (0.1, 0.3, 0.7):
            self.runs.clear()
            job = app.server.every(seconds, self.note(app))
            await app.clock.advance(100 * seconds + 0.01)
            job.cancel()
            self.assertEqual(len(self.runs), 100, seconds)

    async def test_daily(self) -> None:
        """At that time of day in UTC, or in a time zone: there also when its clocks change."""
        app = await self.serve()
        app.server.daily("03:00", self.note(app))
        await app.clock.advance(2 * 86_400)
        self.assertEqual(self.runs, ["29 03:00", "30 03:00"])
        self.runs.clear()
        app = await self.serve()
        app.server.daily(time(4, tzinfo=ZoneInfo("Europe/Berlin")), self.note(app))
        await app.clock.advance(2 * 86_400)
        # At the night of the 29th summer time begins.
        self.assertEqual(self.runs, ["29 02:00", "30 02:00"])
        app = await self.serve("2026-03-27 00:00")
        self.runs.clear()
        app.server.daily(time(4, tzinfo=ZoneInfo("Europe/Berlin")), self.note(app))
        await app.clock.advance(3 * 86_400)
        self.assertEqual(self.runs, ["27 03:00", "28 03:00", "29 02:00"])

    async def test_one_that_fails(self) -> None:
        """Is in the log, and runs again."""
        app = await self.serve()

        async def job(server: AsyncServer) -> None:
            self.runs.append(server)
            raise ValueError("no")

        app.server.every(60, job)
        await app.clock.advance(120)
        self.assertEqual(self.runs, [app.server] * 2)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)

    async def test_never_twice_at_once(self) -> None:
        """What falls due while it runs is left out."""
        app = await self.serve()
        ends: list[Deferred[None]] = []

        async def job(server: AsyncServer) -> None:
            ends.append(Deferred())
            await ends[-1]

        app.server.every(60, job)
        await app.clock.advance(150)
        self.assertEqual(len(ends), 1)
        ends[0].callback(None)
        await app.clock.advance(30)
        self.assertEqual(len(ends), 2)
        ends[1].callback(None)

    async def test_plain_ones(self) -> None:
        """Run in threads, and may be begun from one, as ``on_start`` may be plain."""

        def job(server: AsyncServer) -> None:
            self.runs.append(threading.current_thread().name)

        app = await self.serve(on_start=lambda server: server.every(60, job))
        await app.clock.advance(60)
        await app.jobs_done()
        self.assertTrue(self.runs[0].startswith("fluxon-job-"))

    async def test_the_servers_end(self) -> None:
        """One that runs may end, before ``on_stop``; what takes too long is given up; none is begun in a later run."""
        ended: list[str] = []

        async def slow(server: AsyncServer) -> None:
            try:
                await deferLater(server.reactor, 5)
                ended.append("slow")
            finally:
                self.runs.append("over")

        async def hangs(server: AsyncServer) -> None:
            await Deferred()

        async def stop(server: AsyncServer) -> None:
            ended.append("stop")

        app = await self.serve(on_stop=stop, limits=Limits(drain=10))
        app.server.every(60, slow)
        app.server.every(60, hangs)
        await app.clock.advance(60)
        stopped = app.server.stopService()
        await app.clock.advance(10)
        await stopped
        self.assertEqual(ended, ["slow", "stop"])
        with self.assertRaises(Unavailable):
            app.server.every(60, slow)
        app.server.startService()
        await app.server.when_ready()
        await app.clock.advance(600)
        self.assertEqual(self.runs, ["over"])

    async def test_mistakes(self) -> None:
        """Are said at once."""
        app = await self.serve()

        async def job(server: AsyncServer) -> None:
            """Does nothing."""

        for begin, told in (
            (lambda: app.server.every(0, job), "more than 0 and a year at most; not 0"),
            (lambda: app.server.every("60", job), "not '60'"),
            (lambda: app.server.daily("3 o'clock", job), "'03:00' in UTC"),
            (lambda: app.server.daily(3, job), "not 3"),
            (lambda: app.server.every(60, lambda: None), "must take one argument, the server"),
            (lambda: app.server.every(60, "job"), "must be a function, not str"),
        ):
            with self.assertRaises(ConfigurationError) as caught:
                begin()
            self.assertIn(told, str(caught.exception))
