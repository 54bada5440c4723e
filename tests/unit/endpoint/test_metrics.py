"""What a running server tells of itself to Prometheus and to a load balancer, and for how long."""

from __future__ import annotations

import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from serving import Person, ServingTestCase
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from fluxon.endpoint import AsyncServer
from fluxon.errors import Unavailable
from fluxon.routing import Request


async def say(request: Request) -> Any:
    return request.payload


def _get(server: AsyncServer, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port.getHost().port}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


class MetricsTests(ServingTestCase):
    """``AsyncServer(metrics=...)``."""

    async def told(self, server: AsyncServer) -> dict[tuple[str, ...], float]:
        """Each number, by its name and the values of its labels in order."""
        text = await deferToThread(_get, server, "/metrics")
        return {
            (each.name, *sorted(each.labels.values())): each.value
            for family in text_string_to_metric_families(text)
            for each in family.samples
        }

    async def test_a_server_at_work(self) -> None:
        """Connections, bytes, sessions, what waits, and the database's figures are those of this moment."""
        server = await self.start(self.setup_of(say, users=True), metrics="tcp:0:interface=127.0.0.1")
        await Person.Insert(username="ann", password="x")
        wires = [await self.wire(server) for _ in range(3)]
        for wire in wires:
            await wire.call("say", "x" * 1_000)
        await wires[0].abort()
        await wires[1].call("say", 1)
        told = await self.told(server)
        self.assertIn(told["fluxon_connections", "main"], (2, 3))
        self.assertEqual(told["fluxon_connections_accepted_total", "main"], 3)
        self.assertEqual(told["fluxon_requests_waiting", "main"], 0)
        for direction in ("received", "sent"):
            self.assertTrue(3_000 < told["fluxon_bytes_total", "main", direction] < 10_000, told)
        self.assertEqual(told["fluxon_requests_total", "ok", "say"], 4)
        self.assertEqual((told["fluxon_groups",], told["fluxon_group_members",]), (0, 0))
        self.assertEqual((told["fluxon_queue", "views"], told["fluxon_queue", "events"]), (0, 0))
        self.assertTrue([name for name, *_ in told if name.startswith("fluxon_database_")])
        self.assertIn(("fluxon_database", "writes that wait"), told)
        self.assertEqual(await deferToThread(_get, server, "/health"), "ok\n")

    async def test_a_database_that_is_not_well(self) -> None:
        """A connection to it is no answer: what every database has is read."""
        server = await self.start(self.setup_of(say, users=True), metrics="tcp:0:interface=127.0.0.1")
        self.assertEqual(await deferToThread(_get, server, "/health"), "ok\n")
        with closing(sqlite3.connect("project/people.sqlite3")) as other:
            other.execute("DROP TABLE fluxon_tables")
        error = await self.fails(urllib.error.HTTPError, deferToThread(_get, server, "/health"))
        self.assertEqual((error.code, error.read()), (503, b"the database does not answer\n"))

    async def test_without_a_database(self) -> None:
        """There are no figures of what is not there, and nothing is wrong."""
        server = await self.start(self.setup_of(say), metrics="tcp:0:interface=127.0.0.1")
        self.assertFalse([name for name, *_ in await self.told(server) if name.startswith("fluxon_database")])
        self.assertEqual(await deferToThread(_get, server, "/health"), "ok\n")

    async def test_while_it_stops(self) -> None:
        """A load balancer hears that it stops, as long as requests are under way; numbers are told until the end."""
        go: Deferred[None] = Deferred()

        async def waits(request: Request) -> None:
            await go

        server = await self.start(self.setup_of(waits), metrics="tcp:0:interface=127.0.0.1")
        wire = await self.wire(server)
        asked = wire.ask("waits")
        while (await self.told(server))["fluxon_requests_waiting", "main"] != 1:
            pass
        stopped = server.stopService()
        error = await self.fails(urllib.error.HTTPError, deferToThread(_get, server, "/health"))
        self.assertEqual((error.code, error.read()), (503, b"stopping\n"))
        go.callback(None)
        await asked
        await stopped

    async def test_the_end(self) -> None:
        """The port is closed with the server; and one that was not to tell anything has none."""
        server = await self.start(self.setup_of(say), metrics="tcp:0:interface=127.0.0.1")
        address = server.metrics_port.getHost()
        await server.stopService()
        self.assertRaises(Unavailable, lambda: server.metrics_port)
        with self.assertRaises(OSError):
            await deferToThread(urllib.request.urlopen, f"http://127.0.0.1:{address.port}/health", None, 30)
        silent = await self.start(self.setup_of(say, folder="other"))
        self.assertRaises(Unavailable, lambda: silent.metrics_port)
