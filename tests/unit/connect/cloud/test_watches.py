"""Watches: who is told what, over connections that come and go."""

from __future__ import annotations

from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.cloud import CloudChange
from fluxon.connect.cloud.blocking_watches import BlockingWatches
from fluxon.connect.cloud.watches import CloudWatch, Watches

NOW = datetime(2027, 1, 31, tzinfo=UTC)


def change(number: int, path: str) -> dict[str, Any]:
    """The arguments of ``cloud.changed``."""
    return {
        "watch": number,
        "action": "write",
        "path": path,
        "source": None,
        "type": "file",
        "user": "Jane",
        "at": NOW,
    }


class WatchesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.watches = Watches(lambda watch, change: self.told.append((watch.path, change.path)))
        self.watches.connected()
        self.watch = CloudWatch("/a", lambda _: None)

    def changed(self, number: int, path: str) -> None:
        self.watches.changed(change(number, path))

    def test_told(self) -> None:
        """Its own changes, by the server's number."""
        self.assertTrue(self.watches.begun(self.watch, 5, 1))
        self.changed(5, "/a/b")
        self.assertEqual(self.told, [("/a", "/a/b")])

    def test_change_before_the_answer(self) -> None:
        """It waits, and comes before what follows."""
        self.changed(5, "/a/1")
        self.changed(6, "/other")
        self.watches.begun(self.watch, 5, 1)
        self.changed(5, "/a/2")
        self.assertEqual(self.told, [("/a", "/a/1"), ("/a", "/a/2")])

    def test_number_of_a_lost_connection(self) -> None:
        """It means nothing on the next one."""
        connection = self.watches.connection
        self.watches.connected()
        self.assertFalse(self.watches.begun(self.watch, 5, connection))
        self.assertNotIn(self.watch, self.watches)

    def test_begun_again(self) -> None:
        """A new connection has to begin all that there are, by new numbers."""
        self.watches.begun(self.watch, 5, 1)
        self.assertEqual(self.watches.connected(), [self.watch])
        self.changed(5, "/a/old")
        self.watches.begun(self.watch, 7, 2)
        self.changed(7, "/a/new")
        self.assertEqual(self.told, [("/a", "/a/new")])

    def test_ended(self) -> None:
        """Nobody is told any more; the second time there is nothing to end."""
        self.watches.begun(self.watch, 5, 1)
        self.assertEqual(self.watches.ended(self.watch), 5)
        self.changed(5, "/a/b")
        self.assertEqual(self.told, [])
        self.assertIsNone(self.watches.ended(self.watch))
        self.assertEqual(self.watches.connected(), [])

    def test_flood_of_unknown_changes(self) -> None:
        """A server that tells of what nobody watches does not fill the memory."""
        for number in range(5_000):
            self.changed(number, "/x")
        self.watches.begun(self.watch, 0, 1)
        self.watches.begun(CloudWatch("/b", lambda _: None), 4_999, 1)
        self.assertEqual(self.told, [("/a", "/x")])


class BlockingWatchesTests(SynchronousTestCase):
    def test_lost_while_it_began(self) -> None:
        """The number was another connection's when the thread that asked has it: it is asked for again on the next."""
        asked: list[str] = []
        told: SimpleQueue[CloudChange] = SimpleQueue()

        def ask(path: str) -> int:
            asked.append(path)
            if len(asked) == 1:
                watches.connected(None)  # type: ignore[arg-type]
            return len(asked)

        watches = BlockingWatches(ask, "watches")
        self.addCleanup(watches.stop)
        watches.begin(CloudWatch("/a", told.put))
        self.assertEqual(asked, ["/a", "/a"])
        watches._all.changed(change(1, "/a/lost"))
        watches._all.changed(change(2, "/a/b"))
        self.assertEqual(told.get(timeout=10).path, "/a/b")
