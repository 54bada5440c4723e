"""The soak in short: two servers, plain and TLS, under everything that clients do; ``scripts/soak`` is the long one.

``FLUXON_SOAK_SECONDS`` asks for more than twelve seconds of load.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from soaking import findings
from soaking.process import Soaked
from soaking.rounds import Rounds
from twisted.trial.unittest import SynchronousTestCase

SECONDS = float(os.environ.get("FLUXON_SOAK_SECONDS", "12"))
ROUNDS = 2

MIB = 1024 * 1024


class SoakTests(SynchronousTestCase):
    def test_nothing_is_left(self) -> None:
        """After each round everything is back where it was; objects of no type, and hardly memory, have become more."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        servers = [Soaked(Path(folder.name) / name, secure) for name, secure in (("plain", False), ("tls", True))]
        try:
            rounds = Rounds(servers, clients=3, seed=int(time.time()))
            rounds.warm_up()
            for _ in range(ROUNDS):
                rounds.run(SECONDS / ROUNDS)
            for moments in rounds.quiet.values():
                self.assertEqual(findings.left(moments), [])
                # The first is before any client, the second has all threads, and the third has seen all of the code.
                self.assertLess(moments[-1][1]["rss"] - moments[2][1]["rss"], 12 * MIB)
            self.assertGreater(sum(rounds.done.values()), 30)
        finally:
            statuses = [server.stop() for server in servers]
        self.assertEqual(statuses, [0, 0])
        for server in servers:
            self.assertNotIn("Unhandled", server.log.read_text())
