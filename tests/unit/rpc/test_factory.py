"""What all connections of a listener share: their number, and who may come."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase


class ConnectionsTests(SynchronousTestCase):
    make_line: Any

    def come(self, line: Any, host: str | None = None) -> Any:
        """Another connection: its transport."""
        line.connect(greeted=False, host=host)
        line.clock.advance(0)
        return line.transport

    def test_total(self) -> None:
        """Beyond the limit a connection is aborted when it comes; there is room again when one has gone."""
        line = self.make_line(connections=2)
        first, second, third = line.transport, self.come(line), self.come(line)
        self.assertEqual([each.disconnected for each in (first, second, third)], [False, False, True])
        self.assertEqual(len(line.factory.peers), 2)
        second.lose(ConnectionError())
        self.assertFalse(self.come(line).disconnected)
        self.assertTrue(self.come(line).disconnected)

    def test_from_one_address(self) -> None:
        """Each address has its own count; where there is no address, as on a Unix socket, there is none."""
        line = self.make_line(connections_per_address=2)
        came = [self.come(line, host) for host in ("10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", None, None, None)]
        self.assertEqual([each.disconnected for each in came], [False, False, True, False, False, False, False])
        came[0].lose(ConnectionError())
        self.assertFalse(self.come(line, "10.0.0.1").disconnected)

    def test_refused_leaves_nothing(self) -> None:
        """A refused one is never counted, timed, or heard."""
        line = self.make_line(connections=1)
        timers = len(line.clock.getDelayedCalls())
        lost = len(line.lost)
        refused = self.come(line, "10.0.0.1")
        line.raw(b"\xff" * 9)
        self.assertTrue(refused.disconnected)
        self.assertEqual(len(line.clock.getDelayedCalls()), timers)
        self.assertEqual((len(line.lost), line.factory._by_address), (lost, {}))

    def test_counts_end(self) -> None:
        """Addresses whose connections are gone are forgotten."""
        line = self.make_line()
        for number in range(5):
            self.come(line, f"10.0.0.{number}").lose(ConnectionError())
        self.assertEqual(line.factory._by_address, {})
