"""``/metrics`` and ``/health`` over HTTP, as Prometheus and a load balancer ask."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.protocol import Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from fluxon.endpoint.metrics import collector as collector_module
from fluxon.endpoint.metrics import site as site_module
from fluxon.endpoint.metrics.collector import ServerCollector
from fluxon.endpoint.metrics.site import MetricsSite
from fluxon.metrics import Requests


def _get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class MetricsSiteTests(TestCase):
    async def serve(self, health: Any = lambda: succeed(None)) -> str:
        self.requests = {"say": Requests(), "login": Requests()}
        self.samples = [("fluxon_connections", "Open connections.", {"port": "main"}, 3.0)]
        site = MetricsSite(reactor, ServerCollector(lambda: self.requests, lambda: self.samples), health)
        await site.open(serverFromString(reactor, "tcp:0:interface=127.0.0.1"))
        self.addCleanup(lambda: Deferred.fromCoroutine(site.close()))
        return f"http://127.0.0.1:{site.port.getHost().port}"

    async def get(self, address: str) -> tuple[int, str]:
        return await deferToThread(_get, address)

    async def families(self, address: str) -> dict[str, list[Any]]:
        status, text = await self.get(address + "/metrics")
        self.assertEqual(status, 200)
        return {each.name: each.samples for each in text_string_to_metric_families(text)}

    async def test_requests(self) -> None:
        """Requests by view and code, and a histogram of how long they took that Prometheus can read."""
        address = await self.serve()
        for seconds in (0.000_1, 0.02, 0.02, 100.0):
            self.requests["say"].latencies.add(seconds)
        self.requests["say"].failed_with("NotFound", 0.3)
        families = await self.families(address)
        counts = {(each.labels["view"], each.labels["code"]): each.value for each in families["fluxon_requests"]}
        self.assertEqual(counts, {("say", "ok"): 4, ("say", "NotFound"): 1, ("login", "ok"): 0})
        said = [each for each in families["fluxon_request_seconds"] if each.labels["view"] == "say"]
        below = {each.labels["le"]: each.value for each in said if each.name.endswith("_bucket")}
        self.assertEqual(
            (below["0.00025"], below["0.025"], below["0.5"], below["30.0"], below["+Inf"]), (1, 3, 4, 4, 5)
        )
        sums = {each.name: each.value for each in said}
        self.assertEqual(sums["fluxon_request_seconds_count"], 5)
        self.assertAlmostEqual(sums["fluxon_request_seconds_sum"], 100.3401, places=3)

    async def test_everything_else(self) -> None:
        """Numbers of the moment, numbers that only grow, and the process's own."""
        address = await self.serve()
        self.samples.append(("fluxon_bytes_total", "Bytes.", {"direction": "in"}, 7.0))
        self.samples.append(("fluxon_bytes_total", "Bytes.", {"direction": "out"}, 9.0))
        families = await self.families(address)
        self.assertEqual(
            [(each.labels, each.value) for each in families["fluxon_connections"]], [({"port": "main"}, 3)]
        )
        bytes_ = {each.labels["direction"]: each.value for each in families["fluxon_bytes"]}
        self.assertEqual(bytes_, {"in": 7, "out": 9})
        self.assertIn("process_resident_memory_bytes", families)

    async def test_healthy(self) -> None:
        """A server that works says ok."""
        self.assertEqual(await self.get(await self.serve() + "/health"), (200, "ok\n"))

    async def test_not_healthy(self) -> None:
        """One that does not is 503, with the reason."""
        address = await self.serve(lambda: succeed("the server is stopping"))
        self.assertEqual(await self.get(address + "/health"), (503, "the server is stopping\n"))

    async def test_a_check_that_hangs(self) -> None:
        """No answer in time is an answer; so is a check that fails."""
        self.patch(site_module, "HEALTH_SECONDS", 0.02)
        address = await self.serve(Deferred)
        self.assertEqual(await self.get(address + "/health"), (503, "no answer in time\n"))

    async def test_who_did_not_wait(self) -> None:
        """An answer for somebody who has hung up is nobody's, and no fault; the next one is answered."""
        checks: list[Deferred[Any]] = [Deferred(), succeed(None)]
        asked = iter(checks)
        begun: Deferred[None] = Deferred()

        def health() -> Deferred[Any]:
            if not begun.called:
                begun.callback(None)
            return next(asked)

        address = await self.serve(health)
        number = int(address.rpartition(":")[2])
        lost: Deferred[None] = Deferred()

        class Impatient(Protocol):
            def connectionLost(self, reason: Any = None) -> None:
                lost.callback(None)

        protocol = await connectProtocol(clientFromString(reactor, f"tcp:127.0.0.1:{number}"), Impatient())
        protocol.transport.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun
        protocol.transport.abortConnection()
        await lost
        # Asked after the end of the first, which the server has seen by then.
        self.assertEqual(await self.get(address + "/health"), (200, "ok\n"))
        checks[0].callback(None)
        self.assertIsNone(self.successResultOf(checks[0]))

    async def test_the_applications_own(self) -> None:
        """What it declared with the library is there as well, once; if collecting it fails, all else is there."""
        registry = CollectorRegistry()
        self.patch(collector_module, "REGISTRY", registry)
        Counter("tickets_opened", "Tickets.", registry=registry).inc(3)
        Gauge("process_open_fds", "As told already.", registry=registry).set(1)
        address = await self.serve()
        families = await self.families(address)
        self.assertEqual([each.value for each in families["tickets_opened"] if each.name.endswith("_total")], [3])
        self.assertNotEqual([each.value for each in families["process_open_fds"]], [1])

        class Broken(Collector):
            """Of an application, with a fault."""

            def describe(self) -> list[Any]:
                return []

            def collect(self) -> Any:
                raise ValueError("no")

        registry.register(Broken())
        families = await self.families(address)
        self.assertIn("fluxon_connections", families)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_nothing_else(self) -> None:
        """There is nothing else to be had on this port."""
        address = await self.serve()
        self.assertEqual((await self.get(address + "/"))[0], 404)
