"""Whom a view serves: the client's address is known wherever its work goes, and nowhere else."""

from __future__ import annotations

from typing import Any

from serving import ServingTestCase
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.task import deferLater

from fluxon.caller import caller_address
from fluxon.routing import Request


async def at_once(request: Request) -> str | None:
    return caller_address()


async def later(request: Request) -> Any:
    await deferLater(reactor, 0, lambda: None)  # type: ignore[arg-type]
    return caller_address()


def in_a_thread(request: Request) -> str | None:
    return caller_address()


@inlineCallbacks
def with_callbacks(request: Request) -> Any:
    yield deferLater(reactor, 0, lambda: None)  # type: ignore[arg-type]
    return caller_address()


def returning(request: Request) -> Deferred[str | None]:
    return succeed(caller_address())


VIEWS = (at_once, later, in_a_thread, with_callbacks, returning)


class CallerTests(ServingTestCase):
    """One server, views of every kind."""

    async def test_every_kind_of_view(self) -> None:
        """Each knows the address, fresh session or looked up again; what is no request has none."""
        for limits in ({}, {"session_freshness": 1e-6}):
            server = await self.serve(*VIEWS, limits=limits)
            wire = await self.wire(server)
            for view in VIEWS:
                self.assertEqual(await wire.call(view.__name__), "127.0.0.1", view.__name__)
                self.assertIsNone(await deferLater(reactor, 0, caller_address))  # type: ignore[arg-type]
        self.assertIsNone(caller_address())
