"""What importing the engine must not do."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase


class ImportTests(SynchronousTestCase):
    """In a fresh interpreter."""

    def test_no_reactor(self) -> None:
        """The program may still choose its reactor; and twistd, which forks afterwards, has none to share."""
        code = "import fluxon.endpoint, fluxon.tap, sys; sys.exit('twisted.internet.reactor' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code], check=False).returncode, 0)
