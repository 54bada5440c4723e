"""Every request is counted once, with what became of it, whatever its view does."""

from __future__ import annotations

from typing import Any

from serving import ServingTestCase
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from fluxon.errors import Cancelled, DeadlineExceeded, Internal, NotFound, Unserialisable
from fluxon.routing import Request
from fluxon.routing.request import Connection


async def quick(request: Request) -> Any:
    return request.payload


async def waits(request: Request) -> None:
    await deferLater(reactor, 0.02)


def plain(request: Request) -> int:
    return 1


async def missing(request: Request) -> None:
    raise NotFound("nothing of that name")


async def broken(request: Request) -> None:
    raise RuntimeError("a mistake")


async def unsendable(request: Request) -> object:
    return object()


_never: list[Deferred[None]] = []
_connections: list[Connection] = []


async def hangs(request: Request) -> None:
    _connections.append(request.connection)
    _never.append(Deferred())
    await _never[-1]


class CountingTests(ServingTestCase):
    async def counted(self, view: str) -> tuple[int, dict[str, int]]:
        requests = self.server.requests[view]
        return requests.count, requests.failed

    async def test_each_end(self) -> None:
        """Answered at once, later, from a thread; refused, broken, unsendable, given up: each is one request."""
        self.server = await self.serve(quick, waits, plain, missing, broken, unsendable, hangs)
        wire = await self.wire(self.server)
        for view in ("quick", "waits", "plain"):
            await wire.call(view)
            self.assertEqual(await self.counted(view), (1, {}))
        await self.fails(NotFound, wire.ask("missing"))
        self.assertEqual(await self.counted("missing"), (1, {"NotFound": 1}))
        await self.fails(Internal, wire.ask("broken"))
        self.flushLoggedErrors(RuntimeError)
        self.assertEqual(await self.counted("broken"), (1, {"Internal": 1}))
        await self.fails(Unserialisable, wire.ask("unsendable"))
        self.assertEqual(await self.counted("unsendable"), (1, {"Unserialisable": 1}))
        _never.clear()
        asked = wire.ask("hangs")
        while not _never:
            await deferLater(reactor, 0)
        asked.cancel()
        await self.fails(Cancelled, asked)
        await wire.call("quick")
        self.assertEqual(await self.counted("hangs"), (1, {"Cancelled": 1}))

    async def test_a_deadline(self) -> None:
        """A request whose time is over is counted when its client is told, and not again when the view ends."""
        self.server = await self.serve(waits, quick, limits={"view_timeout": 0.01})
        wire = await self.wire(self.server)
        await self.fails(DeadlineExceeded, wire.ask("waits"))
        await deferLater(reactor, 0.03)
        await wire.call("quick")
        self.assertEqual(await self.counted("waits"), (1, {"DeadlineExceeded": 1}))

    async def test_how_long(self) -> None:
        """What is counted as time is the time until the answer."""
        self.server = await self.serve(waits, quick)
        wire = await self.wire(self.server)
        await wire.call("waits")
        await wire.call("quick")
        took = self.server.requests["waits"].latencies.quantile(0.5)
        self.assertTrue(took is not None and 0.015 < took < 5, took)

    async def test_nobody_hears(self) -> None:
        """A connection that is gone when the answer is ready is counted as such."""
        _never.clear()
        self.server = await self.serve(hangs)
        wire = await self.wire(self.server)
        asked = wire.ask("hangs")
        while not _never:
            await deferLater(reactor, 0)
        await wire.abort()
        await self.fails(Exception, asked)
        while not _connections[-1].closed:
            await deferLater(reactor, 0)
        _never[0].callback(None)
        self.assertEqual(await self.counted("hangs"), (1, {"Unavailable": 1}))
