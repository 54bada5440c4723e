"""The children of tests and of the demonstration: what they tell when they hang."""

from __future__ import annotations

import sys
from pathlib import Path

from children import Child, Failed
from twisted.trial.unittest import SynchronousTestCase

STUCK = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def wait_for_nobody():
    print("here", flush=True)
    time.sleep(60)
wait_for_nobody()
"""


class HangingTests(SynchronousTestCase):
    def test_it_says_where(self) -> None:
        """A process that does not end is killed, and the error has what its threads were doing."""
        for end in (Child.stop, Child.end_of_input):
            child = Child("the server", [sys.executable, "-c", STUCK], Path.cwd())
            self.addCleanup(child.discard)
            child.expect("here")
            error = str(self.assertRaises(Failed, end, child, 0.1))
            self.assertIn("the server did not end within 0.1 s", error)
            self.assertIn("wait_for_nobody", error)
