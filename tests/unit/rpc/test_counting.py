"""Who hears how asks ended: each end once, those that were answered at once together."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import FluxonError, NotFound, Unavailable
from fluxon.rpc import Counted, Incoming, Opening


class Sink:
    def data(self, piece: memoryview) -> None:
        """Nothing comes."""

    def ended(self, error: FluxonError | None) -> None:
        """It does not matter how."""


class CountedTests(SynchronousTestCase):
    make_line: Any

    def setUp(self) -> None:
        self.line = self.make_line()
        self.counted = Counted({command: responder for command, responder, _ in self.table()})
        for name, (command, _, check) in tuple(self.line.factory.responders._by_name.items()):
            self.line.factory.responders._by_name[name] = (command, self.counted.table[command], check)

    def table(self) -> Any:
        return self.line.factory.responders._by_name.values()

    def count(self, command: str) -> tuple[int, dict[str, int]]:
        requests = self.counted.requests[command]
        return requests.count, requests.failed

    def test_at_once(self) -> None:
        """Those of one read are counted when it is worked on, each of them."""
        for number in range(3):
            self.line.put("echo", number)
        self.line.put("echo", command="strict")
        self.line.push()
        self.assertEqual(self.count("do"), (3, {}))
        self.assertEqual(self.count("strict")[0], 1)

    def test_later(self) -> None:
        """What waits is counted when it is answered, with the time from its arrival; what fails with its code."""
        waits: list[Deferred[Any]] = [Deferred(), Deferred()]
        self.line.jobs["wait"] = lambda number: waits[number]
        self.line.ask("wait", 0)
        self.line.ask("wait", 1)
        self.assertEqual(self.count("do"), (0, {}))
        self.line.clock.advance(2)
        waits[0].callback(None)
        self.assertEqual(self.count("do"), (1, {}))
        waits[1].errback(NotFound("no"))
        self.assertEqual(self.count("do"), (2, {"NotFound": 1}))
        latencies = self.counted.requests["do"].latencies
        self.assertTrue(1.7 < latencies.quantile(0.5) < 2.3, latencies.quantile(0.5))
        self.assertAlmostEqual(latencies.seconds, 4)

    def test_streams(self) -> None:
        """An answer that opens a stream is an answer, and one that cannot be opened the error that says so."""
        self.line.jobs["open"] = lambda _: Opening({}, Incoming(Sink(), window=1_000))
        self.line.ask("open", command="transfer")
        self.assertEqual(self.count("transfer"), (1, {}))
        over = Incoming(Sink(), window=1_000)
        over.give_up(Unavailable("not now"))
        self.line.jobs["open"] = lambda _: Opening({}, over)
        self.line.ask("open", command="transfer")
        self.assertEqual(self.count("transfer"), (2, {"Unavailable": 1}))
