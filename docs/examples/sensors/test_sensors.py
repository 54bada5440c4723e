"""The server, tried in memory: no network, no devices, and nothing of `data/` is touched. In this folder:

python -m unittest
"""

import unittest
from pathlib import Path

from fluxon.errors import InvalidPayload, NotFound, PermissionDenied, Unauthenticated, Unavailable
from fluxon.testing import MemoryServer
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from models import Account, Reading, digest_of
from server import make_setup


def an_account(name, kind):
    return {"name": name, "kind": kind, "digest": digest_of(f"token of {name}")}


class SensorTests(unittest.TestCase):
    def setUp(self):
        self.app = self.enterContext(MemoryServer(make_setup(Path(), keep=5)))
        Account.Insert([an_account("dashboard", "dashboard"), an_account("cellar", "device")])
        self.dashboard, self.cellar = self.connect("dashboard"), self.connect("cellar")

    def connect(self, name):
        client = self.app.connect()
        self.assertEqual(client.send_request("log_in", {"token": f"token of {name}"}), name)
        return client

    def report(self, *readings):
        for celsius in readings:
            self.cellar.send_request("report", {"celsius": celsius})

    def history(self, count=10):
        rows = self.dashboard.send_request("history", {"device": "cellar", "count": count})
        return [row["celsius"] for row in rows]

    def test_who_may_do_what(self):
        stranger = self.app.connect()
        with self.assertRaises(PermissionDenied):
            stranger.send_request("log_in", {"token": "guessed"})
        for client, error in ((stranger, Unauthenticated), (self.dashboard, PermissionDenied)):
            with self.assertRaises(error):
                client.send_request("report", {"celsius": 20.0})
        for client, error in ((stranger, Unauthenticated), (self.cellar, PermissionDenied)):
            with self.assertRaises(error):
                client.send_request("overview")

    def test_readings(self):
        self.report(20.5, 21, 20.0)
        self.assertEqual(self.history(), [20.0, 21.0, 20.5])
        self.assertEqual(self.history(count=2), [20.0, 21.0])
        overview = self.dashboard.send_request("overview")
        self.assertEqual((overview["devices"], overview["stored"]), (1, 3))
        self.assertEqual(overview["hottest"]["celsius"], 20.0)  # the latest of the only device
        for nonsense in (float("nan"), -300.0, "20", None):
            with self.subTest(nonsense), self.assertRaises(InvalidPayload):
                self.report(nonsense)

    def test_the_last_readings_are_kept(self):
        self.report(*range(1, 9))
        self.assertEqual(self.history(), [8, 7, 6, 5, 4])
        self.assertEqual(Reading.Count(), 5)

    def test_alarms(self):
        self.report(29, 31, 32, 29, 31, 27, 25)
        told = [(call.name, call.payload["celsius"]) for call in (self.dashboard.next_received() for _ in range(2))]
        self.assertEqual(told, [("alarm", 31), ("calm", 27)])
        self.report(31)
        self.assertEqual(self.dashboard.next_received().payload, {"device": "cellar", "celsius": 31})
        self.assertEqual(self.dashboard.send_request("overview")["alarms"], ["cellar"])
        self.assertEqual(len(self.dashboard.received), 3)

    def test_a_dashboard_that_comes_back_hears_alarms(self):
        self.app.restart()
        self.dashboard.reconnect()
        self.cellar.reconnect()
        self.report(31)
        self.assertEqual(self.dashboard.next_received("alarm").payload, {"device": "cellar", "celsius": 31})

    def test_an_interval(self):
        asked = []

        def set_interval(seconds):
            asked.append(seconds)
            return 1.5

        self.cellar.reverse_request_mapping({"set_interval": set_interval})
        change = {"device": "cellar", "seconds": 0.2}
        self.assertEqual(self.dashboard.send_request("set_interval", change), 1.5)
        self.assertEqual(asked, [0.2])
        with self.assertRaises(NotFound):
            self.dashboard.send_request("set_interval", {"device": "attic", "seconds": 0.2})
        self.cellar.close()
        with self.assertRaises(Unavailable):
            self.dashboard.send_request("set_interval", change)


class BatchTests(TestCase):
    """With trial's test case many requests can be under way at once."""

    async def test_what_comes_together_is_written_together(self):
        async with MemoryServer(make_setup(Path())) as app:
            await Account.Insert([an_account("dashboard", "dashboard"), an_account("cellar", "device")])
            cellar, dashboard = [await app.connect(number) for number in (2, 1)]
            await gatherResults([cellar.send_request("report", {"celsius": 20.0}) for _ in range(100)])
            overview = await dashboard.send_request("overview")
            self.assertEqual((overview["stored"], await Reading.Count()), (100, 100))
            self.assertLess(overview["writes"], 50)
